"""Faces that annotations lack, filled in by eye: a small JSON file beside a data set, and lists of validation photos.

A file of extra faces is an array of ``{"photo": stem, "xyxy": [x1, y1, x2, y2], "name": class name or null}``, boxes in
pixels of the photo. A box without a name holds something that nobody can classify; it counts neither as hit nor as
miss. One named ``no_face`` holds what a detector took for a face: training shows it as background. An entry on an
annotated box takes its place, unless a person has changed that face in the app: that is newer. Where the annotated box
is too far off for that, around a whole head, say, ``"was": [x1, y1, x2, y2]`` tells which box the entry replaces.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.faces import AnnotatedPhoto, DataError, read_list
from core.io import load_json
from core.language import tr
from core.vision.boxes import overlaps
from core.vision.classes import class_index
from core.vision.detections import make_detections

# What was filled in for the public sets, seen from the project's folder.
LABELS_DIR = "train/labels"
# An entry that overlaps an annotated box by this much says something else of the same face.
SAME_BOX_IOU = 0.6
NO_FACE = "no_face"
UNCLEAR, BACKGROUND = -1, -2


@dataclass(frozen=True)
class ExtraFaces:
    """What a file adds to one photo."""

    xyxy: np.ndarray
    """(n, 4) float32, pixels of the photo."""
    class_id: np.ndarray
    """(n,) int into ``CLASS_NAMES``; ``UNCLEAR``: counts neither as hit nor as miss; ``BACKGROUND``: no face."""
    was_xyxy: np.ndarray
    """(n, 4) float32, where annotated boxes are that these replace; the same as ``xyxy`` if the file names no other."""

    @property
    def no_face_xyxy(self) -> np.ndarray:
        """(k, 4) boxes of what is no face."""
        return self.xyxy[self.class_id == BACKGROUND]


def read_extra(path: Path | str) -> dict[str, ExtraFaces]:
    """The extra faces of a file, by the photo's name without extension.

    Raises:
        DataError: the file cannot be read or has another form.
    """
    rows: dict[str, list[tuple[list[float], int, list[float]]]] = {}
    try:
        for entry in load_json(path, list):
            xyxy = box_of(entry["xyxy"])
            name = entry["name"]
            class_id = UNCLEAR if name is None else BACKGROUND if name == NO_FACE else class_index(name)
            was = box_of(entry["was"]) if "was" in entry else xyxy
            rows.setdefault(str(entry["photo"]), []).append((xyxy, class_id, was))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(tr("The extra faces {file} cannot be read: {why}").format(file=path, why=error)) from None
    columns = {photo: zip(*faces, strict=True) for photo, faces in rows.items()}
    return {
        photo: ExtraFaces(np.array(xyxy, np.float32), np.array(class_id, int), np.array(was, np.float32))
        for photo, (xyxy, class_id, was) in columns.items()
    }


def box_of(values: Sequence[float]) -> list[float]:
    """Four finite numbers that span a box; raises ``ValueError`` or ``TypeError`` for anything else."""
    xyxy = [float(value) for value in values]
    if len(xyxy) != 4 or not np.isfinite(xyxy).all() or xyxy[2] <= xyxy[0] or xyxy[3] <= xyxy[1]:
        raise ValueError(f"{values} is no box x1, y1, x2, y2")
    return xyxy


def add_extra(photo: AnnotatedPhoto, extra: ExtraFaces | None) -> AnnotatedPhoto:
    """The photo with its annotations completed."""
    if extra is None:
        return photo
    new = _is_elsewhere(extra.xyxy, photo.edited_xyxy) & _is_elsewhere(extra.was_xyxy, photo.edited_xyxy)
    xyxy, class_id = extra.xyxy[new], extra.class_id[new]
    replaced = np.concatenate([xyxy, extra.was_xyxy[new]])
    kept = _is_elsewhere(photo.truth.xyxy, replaced)
    named, unclear = class_id >= 0, class_id == UNCLEAR
    truth = make_detections(
        np.concatenate([photo.truth.xyxy[kept], xyxy[named]]),
        np.concatenate([photo.truth.class_id[kept], class_id[named]]),
    )
    ignored = np.concatenate([photo.ignored_xyxy[_is_elsewhere(photo.ignored_xyxy, replaced)], xyxy[unclear]])
    return dataclasses.replace(photo, truth=truth, ignored_xyxy=ignored)


def _is_elsewhere(xyxy: np.ndarray, others_xyxy: np.ndarray) -> np.ndarray:
    """Which boxes (n, 4) are around no face of the others (m, 4); (n,) bool."""
    return overlaps(xyxy, others_xyxy).max(axis=1, initial=0) < SAME_BOX_IOU


@dataclass(frozen=True)
class Labels:
    """What a folder of labels says of one data set."""

    extra: dict[str, ExtraFaces]
    validation: frozenset[str] | None
    """Names of the photos, without extension, that are for validation; ``None`` if the folder does not say."""


def read_labels(folder: Path | str, dataset: str) -> Labels:
    """The extra faces ``NAME.json`` and the validation list ``NAME-validation.txt`` of a data set, if they are there.

    Args:
        folder: where such files lie; ``train/labels`` holds those of the public sets.
        dataset: name of the data set's folder.

    Raises:
        DataError: a file cannot be read.
    """
    extra, listed = Path(folder) / f"{dataset}.json", Path(folder) / f"{dataset}-validation.txt"
    return Labels(
        read_extra(extra) if extra.is_file() else {}, frozenset(read_list(listed)) if listed.is_file() else None
    )
