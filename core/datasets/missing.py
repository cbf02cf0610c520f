"""Missing faces: what detectors find in an annotated set where nobody labelled anything.

All that a detector found is kept in the index file, under its checksum; which of it is missing follows from the labels
as they are at the moment. So suggestions survive a reload, and whatever is labelled meanwhile is suggested no more.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.access import for_operators
from core.datasets import index_db
from core.datasets.formats import Picture
from core.datasets.index import Index
from core.jobs import Report, no_report
from core.language import tr
from core.vision.boxes import overlaps, shorter_sides
from core.vision.detections import CLASS_NAME, FACE_SCORE
from core.vision.images import ImageError, read_image
from core.vision.metrics import lies_on
from core.vision.model_card import file_sha256
from core.vision.pipeline import DetectionSettings, Method, Pipeline, detect_masks, method_version
from core.vision.yunet import YuNet

PER_REPORT = 8
# Below this score nearly nothing is a face, and smaller ones nobody can tell.
LEAST_SCORE, SMALLEST_PX = 0.1, 10
# Two boxes show the same face at this overlap, or if each holds the other's centre: some annotators mark whole heads.
SAME_FACE_IOU = 0.3
# A box of which this share lies within another, and that is at least so large beside it, is a part of that face.
PART_INSIDE, PART_SIDE = 0.8, 1 / 3


class Find(NamedTuple):
    """What a detector found."""

    x1: float
    y1: float
    x2: float
    y2: float
    """In pixels of the picture."""
    score: float
    """How likely it is a face, 0..1."""
    label: str = ""
    """Its likeliest class; empty if the detector knows none."""
    confidence: float = 0.0
    """Of that class, 0..1."""


class Finder(NamedTuple):
    """A detector that looks for missing faces."""

    id: str
    """What it finds is kept under it: it changes with the model."""
    find: Callable[[np.ndarray], list[Find]]
    """BGR frame (h, w, 3) uint8 to what is in it."""


@dataclass(frozen=True)
class Suggestion:
    """A face that may be missing."""

    picture: str
    """The picture's key."""
    place: int
    """The picture's place in the index."""
    box: tuple[float, float, float, float]
    """Pixels of the picture."""
    score: float
    """0..1; higher where several detectors found it."""
    label: str
    """The likeliest class, empty if nobody knows."""
    confidence: float

    @property
    def id(self) -> str:
        """Names it within its set."""
        return f"{self.picture}@{' '.join(f'{side:g}' for side in self.box)}"


@dataclass(frozen=True)
class MissingFaces:
    """What was found by now."""

    searched: int
    """Pictures in which all detectors have looked, as they are now."""
    pictures: int
    """Those in which they shall look."""
    suggestions: tuple[Suggestion, ...]
    """Likeliest first."""


def pipeline_id(method: Method) -> str:
    """The ``Finder.id`` of a pipeline."""
    return f"{method.pipeline} {method_version(method)}"


def pipeline_finder(method: Method, pipeline: Pipeline) -> Finder:
    """A pipeline as a finder: it looks as closely as it can."""
    settings = DetectionSettings(min_confidence=0, preset="thorough", min_face_score=LEAST_SCORE)

    def find(frame_bgr: np.ndarray) -> list[Find]:
        found = detect_masks(frame_bgr, pipeline, settings)
        rows = zip(
            found.xyxy.tolist(),
            found.data[FACE_SCORE].tolist(),
            found.data[CLASS_NAME].tolist(),
            found.confidence.tolist(),
            strict=True,
        )
        return [Find(x1, y1, x2, y2, *rest) for (x1, y1, x2, y2), *rest in rows]

    return Finder(pipeline_id(method), find)


def second_id(path: Path) -> str:
    """The ``Finder.id`` of a YuNet file. Raises: OSError, if it cannot be read."""
    return f"yunet {file_sha256(path)[:16]}"


def second_finder(path: Path) -> Finder:
    """A YuNet file as a finder. Raises: ModelError, if it cannot be loaded; OSError, if it cannot be read."""
    detector = YuNet(path)
    return Finder(second_id(path), lambda frame_bgr: [Find(*row) for row in detector(frame_bgr).tolist()])


@for_operators
def search(index: Index, finders: Sequence[Finder], report: Report = no_report) -> None:
    """Let detectors look at every picture that they have not seen yet; what was found is kept also when asked to stop.

    Raises:
        DataError: the index file cannot be written.
    """
    index_db.change(index.dataset.name, partial(_search, index, finders, report))


def _search(index: Index, finders: Sequence[Finder], report: Report, connection: sqlite3.Connection) -> None:
    stamps = _stamps(index)
    seen = {
        (finder, key): stamp for finder, key, stamp in connection.execute("SELECT finder, key, fingerprint FROM found")
    }
    left = {key: [finder for finder in finders if seen.get((finder.id, key)) != stamp] for key, stamp in stamps.items()}
    todo = [index.pictures[index.place_of[key]] for key, some in left.items() if some]
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(todo), PER_REPORT):
            report(len(stamps) - len(todo) + start, len(stamps), tr("Looking for faces"))
            some = todo[start : start + PER_REPORT]
            rows = [
                (finder.id, picture.key, stamps[picture.key], json.dumps([] if frame is None else finder.find(frame)))
                for picture, frame in zip(some, pool.map(_frame, some), strict=True)
                for finder in left[picture.key]
            ]
            with index_db.transaction(connection):
                connection.executemany("INSERT OR REPLACE INTO found VALUES (?, ?, ?, ?)", rows)
    kept = [finder.id for finder in finders]
    with index_db.transaction(connection):
        connection.execute(f"DELETE FROM found WHERE finder NOT IN ({', '.join('?' * len(kept))})", kept)


def _frame(picture: Picture) -> np.ndarray | None:
    try:
        return read_image(picture.path)
    except ImageError:
        return None


def _stamps(index: Index) -> dict[str, str]:
    """The pictures in which to look, and what changes with their files."""
    return {
        picture.key: f"{row['bytes']} {row['changed_ns']}"
        for picture, row in zip(index.pictures, index.rows, strict=True)
        if not picture.whole and not picture.excluded
    }


def found_fingerprint(index: Index) -> tuple:
    """Changes whenever something was found."""
    sql = "SELECT finder, count(*), sum(length(faces)) FROM found GROUP BY finder ORDER BY finder"
    return tuple(index_db.select(index.dataset.name, sql))


def missing_faces(index: Index, finders: Sequence[str]) -> MissingFaces:
    """What these finders, named by their ids, have found where the set has no label by now."""
    stamps = _stamps(index)
    found: dict[str, tuple[str, ...]] = {}
    for finder in finders:
        sql = "SELECT key, fingerprint, faces FROM found WHERE finder = ?"
        for key, stamp, faces in index_db.select(index.dataset.name, sql, [finder]):
            if stamps.get(key) == stamp:
                found[key] = (*found.get(key, ()), faces)
    suggestions = [
        suggestion
        for key, by_finder in found.items()
        for suggestion in _missing(index.pictures[index.place_of[key]], index.place_of[key], by_finder)
    ]
    suggestions.sort(key=lambda each: (-each.score, each.id))
    searched = sum(len(by_finder) == len(finders) for by_finder in found.values())
    return MissingFaces(searched, len(stamps), tuple(suggestions))


# A picture that nobody has edited stays the same object: after an edit only its own picture is matched again.
@lru_cache(maxsize=20_000)
def _missing(picture: Picture, place: int, by_finder: tuple[str, ...]) -> list[Suggestion]:
    """``by_finder`` is what the index keeps of each."""
    together: list[Find] = []
    for faces in by_finder:
        finds = [Find(*row) for row in json.loads(faces)]
        pairs = is_same_face(_boxes(finds), _boxes(together))
        new = []
        for find, same in zip(finds, pairs, strict=True):
            if same.any():
                i = int(same.argmax())
                together[i] = together[i]._replace(score=1 - (1 - together[i].score) * (1 - find.score))
            else:
                new.append(find)
        together += new
    boxes = _boxes(together)
    counted = list(picture.counted)
    known = np.vstack([picture.xyxy, picture.no_face_xyxy])
    labelled = (is_same_face(boxes, known) | is_part_of(boxes, known)).any(axis=1)
    labelled |= lies_on(boxes, np.delete(picture.xyxy, counted, axis=0))
    return [
        Suggestion(
            picture.key,
            place,
            (round(find.x1, 1), round(find.y1, 1), round(find.x2, 1), round(find.y2, 1)),
            find.score,
            find.label,
            find.confidence,
        )
        for find, is_labelled, size_px in zip(together, labelled, shorter_sides(boxes), strict=True)
        if not is_labelled and size_px >= SMALLEST_PX
    ]


def _boxes(finds: list[Find]) -> np.ndarray:
    return np.array([find[:4] for find in finds], np.float32).reshape(-1, 4)


def is_same_face(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """Whether boxes (a, 4) and (b, 4) show the same face, (a, b) bool: by overlap, or each holds the other's centre.

    >>> head, face = [[0, 0, 100, 120]], [[35, 50, 75, 90]]
    >>> bool(is_same_face(head, face)), bool(is_same_face(face, [[60, 50, 100, 90]]))
    (True, False)
    """
    a, b = (np.asarray(boxes, np.float32).reshape(-1, 4) for boxes in (a_xyxy, b_xyxy))
    return (overlaps(a, b) >= SAME_FACE_IOU) | (_holds_center(a, b) & _holds_center(b, a).T)


def is_part_of(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """Whether each of ``a`` (a, 4) is a part of the face in each of ``b`` (b, 4), such as its ear; (a, b) bool.

    Far smaller boxes within one may be people behind it.

    >>> ear, far_away, face = [[5, 40, 45, 90]], [[5, 5, 20, 22]], [[0, 0, 100, 120]]
    >>> bool(is_part_of(ear, face)), bool(is_part_of(far_away, face))
    (True, False)
    """
    a, b = (np.asarray(boxes, np.float32).reshape(-1, 4) for boxes in (a_xyxy, b_xyxy))
    shared = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    inside = shared.clip(min=0).prod(axis=2) / (a[:, 2:] - a[:, :2]).prod(axis=1, keepdims=True)
    return (inside >= PART_INSIDE) & (shorter_sides(a)[:, None] >= PART_SIDE * shorter_sides(b))


def _holds_center(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether each of ``a`` holds the centre of each of ``b``, (a, b) bool."""
    center = (b[:, :2] + b[:, 2:]) / 2
    return ((center >= a[:, None, :2]) & (center <= a[:, None, 2:])).all(axis=2)
