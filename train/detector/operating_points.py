"""From which score on a face is shown: ``python -m train.detector.operating_points --data DIR …``.

For every use and preset, the lowest score at which completed validation photos have no more than 0.02 false alarms
each: of all scores that keep to this limit, it finds the most faces. Boxes under 16 px, which are not counted there,
get a score of their own by the same rule, with 0.05 of them. ``train.detector.finish`` chooses so for a new
model; the command prints what the choice costs and gains for a model that is there, and draws recall over false alarms.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.config import models_dir
from core.datasets.extra import LABELS_DIR, add_extra, read_labels
from core.datasets.faces import DataError, read_photos
from core.vision.boxes import shorter_sides
from core.vision.crops import GREY, fit_within, resize
from core.vision.detections import make_detections
from core.vision.detector import DEFAULT_DETECTOR, PRESETS, MaskDetector, Preset, load_detector, tiny_px
from core.vision.images import read_image
from core.vision.metrics import Counts, PhotoMatch, match_photo
from core.vision.model_card import USES, ModelCard, load_card, shown_from

MAX_FALSE_ALARMS, MAX_TINY_FALSE_ALARMS = 0.02, 0.05
"""False alarms a photo that a score may cost. A fifth of the 0.10 that are to hold on photos of any origin: these
were completed with the help of earlier detectors, so that few unlabelled faces are left in them, and what was chosen
at 0.05 had three times as many elsewhere."""
MIN_FACE_PX = 24
# Detections with a lower score are left out.
LEAST_SCORE = 0.02
CANDIDATES = np.round(np.arange(0.05, 0.951, 0.01), 2)
# A webcam's longer side: live video is chosen for on photos no larger than that.
LIVE_SIDE = 640
CURVE_AT = (0.015, 0.025, 0.05, 0.1, 0.2)


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """A validation photo, completed by eye."""

    frame_bgr: np.ndarray
    """(h, w, 3) uint8."""
    xyxy: np.ndarray
    """(n, 4) float32, all its faces."""
    class_id: np.ndarray
    """(n,) int into ``CLASS_NAMES``."""
    ignored_xyxy: np.ndarray
    """(m, 4) float32, places that count neither as hit nor as miss."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The detections of one photo."""

    photo: AnnotatedFrame
    """At the size at which the detector got it."""
    score: np.ndarray
    """(n,) in 0..1, how likely each detection is a face."""
    match: PhotoMatch
    """The n detections against the photo's faces."""
    is_tiny: np.ndarray
    """(n,) bool: what has a least score of its own (``core.vision.detector.tiny_px``)."""

    def is_shown(self, score: float, tiny_score: float = 0.0) -> np.ndarray:
        """(n,) bool: what is shown from a score on; tiny boxes from the higher of the two."""
        return self.score >= np.where(self.is_tiny, max(score, tiny_score), score)


def as_used(photo: AnnotatedFrame, use: str) -> AnnotatedFrame:
    """The photo as it comes in live video or in an upload: reduced to a webcam's size, or as it is."""
    if use != "live":
        return photo
    frame, scale = fit_within(photo.frame_bgr, LIVE_SIDE)
    return AnnotatedFrame(frame, photo.xyxy * scale, photo.class_id, photo.ignored_xyxy * scale)


def scaled(photo: AnnotatedFrame, longer_side: int) -> AnnotatedFrame:
    """The photo with another longer side, larger or smaller."""
    height, width = photo.frame_bgr.shape[:2]
    scale = longer_side / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return AnnotatedFrame(
        resize(photo.frame_bgr, size_wh), photo.xyxy * scale, photo.class_id, photo.ignored_xyxy * scale
    )


def in_grids(photos: list[AnnotatedFrame], columns: int, rows: int) -> list[AnnotatedFrame]:
    """Large photos with small faces, as cameras of many megapixels take them: so many photos side by side."""
    side = max(max(photo.frame_bgr.shape[:2]) for photo in photos)
    grids = []
    for start in range(0, len(photos) - columns * rows + 1, columns * rows):
        frame = np.full((rows * side, columns * side, 3), GREY, np.uint8)
        faces, labels, ignored = [], [], []
        for place, photo in enumerate(photos[start : start + columns * rows]):
            y, x = (side * n for n in divmod(place, columns))
            height, width = photo.frame_bgr.shape[:2]
            frame[y : y + height, x : x + width] = photo.frame_bgr
            faces.append(photo.xyxy + [x, y, x, y])
            ignored.append(photo.ignored_xyxy + [x, y, x, y])
            labels.append(photo.class_id)
        grids.append(AnnotatedFrame(frame, *map(np.concatenate, (faces, labels, ignored))))
    return grids


def look_at(photos: list[AnnotatedFrame], detector: MaskDetector, preset: str | Preset) -> list[Seen]:
    """The detections of each photo at one preset, from a score of ``LEAST_SCORE`` on."""
    seen = []
    for photo in photos:
        xyxy, score, probabilities = detector.find(photo.frame_bgr, preset, LEAST_SCORE)
        detections = make_detections(
            xyxy, probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0), score, probabilities=probabilities
        )
        match = match_photo(detections, photo.xyxy, photo.class_id, photo.ignored_xyxy)
        seen.append(Seen(photo, score, match, shorter_sides(xyxy) < tiny_px(photo.frame_bgr, preset)))
    return seen


def choose_score(seen: list[Seen], tiny: bool = False) -> float:
    """The lowest score with at most ``MAX_FALSE_ALARMS`` a photo, or ``MAX_TINY_FALSE_ALARMS``.

    It is the highest there is, if none keeps to that.
    """
    wrong = [s.score[s.match.off_face & (s.is_tiny == tiny)] for s in seen]
    alarms = np.sort(np.concatenate([np.empty(0), *wrong]))
    per_photo = (len(alarms) - np.searchsorted(alarms, CANDIDATES)) / max(len(seen), 1)
    limit = MAX_TINY_FALSE_ALARMS if tiny else MAX_FALSE_ALARMS
    return float(CANDIDATES[np.argmax(per_photo <= limit) if per_photo[-1] <= limit else -1])


def figures(seen: list[Seen], score: float, tiny_score: float = 0.0) -> dict:
    """What showing faces from a score on gives, for faces of 24 px and more, and for those of 12 to 24 px.

    Boxes are matched with faces before the less likely ones are hidden, so that recall can only fall with a higher
    score.

    Returns:
        As a card keeps them: ``faces``, rates in 0..1 (0 where there is no such face) and false alarms.
    """
    counts = Counts(MIN_FACE_PX)
    for s in seen:
        counts.add(s.match, s.is_shown(score, tiny_score))
    return {
        "faces": counts.faces,
        "found": counts.recall() or 0.0,
        "found_and_right": counts.found_and_right() or 0.0,
        "found_and_right_two_state": counts.found_and_right_of_two() or 0.0,
        "small_found": counts.small_recall() or 0.0,
        "false_alarms": counts.false_alarms,
        "false_alarms_per_photo": counts.false_alarms_per_photo() or 0.0,
        "tiny_false_alarms_per_photo": (counts.off_face - counts.false_alarms) / max(counts.photos, 1),
    }


SeenByPoint = dict[tuple[str, str], list[Seen]]
"""The detections of all photos, by use and preset."""


def look_at_all(photos: list[AnnotatedFrame], detector: MaskDetector) -> SeenByPoint:
    """The detections of each photo in every use, at every preset."""
    return {
        (use, preset): look_at([as_used(photo, use) for photo in photos], detector, preset)
        for use in USES
        for preset in PRESETS
    }


def choose_scores(seen_by: SeenByPoint) -> tuple[dict, dict, dict]:
    """A card's ``face_scores`` and ``tiny_face_scores``, and the figures at them, all by use and preset."""
    scores: dict[str, dict[str, float]] = {use: {} for use in USES}
    tiny_scores: dict[str, dict[str, float]] = {use: {} for use in USES}
    facts: dict[str, dict[str, dict]] = {use: {} for use in USES}
    for (use, preset), seen in seen_by.items():
        scores[use][preset], tiny_scores[use][preset] = choose_score(seen), choose_score(seen, tiny=True)
        facts[use][preset] = figures(seen, scores[use][preset], tiny_scores[use][preset])
    return scores, tiny_scores, facts


def read_validation(folders: list[Path], labels: str | Path) -> list[AnnotatedFrame]:
    """The listed validation photos of folders with boxes, completed.

    Raises:
        DataError: a folder cannot be read or has no list of validation photos.
    """
    photos = []
    for folder in folders:
        known = read_labels(labels, folder.name)
        if known.validation is None:
            raise DataError(f"{labels} has no {folder.name}-validation.txt, which names the photos to use.")
        for photo in read_photos(folder):
            if photo.path.stem in known.validation:
                photo = add_extra(photo, known.extra.get(photo.path.stem))
                photos.append(
                    AnnotatedFrame(read_image(photo.path), photo.truth.xyxy, photo.truth.class_id, photo.ignored_xyxy)
                )
    return photos


def write_scores(seen_by: SeenByPoint, path: Path) -> ModelCard:
    """Choose the scores of a model that is there, and put them and their figures on its card."""
    face_scores, tiny_face_scores, facts = choose_scores(seen_by)
    card = load_card(path)
    validation = {**card.scores.get("validation", {}), **facts, "photos": len(next(iter(seen_by.values())))}
    scores = {**card.scores, "validation": validation}
    card = replace(card, face_scores=face_scores, tiny_face_scores=tiny_face_scores, scores=scores)
    card.save(path)
    return card


def curve(seen: list[Seen]) -> tuple[np.ndarray, np.ndarray]:
    """False alarms per photo and recall in 0..1 at every score of ``CANDIDATES``, (c,) each."""
    rows = [figures(seen, score) for score in CANDIDATES]
    return np.array([row["false_alarms_per_photo"] for row in rows]), np.array([row["found"] for row in rows])


def at_limits(alarms: np.ndarray, rates: np.ndarray) -> str:
    """The best rate at each limit of ``CURVE_AT``, in words, of false alarms per photo and rates in 0..1, (c,) each."""
    return ", ".join(f"{rates[alarms <= limit].max(initial=0):.1%}" for limit in CURVE_AT)


def draw(curves: dict[str, tuple[np.ndarray, np.ndarray]], points: dict[str, tuple[float, float]], path: Path) -> None:
    """Recall over false alarms as a picture, SVG or PNG; needs the package kaleido and a Chrome."""
    import plotly.graph_objects as go

    figure = go.Figure()
    colors = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito's
    for (name, (alarms, recall)), color in zip(curves.items(), colors, strict=False):
        dash = "dot" if name.startswith("live") else "solid"
        figure.add_scatter(x=alarms, y=recall, name=name, mode="lines", line={"color": color, "dash": dash})
        x, y = points[name]
        figure.add_scatter(x=[x], y=[y], mode="markers", marker={"color": color, "size": 10}, showlegend=False)
    figure.update_layout(
        template="plotly_white",
        xaxis={"title": "False alarms a photo", "range": [0, 0.4]},
        yaxis={"title": "Recall, faces of 24 px and more", "range": [0.75, 1], "tickformat": ".0%"},
        width=760,
        height=460,
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
    )
    figure.write_image(path)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector.operating_points",
        description="Show what each score costs and gains on validation photos.",
        allow_abbrev=False,
    )
    parser.add_argument("--data", action="append", required=True, type=Path, metavar="DIR", help="several times")
    parser.add_argument("--labels", default=LABELS_DIR, metavar="DIR", help=f"default {LABELS_DIR}")
    parser.add_argument("--model", default=DEFAULT_DETECTOR, metavar="NAME", help="a detector of models/")
    parser.add_argument("--longer-side", type=int, metavar="PX", help="reduce or enlarge the photos to this")
    parser.add_argument("--grid", type=int, nargs=2, metavar=("COLUMNS", "ROWS"), help="join so many photos to one")
    parser.add_argument("--write", action="store_true", help="choose the scores anew and write them to the card")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="write the curves here, SVG or PNG")
    given = parser.parse_args(arguments)
    photos = read_validation(given.data, given.labels)
    if given.longer_side:
        photos = [scaled(photo, given.longer_side) for photo in photos]
    if given.grid:
        photos = in_grids(photos, *given.grid)
    detector = load_detector(given.model)
    seen_by = look_at_all(photos, detector)
    card = write_scores(seen_by, models_dir() / f"{given.model}.json") if given.write else detector.card
    print(f"{len(photos)} validation photos\n")
    print("| use, preset | score | if tiny | recall | right of two | 12 to 24 px | false alarms a photo | tiny ones |")
    print("|---|---|---|---|---|---|---|---|")
    curves, points = {}, {}
    for (use, preset), seen in seen_by.items():
        score = shown_from(card.face_scores, use, preset)
        tiny_score = shown_from(card.tiny_face_scores, use, preset)
        row, name = figures(seen, score, tiny_score), f"{use}, {preset}"
        curves[name], points[name] = curve(seen), (row["false_alarms_per_photo"], row["found"])
        print(
            f"| {name} | {score:.2f} | {tiny_score:.2f} | {row['found']:.1%} "
            f"| {row['found_and_right_two_state']:.1%} | {row['small_found']:.1%} "
            f"| {row['false_alarms_per_photo']:.2f} | {row['tiny_false_alarms_per_photo']:.2f} |"
        )
    print("\nRecall at false alarms a photo of " + ", ".join(f"{limit:g}" for limit in CURVE_AT))
    for name, (alarms, recall) in curves.items():
        print(f"  {name}: {at_limits(alarms, recall)}")
    if given.draw:
        draw(curves, points, given.draw)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"train.detector.operating_points: {error}")
