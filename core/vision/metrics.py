"""How well a pipeline does on annotated photos: match photo by photo, collect, then compute.

``match_photo`` relates the detections of one photo to its annotated faces, ``Counts`` adds such photos up, and
``Evaluation`` adds average precision, calibration and time. Whatever reports recall or false alarms counts with these:
evaluation, training, the choice of scores, the tuning of the Haar cascade.
"""

import statistics
from dataclasses import dataclass, field

import numpy as np
import supervision as sv

from core.vision.boxes import match_boxes, overlaps, shorter_sides
from core.vision.classes import CLASS_NAMES, WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY
from core.vision.detections import FACE_SCORE, PREDICTED, PROBABILITIES

FOUND_IOU = 0.4
FALSE_ALARM_IOU = 0.3
# Smaller boxes on no face are no false alarms: nobody can tell what they show, and annotators leave such faces out.
MIN_FALSE_ALARM_PX = 16
# Small faces are counted apart.
SMALL_FACE_PX = (12, 24)
SIZES_PX = (10, 16, 24, 48, 96)
"""Where one group of face sizes ends and the next begins; the last has no end."""
RESAMPLES = 2000
AP_IOU = 0.5
CALIBRATION_BINS = 15
# A box under a class less likely than this could hardly change an average precision.
LEAST_RANKED = 1e-3
TWO_STATES = [WITH_MASK, WITHOUT_MASK]
NO_BOXES = np.empty((0, 4), np.float32)


@dataclass(frozen=True, eq=False)
class PhotoMatch:
    """The n detections of one photo, matched one to one with its t annotated faces: m pairs."""

    detections: sv.Detections
    """All n, as ``core.vision.detections`` describes them."""
    face_px: np.ndarray
    """(t,) float32, shorter side of each annotated face in pixels."""
    face_class: np.ndarray
    """(t,) int into ``CLASS_NAMES``, -1 where only the place of the face is known."""
    detection: np.ndarray
    """(m,) int, the detection of each pair."""
    face: np.ndarray
    """(m,) int, the face of each pair."""
    off_face: np.ndarray
    """(n,) bool, the detections of any size that lie on no face and on no ignored place."""
    on_ignored: np.ndarray
    """(n,) bool, the detections that lie on no face, but on an ignored place: neither right nor wrong."""

    @property
    def is_false_alarm(self) -> np.ndarray:
        """(n,) bool: off every face, and large enough (16 px) for anyone to tell."""
        return self.off_face & (shorter_sides(self.detections.xyxy) >= MIN_FALSE_ALARM_PX)

    @property
    def told(self) -> np.ndarray:
        """(m,) bool, the pairs whose class is confident enough to be shown."""
        return self.detections.data[PREDICTED][self.detection]

    @property
    def true_class(self) -> np.ndarray:
        """(m,) int, the annotated class of each pair's face."""
        return self.face_class[self.face]

    @property
    def is_right(self) -> np.ndarray:
        """(m,) bool, the pairs whose class is shown and is the annotated one."""
        return self.told & (self.detections.class_id[self.detection] == self.true_class)

    @property
    def is_right_of_two(self) -> np.ndarray:
        """(m,) bool, the pairs whose class is shown and in which the true one of ``TWO_STATES`` is the likelier.

        Where a pipeline knows nothing of the two, neither is right.
        """
        two = self.detections.data[PROBABILITIES][self.detection][:, TWO_STATES]
        likelier = np.array(TWO_STATES)[two.argmax(axis=1)]
        return self.told & (two.max(axis=1) > 0) & (likelier == self.true_class)


def match_photo(
    detections: sv.Detections,
    true_xyxy: np.ndarray,
    true_class_id: np.ndarray,
    ignored_xyxy: np.ndarray = NO_BOXES,
) -> PhotoMatch:
    """Match the detections of one photo with its annotated faces, best overlap first, at IoU 0.4 or more.

    Args:
        detections: n of them.
        true_xyxy: (t, 4) all annotated faces, of any size.
        true_class_id: (t,) int into ``CLASS_NAMES``, -1 where only the place is known.
        ignored_xyxy: (i, 4) places that count neither as hit nor as miss.
    """
    detection, face = match_boxes(detections.xyxy, true_xyxy, FOUND_IOU)
    on_no_face = overlaps(detections.xyxy, true_xyxy).max(axis=1, initial=0) < FALSE_ALARM_IOU
    on_ignored = on_no_face & lies_on(detections.xyxy, ignored_xyxy)
    face_px, face_class = shorter_sides(true_xyxy), np.asarray(true_class_id, int)
    return PhotoMatch(detections, face_px, face_class, detection, face, on_no_face & ~on_ignored, on_ignored)


class Counts:
    """Adds up matched photos: the one place where recall, precision and false alarms are counted.

    Faces under ``min_face_px`` count neither as hit nor as miss. Rates lie in 0..1 and are ``None`` where there is
    nothing to divide by.
    """

    def __init__(self, min_face_px: float = 24):
        """Args: the shorter side in pixels from which an annotated face counts."""
        self.min_face_px = min_face_px
        self.photos = self.photos_with_a_face_shown = self.shown = 0
        self.off_face = self.false_alarms = 0
        self.small_faces = self.small_found = 0
        # By class; the last place holds the faces of which only the place is known.
        places = len(CLASS_NAMES) + 1
        self._faces, self._found = np.zeros(places, int), np.zeros(places, int)
        self._right, self._right_of_two = np.zeros(places, int), np.zeros(places, int)

    def add(self, match: PhotoMatch, is_shown: np.ndarray | None = None) -> None:
        """Add one photo.

        Args:
            match: of everything that was detected in it.
            is_shown: (n,) bool, the detections to count; all, if left out.
        """
        is_shown = np.ones(len(match.detections), bool) if is_shown is None else is_shown
        large = match.face_px >= self.min_face_px
        small = (match.face_px >= SMALL_FACE_PX[0]) & (match.face_px < SMALL_FACE_PX[1])
        pair_shown = is_shown[match.detection]
        counted = pair_shown & large[match.face]
        self.photos += 1
        self.photos_with_a_face_shown += bool(is_shown.any())
        self.shown += int((is_shown & ~match.on_ignored).sum())
        self.off_face += int((match.off_face & is_shown).sum())
        self.false_alarms += int((match.is_false_alarm & is_shown).sum())
        self.small_faces += int(small.sum())
        self.small_found += int(small[match.face[pair_shown]].sum())
        self._faces += _by_class(match.face_class[large])
        self._found += _by_class(match.true_class[counted])
        self._right += _by_class(match.true_class[counted & match.is_right])
        self._right_of_two += _by_class(match.true_class[counted & match.is_right_of_two])

    @property
    def faces(self) -> int:
        """Annotated faces that count."""
        return int(self._faces.sum())

    def fractions(self) -> dict[str, tuple[float, float]]:
        """Part and whole of the rates that get an interval, under their names in ``EvaluationResult``."""
        return {
            "found": self._of(self._found, None),
            "found_and_right": self._of(self._right, None),
            "found_and_right_two_state": (self._right_of_two[TWO_STATES].sum(), self._faces[TWO_STATES].sum()),
            "false_alarms_per_photo": (self.false_alarms, self.photos),
        }

    def recall(self, class_id: int | None = None) -> float | None:
        """Share of the faces, or of those of one class, that a detection is matched with."""
        return _share(*self._of(self._found, class_id))

    def by_kind(self) -> list[dict]:
        """For each class its faces, and how many were found and classified correctly."""
        return [
            {"kind": name, "faces": int(faces), "right": int(right)}
            for name, faces, right in zip(CLASS_NAMES, self._faces, self._right, strict=False)
        ]

    def found_and_right(self, class_id: int | None = None) -> float | None:
        """Share of the faces, or of those of one class, that are found and whose class is shown and right."""
        return _share(*self._of(self._right, class_id))

    def found_and_right_of_two(self) -> float | None:
        """Binary: of the faces with a mask or none, the share that is found with the true one as the likelier."""
        return _share(*self.fractions()["found_and_right_two_state"])

    def small_recall(self) -> float | None:
        """Share found of the faces of 12 to 24 px, whatever ``min_face_px`` is."""
        return _share(self.small_found, self.small_faces)

    def precision(self) -> float | None:
        """Share of the shown detections, of any size, that lie on a face or on an ignored place."""
        return _share(self.shown - self.off_face, self.shown)

    def false_alarms_per_photo(self) -> float | None:
        """Shown detections of 16 px and more on no face, per photo: 0 and more."""
        return _share(self.false_alarms, self.photos)

    def _of(self, counts: np.ndarray, class_id: int | None) -> tuple[int, int]:
        places = slice(None) if class_id is None else class_id
        return int(counts[places].sum()), int(self._faces[places].sum())


def _by_class(class_id: np.ndarray) -> np.ndarray:
    """How often each class occurs, (k + 1,) int; the last place counts the unknown ones."""
    return np.bincount(class_id % (len(CLASS_NAMES) + 1), minlength=len(CLASS_NAMES) + 1)


@dataclass(frozen=True)
class EvaluationResult:
    """Scores over all photos; shares are ``None`` where there was nothing to share. See ``Evaluation``.

    Files of earlier evaluations have these names, so they stay.
    """

    photos: int
    faces: int
    min_face_px: float
    found: float | None
    """Recall: share of the faces with a box at IoU 0.4 or more."""
    found_and_right: float | None
    """Share of the faces that are found and classified right; one shown without a prediction is found only."""
    mask_found_and_right: float | None
    bare_found_and_right: float | None
    found_and_right_two_state: float | None
    """The same with two states, as ``map50_two_state``: of the faces with a mask or none, the share that is found and
    for which the true one of these two is the likelier."""
    small_found: float | None
    """Recall of the faces of 12 to 24 px, whatever ``min_face_px`` is."""
    photos_with_a_face_shown: float | None
    """Share of the photos in which anything is shown."""
    false_alarms_per_photo: float | None
    """Boxes of 16 px and more, per photo, that overlap no annotated face, of any size or class, by 0.3, and do not lie
    on a place that counts neither as hit nor as miss."""
    ap50: dict[str, float | None]
    """Average precision at IoU 0.5 per class, worn-incorrectly faces counted (three-state)."""
    map50_two_state: float | None
    """Mean of mask and no mask, faces with a mask worn incorrectly ignored."""
    map50_three_state: float | None
    """Mean of all three classes."""
    verdict_calibration_error: float | None
    """Calibration error of the predictions, among the faces found, 0..1; see ``calibration_error``."""
    median_ms: float | None
    bare_shown_as_masked: float | None = None
    """Of the faces without a mask that are found and classified, the share called a mask, worn right or not."""
    by_size: list[dict] = field(default_factory=list)
    """For each group of ``SIZES_PX``: ``from_px``, ``to_px`` (``None`` in the last), ``faces``, and how many of them
    are ``found``, and found and ``right``; whatever ``min_face_px`` is."""
    by_kind: list[dict] = field(default_factory=list)
    """Each class with its faces, and how many were found and classified correctly."""
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    """From where to where the rates of ``Counts.fractions`` reach with 95 % confidence; see ``bootstrap``."""
    calibration: list[dict] = field(default_factory=list)
    """What ``reliability`` says of the faces found."""
    slices: dict[str, list[dict]] = field(default_factory=dict)
    """By what was noted of faces, ``pose`` or ``covering``, the rows of ``core.vision.slices``."""


class Evaluation:
    """Collects photos; every figure ignores faces under ``min_face_px``, as hit and as miss.

    Recall, the share classified right and false alarms count the boxes whose score is high enough to be shown. Average
    precision ranks everything that the pipeline reports at all. As is usual for detectors (Lin et al. 2017,
    RetinaNet), a box counts under every class, by the product of its face score and that class's probability; where
    only the probability of the predicted class is known, it counts under that class alone.
    """

    def __init__(self, min_face_px: float = 24):
        """Args: the shorter side in pixels from which an annotated face counts."""
        self.min_face_px = min_face_px
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self.counts = Counts(self.min_face_px)
        self._times_ms: list[float] = []
        self._photos: list[tuple[sv.Detections, sv.Detections, np.ndarray]] = []
        self._confidence: list[np.ndarray] = []
        self._is_right: list[np.ndarray] = []
        self._fractions: list[dict[str, tuple[float, float]]] = []
        self._faces: list[np.ndarray] = []
        self._bare_classes: list[np.ndarray] = []

    def update(
        self,
        shown: sv.Detections,
        truth: sv.Detections,
        elapsed_ms: float,
        ranked: sv.Detections | None = None,
        ignored_xyxy: np.ndarray = NO_BOXES,
    ) -> None:
        """Add one photo, with or without faces.

        Args:
            shown: what has a score high enough to be shown.
            truth: all annotated faces.
            elapsed_ms: time the pipeline took, in milliseconds.
            ranked: everything the pipeline reports, for average precision; ``shown`` if left out.
            ignored_xyxy: (m, 4) places that count neither as hit nor as miss.
        """
        match = match_photo(shown, truth.xyxy, truth.class_id, ignored_xyxy)
        self.counts.add(match)
        alone = Counts(self.min_face_px)
        alone.add(match)
        self._fractions.append(alone.fractions())
        found, right = np.zeros((2, len(match.face_px)), bool)
        found[match.face], right[match.face] = True, match.is_right
        self._faces.append(np.stack([match.face_px, found, right], axis=1))
        told = match.told & (match.face_px[match.face] >= self.min_face_px)
        self._bare_classes.append(shown.class_id[match.detection[told & (match.true_class == WITHOUT_MASK)]])
        self._confidence.append(shown.confidence[match.detection[told]])
        self._is_right.append(match.is_right[told])
        self._times_ms.append(elapsed_ms)
        self._photos.append((shown if ranked is None else ranked, truth, ignored_xyxy))

    def compute(self) -> EvaluationResult:
        """The scores of all photos so far."""
        counts = self.counts
        three = self._average_precision(ignored_class=None)
        two = self._average_precision(ignored_class=WORN_INCORRECTLY)
        confidence = np.concatenate([np.empty(0), *self._confidence])
        is_right = np.concatenate([np.empty(0, bool), *self._is_right])
        bare = np.concatenate([np.empty(0, int), *self._bare_classes])
        return EvaluationResult(
            photos=counts.photos,
            faces=counts.faces,
            min_face_px=self.min_face_px,
            found=counts.recall(),
            found_and_right=counts.found_and_right(),
            mask_found_and_right=counts.found_and_right(WITH_MASK),
            bare_found_and_right=counts.found_and_right(WITHOUT_MASK),
            found_and_right_two_state=counts.found_and_right_of_two(),
            small_found=counts.small_recall(),
            photos_with_a_face_shown=_share(counts.photos_with_a_face_shown, counts.photos),
            false_alarms_per_photo=counts.false_alarms_per_photo(),
            ap50={name: three.get(i) for i, name in enumerate(CLASS_NAMES)},
            map50_two_state=_mean(two.get(WITH_MASK), two.get(WITHOUT_MASK)),
            map50_three_state=_mean(*(three.get(i) for i in range(len(CLASS_NAMES)))),
            verdict_calibration_error=calibration_error(confidence, is_right),
            median_ms=statistics.median(self._times_ms) if self._times_ms else None,
            bare_shown_as_masked=_share((bare != WITHOUT_MASK).sum(), len(bare)),
            by_size=self._by_size(),
            by_kind=counts.by_kind(),
            intervals=bootstrap(self._fractions),
            calibration=reliability(confidence, is_right),
        )

    def _by_size(self) -> list[dict]:
        px, found, right = np.concatenate([np.empty((0, 3)), *self._faces]).T
        rows = []
        for from_px, to_px in zip(SIZES_PX, (*SIZES_PX[1:], None), strict=True):
            inside = (px >= from_px) & (px < (to_px or np.inf))
            counts = {"faces": inside.sum(), "found": found[inside].sum(), "right": right[inside].sum()}
            rows.append({"from_px": from_px, "to_px": to_px, **{name: int(count) for name, count in counts.items()}})
        return rows

    def _average_precision(self, ignored_class: int | None) -> dict[int, float]:
        """AP at IoU 0.5 by class, of the classes that occur."""
        from supervision.metrics import MeanAveragePrecision

        # COCO keeps the best 100 boxes of a photo, which would cost a crowd its share.
        metric = MeanAveragePrecision(max_detection_thresholds=(1, 10, 10_000))
        for ranked, truth, ignored_xyxy in self._photos:
            counts = (shorter_sides(truth.xyxy) >= self.min_face_px) & (truth.class_id != ignored_class)
            scored = _under_every_class(ranked[~self._to_ignore(ranked, truth, counts, ignored_xyxy)])
            if ignored_class is not None:
                scored = scored[scored.class_id != ignored_class]
            target = sv.Detections(truth.xyxy[counts], class_id=truth.class_id[counts])
            metric.update(scored, target)
        if not any(len(truth) for _, truth, _ in self._photos):
            return {}
        result = metric.compute()
        return {
            int(class_id): float(ap[0])
            for class_id, ap in zip(result.matched_classes, result.ap_per_class, strict=True)
            if ap[0] >= 0
        }

    def _to_ignore(
        self, ranked: sv.Detections, truth: sv.Detections, counts: np.ndarray, ignored_xyxy: np.ndarray
    ) -> np.ndarray:
        """Boxes that are neither right nor wrong, as in COCO: on an ignored face, or small and on no face at all."""
        iou = overlaps(ranked.xyxy, truth.xyxy)
        on_counted = iou[:, counts].max(axis=1, initial=0) >= AP_IOU
        on_ignored = iou[:, ~counts].max(axis=1, initial=0) >= AP_IOU
        small = shorter_sides(ranked.xyxy) < self.min_face_px
        return ~on_counted & (on_ignored | small | lies_on(ranked.xyxy, ignored_xyxy))


def lies_on(xyxy: np.ndarray, places_xyxy: np.ndarray) -> np.ndarray:
    """Which boxes (n, 4) lie on one of the places (m, 4): they overlap by 0.3, or their centre is inside; (n,) bool.

    Such a place was marked roughly: what is there may have a box of another size.
    """
    xyxy, places = np.asarray(xyxy, np.float32).reshape(-1, 4), np.asarray(places_xyxy, np.float32).reshape(-1, 4)
    x, y = (xyxy[:, None, 0] + xyxy[:, None, 2]) / 2, (xyxy[:, None, 1] + xyxy[:, None, 3]) / 2
    inside = (x >= places[:, 0]) & (x <= places[:, 2]) & (y >= places[:, 1]) & (y <= places[:, 3])  # (n, m)
    return np.any(inside | (overlaps(xyxy, places) >= FALSE_ALARM_IOU), axis=1)


def _under_every_class(detections: sv.Detections) -> sv.Detections:
    """One detection per box and class, its confidence the product of face score and that class's probability."""
    score = detections.data[FACE_SCORE][:, None] * detections.data[PROBABILITIES]  # (n, k)
    place, class_id = np.nonzero(score >= LEAST_RANKED)
    return sv.Detections(detections.xyxy[place], confidence=score[place, class_id], class_id=class_id)


def bootstrap(photos: list[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """95 % intervals of rates over all photos, by drawing the photos anew (Efron 1979), percentile method.

    Photos are drawn, not faces: those of one photo resemble each other.

    Args:
        photos: for each, ``Counts.fractions``.

    Returns:
        Name to least and greatest; without the rates that have nothing to divide by. The same photos give the same.
    """
    if len(photos) < 2:
        return {}
    drawn = np.random.default_rng(0).integers(len(photos), size=(RESAMPLES, len(photos)))
    intervals = {}
    for name in photos[0]:
        part, whole = np.array([photo[name] for photo in photos], float).T
        parts, wholes = part[drawn].sum(axis=1), whole[drawn].sum(axis=1)
        if whole.any():
            low, high = np.percentile(parts[wholes > 0] / wholes[wholes > 0], [2.5, 97.5])
            intervals[name] = (float(low), float(high))
    return intervals


def reliability(confidence: np.ndarray, is_right: np.ndarray, bins: int = CALIBRATION_BINS) -> list[dict]:
    """What a reliability diagram shows: predictions in ``bins`` bins of equal width by their confidence.

    Args:
        confidence: (n,) in 0..1, the probability of the predicted class.
        is_right: (n,) bool.
        bins: how many.

    Returns:
        For each bin that holds any: mean ``confidence`` and share ``right``, both 0..1, and how many ``faces``.
    """
    bin_of = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidence[bin_of == each].mean()),
            "right": float(is_right[bin_of == each].mean()),
            "faces": int((bin_of == each).sum()),
        }
        for each in np.unique(bin_of)
    ]


def calibration_error(confidence: np.ndarray, is_right: np.ndarray, bins: int = CALIBRATION_BINS) -> float | None:
    """Expected calibration error (Guo et al. 2017): how far the stated confidence is from the share that is right.

    The gap in each bin of ``reliability`` is weighted by its size.

    Args:
        confidence: (n,) in 0..1, the probability of the predicted class.
        is_right: (n,) bool.
        bins: how many.

    Returns:
        0..1, or ``None`` for no predictions.
    """
    rows = reliability(confidence, is_right, bins)
    return _share(sum(row["faces"] * abs(row["confidence"] - row["right"]) for row in rows), len(confidence))


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _mean(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def balanced_accuracy(predicted: np.ndarray, labels: np.ndarray, classes: int) -> float | None:
    """Mean recall of all classes, 0..1; ``None`` if one of them does not occur in ``labels``: its recall is unknown.

    Args:
        predicted: (n,) int.
        labels: (n,) int in 0..classes - 1.
        classes: how many there are.
    """
    if len(np.unique(labels)) < classes:
        return None
    return float(np.mean([(predicted[labels == label] == label).mean() for label in range(classes)]))


def classification_scores(probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict:
    """Everything a report says of a set of classified faces, as plain numbers.

    Args:
        probabilities: (n, k) in 0..1.
        labels: (n,) int, the true place in ``classes``.
        classes: k names.

    Returns:
        ``images``, ``accuracy``, ``balanced_accuracy`` (``None`` if a class does not occur), ``log_loss``,
        ``expected_calibration_error``, ``confusion_matrix`` (rows true, columns predicted) and per class ``precision``,
        ``recall``, ``f1`` and ``support``. Of no images, every score is ``None``.

    Raises:
        ValueError: the probabilities are not (n, k).
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    n = len(labels)
    if probabilities.shape != (n, len(classes)):
        raise ValueError(f"probabilities have shape {probabilities.shape}, expected {(n, len(classes))}.")
    if n == 0:
        return {"images": 0, "accuracy": None, "balanced_accuracy": None}
    predicted = probabilities.argmax(axis=1)
    places = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=places, zero_division=0)
    return {
        "images": n,
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": balanced_accuracy(predicted, labels, len(classes)),
        "log_loss": float(-np.log(np.clip(probabilities[np.arange(n), labels], 1e-7, 1)).mean()),
        "expected_calibration_error": calibration_error(probabilities.max(axis=1), predicted == labels),
        "confusion_matrix": confusion_matrix(labels, predicted, labels=places).tolist(),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for name, p, r, f, s in zip(classes, precision, recall, f1, support, strict=True)
        },
    }
