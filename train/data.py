"""Labelled faces from folders: what is there, which pictures are near copies, and who goes into which split.

Two layouts are read: a folder of class folders, whose pictures are one face each, and a Pascal VOC folder
(``images/``, ``annotations/``), from which faces are cut. A ``test.txt`` in a Pascal VOC folder names photos that are
held out: they, and near copies of them, are never trained or tuned on.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
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
HASH_SIDE = 16
# Two pictures whose 256-bit difference hashes are at most this far apart are near copies.
MAX_HASH_DISTANCE = 20


class DataError(ValueError):
    """A data folder cannot be used; the message says which and what is expected, in one sentence."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled face, in memory."""

    dataset: str
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


def _read_folder_samples(folder: Path) -> list[Sample]:
    files = [
        (path, class_folder.name)
        for class_folder in sorted(p for p in folder.iterdir() if p.is_dir() and p.name in CLASS_NAMES)
        for path in sorted(class_folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise DataError(
            f"{folder} holds neither class folders ({', '.join(CLASS_NAMES)}) with pictures nor images/ and annotations/."
        )

    def read(item: tuple[Path, str]) -> Sample:
        path, label = item
        image = read_image(path)
        size = min(image.shape[:2])
        patch, _ = fit_within(image, MAX_PATCH_CROP)
        whole = np.array([0, 0, patch.shape[1], patch.shape[0]], np.float32)
        return Sample(folder.name, path, label, cv2.cvtColor(patch, cv2.COLOR_BGR2RGB), whole, size)

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
                    Sample(folder.name, photo.path, label, patch_rgb, crop, size, photo.path.stem in held_out)
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


# Near copies and splits


def difference_hash(image: np.ndarray) -> np.ndarray:
    """256 bits that survive resizing, recompression and small edits: is each cell brighter than its left neighbour?

    Krawetz 2013, "Kind of Like That". Works on (h, w, 3) RGB; returns (256,) bool.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    return (cells[:, 1:] > cells[:, :-1]).ravel()


def near_copy_groups(images: list[np.ndarray], max_distance: int = MAX_HASH_DISTANCE) -> np.ndarray:
    """A group number for each image, (n,) int: near copies and mirrored near copies of each other share theirs."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(images)
    if not n:
        return np.empty(0, int)
    hashes = np.array([difference_hash(image) for image in images])  # (n, 256)
    mirrored = np.array([difference_hash(image[:, ::-1].copy()) for image in images])
    signs, mirrored_signs = (np.where(bits, 1, -1).astype(np.float32) for bits in (hashes, mirrored))
    pairs = []
    for start in range(0, n, 1024):  # bits that differ = (bits - dot product of signs) / 2
        block = signs[start : start + 1024]
        agreement = np.maximum(block @ signs.T, block @ mirrored_signs.T)
        close = (hashes.shape[1] - agreement) / 2 <= max_distance
        pairs.append(np.argwhere(close) + [start, 0])
    a, b = np.vstack(pairs).T
    _, groups = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    return groups


def sample_groups(samples: list[Sample]) -> np.ndarray:
    """Group numbers (n,) of the samples' photos: the same for faces of one photo and of near copies of it."""
    photos = list(dict.fromkeys(sample.photo for sample in samples))
    with ThreadPoolExecutor() as pool:
        # Small versions are enough for the hash and keep ten thousand photos out of memory.
        images = list(pool.map(_photo_for_hash, photos))
    group_of = dict(zip(photos, near_copy_groups(images), strict=True))
    return np.array([group_of[sample.photo] for sample in samples], int)


def _photo_for_hash(path: Path) -> np.ndarray:
    image = read_image(path)
    return cv2.cvtColor(cv2.resize(image, (136, 128), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


@dataclass(frozen=True, eq=False)
class Split:
    """Places in the list of samples, (n,) int each, and what the report says of how they were drawn."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    held_out: np.ndarray
    facts: dict


def split_samples(samples: list[Sample], method: str, test_share: float, val_share: float, seed: int) -> Split:
    """Draw training, validation and test samples.

    Args:
        samples: held-out ones go to ``held_out``; under ``grouped``, near copies of them are dropped.
        method: ``random`` (stratified by class, near copies on both sides as in most published figures) or
            ``grouped`` (near copies and faces of one photo stay together).
        test_share: share of the samples for the test, 0..1; 0 gives none.
        val_share: the same for validation.
        seed: the same seed gives the same split.

    Raises:
        DataError: nothing would be left to train on, or the shares make no sense.
    """
    from sklearn.model_selection import train_test_split

    if not (0 <= test_share < 1 and 0 <= val_share < 1 and test_share + val_share < 1):
        raise DataError(
            f"Test share {test_share} and validation share {val_share} must lie in 0..1, their sum below 1."
        )
    labels = np.array([sample.label for sample in samples])
    is_held_out = np.array([sample.held_out for sample in samples], bool)
    groups = sample_groups(samples)
    near_held_out = np.isin(groups, groups[is_held_out]) & ~is_held_out
    open_places = np.flatnonzero(~is_held_out & ~(near_held_out if method == "grouped" else False))
    shares = {"test": test_share, "val": val_share}
    parts = {}
    if method == "random":
        rest = open_places
        for name, share in shares.items():
            count = ceil(share * len(open_places))  # as scikit-learn rounds, so that published splits can be repeated
            if not count:
                parts[name] = np.empty(0, int)
                continue
            try:
                rest, parts[name] = train_test_split(rest, test_size=count, stratify=labels[rest], random_state=seed)
            except ValueError as error:
                raise DataError(f"The data are too few for a {name} share of {share}: {error}") from None
    elif method == "grouped":
        rest, parts = _grouped_parts(open_places, labels, groups, shares, seed)
    else:
        raise DataError(f"Split is {method!r}; possible are random and grouped.")
    if not len(rest):
        raise DataError("No sample is left to train on; lower the test or validation share or add data.")
    size_of_group = Counter(groups[open_places])
    photos_per_group = _photos_per_group(samples, groups, open_places)
    facts = {
        "method": method,
        "seed": seed,
        "near_copies": int(
            sum(
                1 for photo, group in _photo_groups(samples, groups, open_places).items() if photos_per_group[group] > 1
            )
        ),
        "groups": len(size_of_group),
        "test_with_near_copy_in_training": int(np.isin(groups[parts["test"]], groups[rest]).sum()),
        "near_copies_of_held_out": int(near_held_out.sum()),
        "counts": {
            name: dict(sorted(Counter(labels[places].tolist()).items()))
            for name, places in {"train": rest, **parts, "held_out": np.flatnonzero(is_held_out)}.items()
        },
    }
    return Split(np.sort(rest), np.sort(parts["val"]), np.sort(parts["test"]), np.flatnonzero(is_held_out), facts)


def _photo_groups(samples, groups, places) -> dict[Path, int]:
    return {samples[i].photo: groups[i] for i in places}


def _photos_per_group(samples, groups, places) -> Counter:
    return Counter(_photo_groups(samples, groups, places).values())


def _grouped_parts(places, labels, groups, shares, seed):
    """Whole groups in random order go to the part that misses most of the group's commonest class."""
    order = np.random.default_rng(seed).permutation(np.unique(groups[places]))
    members = {group: places[groups[places] == group] for group in order}
    totals = Counter(labels[places].tolist())
    missing = {name: {label: share * totals[label] for label in totals} for name, share in shares.items()}
    parts = {name: [] for name in shares}
    rest = []
    for group in order:
        counts = Counter(labels[members[group]].tolist())
        label, _ = counts.most_common(1)[0]
        name = max(missing, key=lambda part: missing[part][label])
        # A group goes in if that brings the part nearer to its share than leaving it out.
        if missing[name][label] * 2 > counts[label]:
            parts[name].extend(members[group])
            for each, count in counts.items():
                missing[name][each] -= count
        else:
            rest.extend(members[group])
    return np.array(rest, int), {name: np.array(part, int) for name, part in parts.items()}
