"""Find the best settings of the Haar cascade on annotated photos: ``python -m train.tune_haar --data DIR``.

Tries a grid on the photos that the data set does not hold out for its test, writes the table to ``docs/haar.md`` and
prints what ``core.vision.haar`` keeps: the best settings, how the cascade's square relates to an annotated face, and
the curve from its stage sum to a score. "Best" is the highest F1 of finding faces: recall at IoU 0.4 and
precision.
"""

import argparse
import dataclasses
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.datasets.faces import AnnotatedPhoto, read_photos
from core.io import write_atomic
from core.vision import haar as faces
from core.vision.boxes import match_boxes, overlaps, shorter_sides
from core.vision.calibration import platt_scaling
from core.vision.classes import WITH_MASK, WITHOUT_MASK
from core.vision.detections import make_detections
from core.vision.haar import HaarFaceFinder, HaarSettings
from core.vision.images import read_image
from core.vision.metrics import FALSE_ALARM_IOU, FOUND_IOU, Counts, lies_on, match_photo

GRID: dict[str, tuple[Any, ...]] = {
    "cascade": ("default", "alt2"),
    "max_side": (480, 640, 800),
    "scale_factor": (1.05, 1.1, 1.2),
    "min_neighbors": (2, 3, 5),
}
MIN_FACE_PX = 24


@dataclass(frozen=True)
class HaarScore:
    """Figures of one setting; shares in 0..1."""

    settings: HaarSettings
    recall: float
    mask_recall: float
    bare_recall: float
    precision: float
    false_alarms_per_photo: float
    median_ms: float

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision, 0..1."""
        return 2 * self.recall * self.precision / max(self.recall + self.precision, 1e-9)


def score(settings: HaarSettings, photos: list[tuple[np.ndarray, AnnotatedPhoto]]) -> HaarScore:
    """Find faces in every photo, at least one, with one setting; recall is that of faces of 24 px and more."""
    finder, times_ms, counts = HaarFaceFinder(), [], Counts(MIN_FACE_PX)
    for frame, photo in photos:
        started = time.perf_counter()
        # Boxes may come out a little smaller than the annotated face: do not cut them off at the very limit.
        xyxy, _ = finder(frame, settings, 0.8 * MIN_FACE_PX)
        times_ms.append((time.perf_counter() - started) * 1000)
        detections = make_detections(xyxy, np.zeros(len(xyxy), int))  # a cascade finds faces and no classes
        counts.add(match_photo(detections, photo.truth.xyxy, photo.truth.class_id, photo.ignored_xyxy))
    precision = counts.precision()
    return HaarScore(
        settings,
        recall=counts.recall() or 0.0,
        mask_recall=counts.recall(WITH_MASK) or 0.0,
        bare_recall=counts.recall(WITHOUT_MASK) or 0.0,
        precision=1.0 if precision is None else precision,
        false_alarms_per_photo=counts.off_face / len(photos),
        median_ms=float(np.median(times_ms)),
    )


def _hits(xyxy: np.ndarray, photo: AnnotatedPhoto) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes (n, 4) lie on a face, and which count at all: twice (n,) bool."""
    hit = overlaps(xyxy, photo.truth.xyxy).max(axis=1, initial=0) >= FALSE_ALARM_IOU
    return hit, hit | ~lies_on(xyxy, photo.ignored_xyxy)


def fit_box(photos: list[tuple[np.ndarray, AnnotatedPhoto]], cascade: str, settings: HaarSettings) -> np.ndarray:
    """Median place of an annotated face in a cascade's square, (4,): x1, y1, x2, y2 in units of its side."""
    finder, places = HaarFaceFinder(), []
    for frame, photo in photos:
        squares, _ = finder.find_squares(frame, cascade, settings, MIN_FACE_PX)
        found, true = match_boxes(squares, photo.truth.xyxy, 0.3)
        side = squares[found, 2:3] - squares[found, 0:1]
        places.append((photo.truth.xyxy[true] - np.tile(squares[found, :2], 2)) / side)
    return np.median(np.concatenate(places), axis=0)


def fit_score(
    photos: list[tuple[np.ndarray, AnnotatedPhoto]], cascade: str, settings: HaarSettings
) -> tuple[float, float]:
    """Centre and width of the logistic curve that turns the stage sum into the share of true faces (Platt 1999)."""
    finder, weights, is_face = HaarFaceFinder(), [], []
    for frame, photo in photos:
        squares, weight = finder.find_squares(frame, cascade, settings, MIN_FACE_PX)
        hit, counted = _hits(squares, photo)
        weights.append(weight[counted])
        is_face.append(hit[counted])
    scale, offset = platt_scaling(np.concatenate(weights), np.concatenate(is_face))
    return -offset / scale, 1 / scale


def format_report(scores: list[HaarScore], photos: int, faces_counted: int, data: str) -> str:
    """The measurement as Markdown, best setting first."""
    lines = [
        "# The Haar cascade's settings, measured",
        "",
        f"Made by `python -m train.tune_haar --data {data}`: {photos} photos that are not on the test list, "
        f"{faces_counted} faces of {MIN_FACE_PX} px and more.",
        f"Recall: share of the faces with a box at IoU {FOUND_IOU} or more. False alarm: a box that overlaps no "
        f"annotated face by {FALSE_ALARM_IOU}.",
        "Times compare the rows with each other; each was taken once, whatever else the machine did.",
        "Sorted by F1 of recall and precision. The first row without profile is the default in `core/vision/haar.py`.",
        "",
        "| cascade | profile | longest side | scale factor | neighbours | recall | with a mask | without | precision "
        "| false alarms a photo | F1 | ms a photo |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for s in sorted(scores, key=lambda each: -each.f1):
        h = s.settings
        lines.append(
            f"| {h.cascade} | {'yes' if h.profile else 'no'} | {h.max_side} | {h.scale_factor} | {h.min_neighbors} "
            f"| {s.recall:.1%} | {s.mask_recall:.1%} | {s.bare_recall:.1%} | {s.precision:.1%} "
            f"| {s.false_alarms_per_photo:.2f} | {s.f1:.3f} | {s.median_ms:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.tune_haar", description="Measure the Haar cascade's settings.", allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="photos with boxes: VOC, YOLO or COCO")
    parser.add_argument("--every", type=int, default=4, metavar="N", help="use every Nth photo, default 4")
    parser.add_argument("--out", type=Path, default=Path("docs/haar.md"))
    given = parser.parse_args()

    chosen = [photo for photo in read_photos(given.data) if not photo.held_out][:: given.every]
    photos = [(read_image(photo.path), photo) for photo in chosen]
    cascades = (*faces.CASCADE_FILES, "profile")
    for cascade in cascades:
        print(
            f"face in the square of {cascade}: {fit_box(photos, cascade, HaarSettings()).round(3).tolist()}", flush=True
        )
    scores = []
    for values in itertools.product(*GRID.values()):
        scores.append(score(HaarSettings(**dict(zip(GRID, values, strict=True))), photos))
        print(f"{values}: F1 {scores[-1].f1:.3f}", flush=True)
    best = max(scores, key=lambda each: each.f1)
    scores.append(score(dataclasses.replace(best.settings, profile=True), photos))
    for cascade in cascades:
        center, width = fit_score(photos, cascade, best.settings)
        print(f"score curve of {cascade}: centre {center:.2f}, width {width:.2f}")
    counted = sum(int((shorter_sides(photo.truth.xyxy) >= MIN_FACE_PX).sum()) for photo in chosen)
    text = format_report(scores, len(photos), counted, f"DATA/{given.data.name}")
    write_atomic(given.out, lambda path: path.write_text(text, encoding="utf-8"))
    print(f"best: {best.settings}")


if __name__ == "__main__":
    main()
