"""Labelled faces from the pictures of a data set.

The pictures of class folders are one face each; from annotated pictures (Pascal VOC, YOLO, COCO) faces are cut. What a
set keeps for testing, in a folder ``test/`` or by a list ``test.txt``, is held out: never trained or tuned on, and
neither are near copies of it under a grouped split. Repairs are applied, and what they set aside is left out.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import supervision as sv

from core.datasets.formats import HELD_OUT_LIST, DataError, Picture, read_list
from core.datasets.store import read_pictures
from core.vision.boxes import shorter_sides, square_boxes
from core.vision.classes import CLASS_NAMES, class_index
from core.vision.crops import cut, fit_within, resize
from core.vision.detections import make_detections
from core.vision.images import ImageError, read_image

__all__ = [
    "HELD_OUT_LIST",
    "AnnotatedPhoto",
    "DataError",
    "Sample",
    "cut_patch",
    "is_pascal_voc",
    "picture_files",
    "plain_view",
    "read_list",
    "read_pascal_voc",
    "read_samples",
]


IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


# Context kept around a face beyond its crop, as a share of the crop's side, so that a shifted or wider view of it
# shows what was really there.
CONTEXT = 0.3


# A patch is stored no larger than this many pixels for the crop's side: enough for every view of 224.
MAX_PATCH_CROP = 288


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
    """What repairs call it: the picture's path below the folder, and of annotated pictures the face: ``a/b.jpg#2``."""


@dataclass(frozen=True, eq=False)
class AnnotatedPhoto:
    """One photo of a Pascal VOC folder with its true boxes."""

    path: Path
    truth: sv.Detections
    ignored_xyxy: np.ndarray = field(default_factory=lambda: np.empty((0, 4), np.float32))
    """(m, 4) float32: places that count neither as hit nor as miss."""


def is_pascal_voc(folder: Path) -> bool:
    """Whether a folder has the Pascal VOC layout."""
    return (folder / "images").is_dir() and (folder / "annotations").is_dir()


def read_pascal_voc(folder: Path | str) -> list[AnnotatedPhoto]:
    """Photos of a Pascal VOC folder with this project's classes, in name order, photos without faces included.

    Raises:
        DataError: the folder has another layout, a broken file, or classes that are not this project's.
    """
    folder = Path(folder)
    if not is_pascal_voc(folder):
        raise DataError(f"{folder} is no Pascal VOC folder: it needs the folders images/ and annotations/.")
    try:
        dataset = sv.DetectionDataset.from_pascal_voc(str(folder / "images"), str(folder / "annotations"))
        to_class_id = np.array([class_index(name) for name in dataset.classes], int)
    except (ValueError, SyntaxError) as error:
        raise DataError(f"{folder} cannot be read as Pascal VOC: {error}") from None
    if not len(dataset):
        raise DataError(f"{folder}/images holds no images.")
    return [
        AnnotatedPhoto(Path(path), make_detections(d.xyxy, to_class_id[d.class_id] if len(d) else []))
        for path, d in sorted(dataset.annotations.items())
    ]


def read_samples(folder: Path | str, margin: float, min_face_px: float = 24) -> list[Sample]:
    """Every labelled face of one data set, in a fixed order.

    Of the parts that a set brings, only its test is kept apart; who trains draws the validation part.

    Args:
        folder: class folders, Pascal VOC, YOLO or COCO, with any class names.
        margin: share of a face's longer side that its crop adds on every side (annotated pictures).
        min_face_px: smaller annotated faces are left out.

    Raises:
        DataError: the folder is missing, empty or broken.
    """
    folder = Path(folder)

    def read(picture: Picture) -> list[Sample]:
        return _whole_sample(folder, picture) if picture.whole else _face_samples(folder, picture, margin, min_face_px)

    pictures = [picture for picture in read_pictures(folder) if not picture.set_aside]
    try:
        with ThreadPoolExecutor() as pool:
            return [sample for samples in pool.map(read, pictures) for sample in samples]
    except ImageError as error:
        raise DataError(f"{error} Remove it or replace it.") from None


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a data set in a fixed order: of a Pascal VOC folder all, of class folders those of each class."""
    folders = [folder / "images"] if is_pascal_voc(folder) else [folder / name for name in sorted(CLASS_NAMES)]
    return [
        path
        for each in folders
        if each.is_dir()
        for path in sorted(each.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]


def _whole_sample(folder: Path, picture: Picture) -> list[Sample]:
    image = read_image(picture.path)
    patch, _ = fit_within(image, MAX_PATCH_CROP)
    whole = np.array([0, 0, patch.shape[1], patch.shape[0]], np.float32)
    patch_rgb = cv2.cvtColor(patch, cv2.COLOR_BGR2RGB)
    held_out = picture.split == "test"
    size = min(image.shape[:2])
    return [Sample(str(folder), picture.path, picture.labels[0], patch_rgb, whole, size, held_out, picture.item(0))]


def _face_samples(folder: Path, picture: Picture, margin: float, min_face_px: float) -> list[Sample]:
    sizes = shorter_sides(picture.xyxy)
    wanted = [i for i in range(len(sizes)) if sizes[i] >= min_face_px and i not in picture.faces_aside]
    if not wanted:
        return []
    frame = read_image(picture.path)
    height, width = frame.shape[:2]
    samples = []
    for i in wanted:
        # A box may reach over the edge, but not so far that its crop fills the memory.
        xyxy = np.clip(picture.xyxy[i], [-width, -height] * 2, [2 * width, 2 * height] * 2)
        if xyxy[0] < width and xyxy[1] < height and xyxy[2] > 0 and xyxy[3] > 0:
            patch_rgb, crop = cut_patch(frame, xyxy, margin)
            held_out = picture.split == "test"
            samples.append(
                Sample(
                    str(folder), picture.path, picture.labels[i], patch_rgb, crop, sizes[i], held_out, picture.item(i)
                )
            )
    return samples


def cut_patch(frame_bgr: np.ndarray, face_xyxy: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """A face with context: ``patch_rgb`` (s, s, 3) uint8 and where its crop lies in it, (4,) float32."""
    crop = square_boxes(face_xyxy, margin)[0]  # the square that core.vision.crops would cut
    context = (crop[2] - crop[0]) * CONTEXT
    outer = np.rint(crop + [-context, -context, context, context])
    patch = cut(frame_bgr, outer)
    max_side = round(MAX_PATCH_CROP * (1 + 2 * CONTEXT))
    patch, scale = fit_within(patch, max_side)
    inner = (crop - np.tile(outer[:2], 2)) * scale
    return cv2.cvtColor(patch, cv2.COLOR_BGR2RGB), inner.astype(np.float32)


def plain_view(sample: Sample, size: int) -> np.ndarray:
    """The face as the app would cut it, nothing varied: (size, size, 3) uint8 RGB."""
    return resize(cut(sample.patch_rgb, np.rint(sample.crop_xyxy)), (size, size))
