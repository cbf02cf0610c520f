"""Labelled faces from folders.

Two layouts are read: a folder of class folders, whose pictures are one face each, and a Pascal VOC folder
(``images/``, ``annotations/``), from which faces are cut. A ``test.txt`` in a Pascal VOC folder names photos that are
held out: they are never trained or tuned on, and neither are near copies of them under a grouped split.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import supervision as sv

from core.boxes import shorter_sides, square_boxes
from core.classes import CLASS_NAMES, class_index
from core.crops import cut, fit_within, resize
from core.detections import make_detections
from core.images import ImageError, read_image

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
HELD_OUT_LIST = "test.txt"
# Context kept around a face beyond its crop, as a share of the crop's side, so that a shifted or wider view of it
# shows what was really there.
CONTEXT = 0.3
# A patch is stored no larger than this many pixels for the crop's side: enough for every view of 224.
MAX_PATCH_CROP = 288


class DataError(ValueError):
    """A data folder cannot be used; the message says which and what is expected, in one sentence."""


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


@dataclass(frozen=True, eq=False)
class AnnotatedPhoto:
    """One photo of a Pascal VOC folder with its true boxes."""

    path: Path
    truth: sv.Detections


def read_list(path: Path | str) -> set[str]:
    """File names, one per line, without folder and extension."""
    return {Path(line.strip()).stem for line in Path(path).read_text().splitlines() if line.strip()}


def is_pascal_voc(folder: Path) -> bool:
    """Whether a folder has the Pascal VOC layout."""
    return (folder / "images").is_dir() and (folder / "annotations").is_dir()


def read_pascal_voc(folder: Path | str) -> list[AnnotatedPhoto]:
    """Photos of a Pascal VOC folder in name order, photos without faces included.

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
        raise DataError(f"{folder}/images holds no pictures.")
    return [
        AnnotatedPhoto(Path(path), make_detections(d.xyxy, to_class_id[d.class_id] if len(d) else []))
        for path, d in sorted(dataset.annotations.items())
    ]


def read_samples(folder: Path | str, margin: float, min_face_px: float = 24) -> list[Sample]:
    """Every labelled face of one data set, in a fixed order.

    Args:
        folder: class folders, or a Pascal VOC folder.
        margin: share of a face's longer side that its crop adds on every side (Pascal VOC).
        min_face_px: smaller annotated faces are left out (Pascal VOC).

    Raises:
        DataError: the folder is missing, empty or broken.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no data folder {folder}.")
    try:
        if is_pascal_voc(folder):
            return _read_voc_samples(folder, margin, min_face_px)
        return _read_folder_samples(folder)
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


def _read_folder_samples(folder: Path) -> list[Sample]:
    files = [(path, path.parent.name) for path in picture_files(folder)]
    if not files:
        raise DataError(
            f"{folder} holds neither class folders ({', '.join(CLASS_NAMES)}) with pictures, "
            "nor images/ and annotations/."
        )

    def read(item: tuple[Path, str]) -> Sample:
        path, label = item
        image = read_image(path)
        size = min(image.shape[:2])
        patch, _ = fit_within(image, MAX_PATCH_CROP)
        whole = np.array([0, 0, patch.shape[1], patch.shape[0]], np.float32)
        return Sample(str(folder), path, label, cv2.cvtColor(patch, cv2.COLOR_BGR2RGB), whole, size)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(read, files))


def _read_voc_samples(folder: Path, margin: float, min_face_px: float) -> list[Sample]:
    held_out = read_list(folder / HELD_OUT_LIST) if (folder / HELD_OUT_LIST).is_file() else set()

    def read(photo: AnnotatedPhoto) -> list[Sample]:
        sizes = shorter_sides(photo.truth.xyxy)
        if not (sizes >= min_face_px).any():
            return []
        frame = read_image(photo.path)
        samples = []
        for xyxy, class_id, size in zip(photo.truth.xyxy, photo.truth.class_id, sizes, strict=True):
            if size >= min_face_px:
                patch_rgb, crop = cut_patch(frame, xyxy, margin)
                label = CLASS_NAMES[class_id]
                samples.append(
                    Sample(str(folder), photo.path, label, patch_rgb, crop, size, photo.path.stem in held_out)
                )
        return samples

    with ThreadPoolExecutor() as pool:
        return [sample for samples in pool.map(read, read_pascal_voc(folder)) for sample in samples]


def cut_patch(frame_bgr: np.ndarray, face_xyxy: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """A face with context: ``patch_rgb`` (s, s, 3) uint8 and where its crop lies in it, (4,) float32."""
    crop = square_boxes(face_xyxy, margin)[0]  # the square that core.crops would cut
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
