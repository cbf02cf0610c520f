"""Labelled faces from the pictures of a data set, for everything that trains, evaluates or shows them.

The pictures of class folders are one face each; from annotated pictures (Pascal VOC, YOLO, COCO) faces are cut. What a
set keeps for testing, in a folder ``test/`` or by a list ``test.txt``, is held out: never trained or tuned on, and
neither are near-duplicates of it under a grouped split. Edits are applied; what they exclude is left out, as are faces
that are marked difficult.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import supervision as sv

from core.datasets.formats import DataError, Picture, read_list
from core.datasets.store import read_pictures
from core.language import tr
from core.vision.boxes import clip_boxes, shorter_sides, square_boxes
from core.vision.classes import class_index
from core.vision.crops import cut, fit_within, resize
from core.vision.detections import make_detections
from core.vision.images import ImageError, read_image

__all__ = [
    "AnnotatedPhoto",
    "DataError",
    "Sample",
    "annotated_photo",
    "annotated_photos",
    "cut_face",
    "cut_sample",
    "face_view",
    "plain_view",
    "read_list",
    "read_photos",
    "read_samples",
]
log = logging.getLogger(__name__)
# Context kept around a face beyond its crop, as a share of the crop's side, so that a shifted or wider view of it
# shows what was really there.
CONTEXT = 0.3
# A patch is stored no larger than this many pixels for the crop's side: enough for every view of 224.
MAX_PATCH_CROP = 288
# A photo is reduced before a face is cut whose crop is larger: around a face that fills a photo of 50 megapixels, or
# the length of a panorama, the square would be many times as large as the photo.
MAX_CROP_CUT = 4 * MAX_PATCH_CROP


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled face, in memory."""

    dataset: str
    """The folder it was read from, as it was given."""
    photo: Path
    label: str
    patch_rgb: np.ndarray
    """(h, w, 3) uint8: the face with some context."""
    crop_xyxy: np.ndarray
    """(4,) float32: the part of the patch that the network sees when nothing is varied."""
    face_px: float
    """Shorter side of the annotated box in the photo; of the whole picture in a class folder."""
    held_out: bool = False
    key: str = ""
    """What edits call it: the picture's path below the folder, and of annotated pictures the face: ``a/b.jpg#2``."""


@dataclass(frozen=True, eq=False)
class AnnotatedPhoto:
    """One photo with its true boxes, in this project's classes."""

    path: Path
    truth: sv.Detections
    ignored_xyxy: np.ndarray = field(default_factory=lambda: np.empty((0, 4), np.float32))
    """(m, 4) float32: places that count neither as hit nor as miss."""
    held_out: bool = False
    edited_xyxy: np.ndarray = field(default_factory=lambda: np.empty((0, 4), np.float32))
    """(k, 4) float32: where a person changed, excluded, added or removed a face."""


def read_photos(folder: Path | str) -> list[AnnotatedPhoto]:
    """The photos of a Pascal VOC, YOLO or COCO folder in name order, those without faces included.

    Raises:
        DataError: the folder cannot be read, has no boxes, or has classes that are not this project's.
    """
    return annotated_photos(read_pictures(folder), folder)


def annotated_photos(pictures: list[Picture], folder: Path | str) -> list[AnnotatedPhoto]:
    """The pictures of a folder as ``read_photos`` gives them, without those that a person excluded."""
    if any(picture.whole for picture in pictures):
        raise DataError(
            tr("{folder} has no boxes: expected are photos with boxes as Pascal VOC, YOLO or COCO.").format(
                folder=folder
            )
        )
    return [annotated_photo(picture) for picture in pictures if not picture.excluded]


def annotated_photo(picture: Picture) -> AnnotatedPhoto:
    """One picture with boxes; what is difficult or was excluded becomes a place that does not count.

    Raises:
        DataError: a face has a class that is not this project's.
    """
    counted = list(picture.counted)
    try:
        class_id = [class_index(picture.labels[i]) for i in counted]
    except ValueError as error:
        raise DataError(f"{picture.path}: {error}") from None
    return AnnotatedPhoto(
        picture.path,
        make_detections(picture.xyxy[counted], np.array(class_id, int)),
        np.delete(picture.xyxy, counted, axis=0),
        picture.split == "test",
        np.vstack([picture.xyxy[sorted({*picture.edited, *picture.excluded_faces})], picture.no_face_xyxy]),
    )


def read_samples(folder: Path | str, margin: float, min_face_px: float = 24) -> list[Sample]:
    """Every labelled face of one data set, in a fixed order.

    Of the parts that a set brings, only its test is kept apart; who trains draws the validation part. A picture that
    cannot be read is left out and named in the log.

    Args:
        folder: class folders, Pascal VOC, YOLO or COCO, with any class names.
        margin: share of a face's longer side that its crop adds on every side (annotated pictures).
        min_face_px: smaller annotated faces are left out.

    Raises:
        DataError: the folder is missing or empty, or none of its pictures can be read.
    """
    folder = Path(folder)
    problems: list[str] = []

    def read(picture: Picture) -> list[Sample]:
        large = [True] if picture.whole else shorter_sides(picture.xyxy) >= min_face_px
        wanted = [i for i in picture.counted if large[i]]
        if not wanted:
            return []
        try:
            frame = read_image(picture.path)
            return [cut_sample(picture, i, frame, margin, str(folder)) for i in wanted]
        except Exception as error:  # whatever is odd about one picture, the others are read
            problems.append(str(error) if isinstance(error, ImageError) else f"{picture.path} cannot be read.")
            log.warning("%s is left out: %s", picture.key, problems[-1])
            return []

    with ThreadPoolExecutor() as pool:
        samples = [sample for samples in pool.map(read, read_pictures(folder)) for sample in samples]
    if problems and not samples:
        raise DataError(tr("{problem} Remove it or replace it.").format(problem=tr(problems[0])))
    return samples


def cut_sample(picture: Picture, face: int, frame_bgr: np.ndarray, margin: float, dataset: str = "") -> Sample:
    """One face of a picture as training reads it.

    Args:
        picture: with its labels.
        face: its place there.
        frame_bgr: (h, w, 3) uint8, the picture decoded.
        margin: share of a face's longer side that its crop adds on every side.
        dataset: the folder that the sample is said to come from.
    """
    xyxy = picture.box(face)
    patch_rgb, crop = cut_face(frame_bgr, xyxy, margin)
    face_px = min(frame_bgr.shape[:2]) if xyxy is None else float(shorter_sides(xyxy)[0])
    held_out = picture.split == "test"
    return Sample(dataset, picture.path, picture.labels[face], patch_rgb, crop, face_px, held_out, picture.item(face))


def cut_face(frame_bgr: np.ndarray, face_xyxy: np.ndarray | None, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut a labelled face with some context: the one way in which training, comparing and label issues see it.

    Args:
        frame_bgr: (h, w, 3) uint8.
        face_xyxy: (4,) box in its pixels; ``None`` if the face is the whole picture.
        margin: share of the box's longer side that the crop adds on every side.

    Returns:
        ``patch_rgb`` (h', w', 3) uint8, and where the crop lies in it, (4,) float32.
    """
    if face_xyxy is None:
        patch, _ = fit_within(frame_bgr, MAX_PATCH_CROP)
        whole = np.array([0, 0, patch.shape[1], patch.shape[0]], np.float32)
        return cv2.cvtColor(patch, cv2.COLOR_BGR2RGB), whole
    height, width = frame_bgr.shape[:2]
    crop = square_boxes(clip_boxes(face_xyxy, (width, height)), margin)[0]  # what core.vision.crops would cut
    side = crop[2] - crop[0]
    if side > MAX_CROP_CUT:
        frame_bgr, scale = fit_within(frame_bgr, max(1, round(max(width, height) * MAX_CROP_CUT / float(side))))
        crop = crop * scale
    context = (crop[2] - crop[0]) * CONTEXT
    outer = np.rint(crop + [-context, -context, context, context])
    patch = cut(frame_bgr, outer)
    max_side = round(MAX_PATCH_CROP * (1 + 2 * CONTEXT))
    patch, scale = fit_within(patch, max_side)
    inner = (crop - np.tile(outer[:2], 2)) * scale
    return cv2.cvtColor(patch, cv2.COLOR_BGR2RGB), inner.astype(np.float32)


def face_view(frame_bgr: np.ndarray, face_xyxy: np.ndarray | None, size: int, margin: float) -> np.ndarray:
    """A labelled face as a trained network is asked about it: (size, size, 3) uint8 RGB. Arguments as ``cut_face``."""
    return _view(*cut_face(frame_bgr, face_xyxy, margin), size)


def plain_view(sample: Sample, size: int) -> np.ndarray:
    """The face as the app would cut it, nothing varied: (size, size, 3) uint8 RGB."""
    return _view(sample.patch_rgb, sample.crop_xyxy, size)


def _view(patch_rgb: np.ndarray, crop_xyxy: np.ndarray, size: int) -> np.ndarray:
    return resize(cut(patch_rgb, np.rint(crop_xyxy)), (size, size))
