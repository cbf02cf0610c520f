"""How well a pipeline does on annotated photos: collect photo by photo, then compute."""

import statistics
from dataclasses import dataclass

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


AP_IOU = 0.5


CALIBRATION_BINS = 15


# A box under a class less likely than this could hardly change an average precision.
LEAST_RANKED = 1e-3


TWO_STATES = [WITH_MASK, WITHOUT_MASK]


NO_BOXES = np.empty((0, 4), np.float32)


@dataclass(frozen=True)
class EvaluationResult:
    """Scores over all photos; shares are ``None`` where there was nothing to share. See ``Evaluation``."""

    photos: int
    faces: int
    min_face_px: float
    found: float | None
    """Share of the faces with a box at IoU 0.4 or more."""
    found_and_right: float | None
    """Share of the faces that are found and judged right; a face shown without a prediction is found only."""
    mask_found_and_right: float | None
    bare_found_and_right: float | None
    found_and_right_two_state: float | None
    """The same with two states, as ``map50_two_state``: of the faces with a mask or none, the share that is found and
    for which the true one of these two is the likelier."""
    small_found: float | None
    """Share found of the faces of 12 to 24 px, whatever ``min_face_px`` is."""
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
    """How far the probability of a verdict is from the share of right ones, among the faces found, 0..1."""
    median_ms: float | None


class Evaluation:
    """Collects photos; every figure ignores faces under ``min_face_px``, as hit and as miss.

    *Found*, *found and right* and false alarms count the boxes that are sure enough to be shown. Average precision
    ranks everything that the pipeline reports at all. As is usual for detectors (Lin et al. 2017, RetinaNet), a box
    counts under every class, by the product of its face score and that class's probability; where only the
    verdict's own probability is known, it counts under that class alone.
    """

    def __init__(self, min_face_px: float = 24):
        """Args: the shorter side in pixels from which an annotated face counts."""
        self.min_face_px = min_face_px
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self._times_ms: list[float] = []
        self._false_alarms = 0
        self._faces = np.zeros(len(CLASS_NAMES), int)
        self._found = np.zeros(len(CLASS_NAMES), int)
        self._right = np.zeros(len(CLASS_NAMES), int)
        self._right_of_two = 0
        self._small = np.zeros(2, int)  # faces, found
        self._shown = 0
        self._photos: list[tuple[sv.Detections, sv.Detections, np.ndarray]] = []
        self._confidence: list[np.ndarray] = []
        self._judged_right: list[np.ndarray] = []

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
            shown: what is sure enough to be shown.
            truth: all annotated faces.
            elapsed_ms: time the pipeline took, in milliseconds.
            ranked: everything the pipeline reports, for average precision; ``shown`` if left out.
            ignored_xyxy: (m, 4) places that count neither as hit nor as miss.
        """
        sizes = shorter_sides(truth.xyxy)
        counts = sizes >= self.min_face_px
        self._times_ms.append(elapsed_ms)
        predicted, true = match_boxes(shown.xyxy, truth.xyxy, FOUND_IOU)
        small = (sizes >= SMALL_FACE_PX[0]) & (sizes < SMALL_FACE_PX[1])
        self._small += [int(small.sum()), int(small[true].sum())]
        self._shown += len(shown) > 0
        counted = counts[true]
        predicted, true = predicted[counted], true[counted]
        told = shown.data[PREDICTED][predicted]
        right = told & (shown.class_id[predicted] == truth.class_id[true])
        self._confidence.append(shown.confidence[predicted[told]])
        self._judged_right.append(right[told])
        for class_id in range(len(CLASS_NAMES)):
            self._faces[class_id] += (truth.class_id[counts] == class_id).sum()
            self._found[class_id] += (truth.class_id[true] == class_id).sum()
            self._right[class_id] += (truth.class_id[true[right]] == class_id).sum()
        two = shown.data[PROBABILITIES][predicted][:, TWO_STATES]
        self._right_of_two += sum(
            known and truth.class_id[i] in TWO_STATES and p.max() > 0 and TWO_STATES[p.argmax()] == truth.class_id[i]
            for i, p, known in zip(true, two, told, strict=True)
        )
        self._false_alarms += int(false_alarms(shown.xyxy, truth.xyxy, ignored_xyxy).sum())
        self._photos.append((shown if ranked is None else ranked, truth, ignored_xyxy))

    def compute(self) -> EvaluationResult:
        """The scores of all photos so far."""
        photos, faces = len(self._photos), int(self._faces.sum())
        three = self._average_precision(ignored_class=None)
        two = self._average_precision(ignored_class=WORN_INCORRECTLY)
        return EvaluationResult(
            photos=photos,
            faces=faces,
            min_face_px=self.min_face_px,
            found=_share(self._found.sum(), faces),
            found_and_right=_share(self._right.sum(), faces),
            mask_found_and_right=_share(self._right[WITH_MASK], self._faces[WITH_MASK]),
            bare_found_and_right=_share(self._right[WITHOUT_MASK], self._faces[WITHOUT_MASK]),
            found_and_right_two_state=_share(self._right_of_two, int(self._faces[TWO_STATES].sum())),
            small_found=_share(self._small[1], self._small[0]),
            photos_with_a_face_shown=_share(self._shown, photos),
            false_alarms_per_photo=_share(self._false_alarms, photos),
            ap50={name: three.get(i) for i, name in enumerate(CLASS_NAMES)},
            map50_two_state=_mean(two.get(WITH_MASK), two.get(WITHOUT_MASK)),
            map50_three_state=_mean(*(three.get(i) for i in range(len(CLASS_NAMES)))),
            verdict_calibration_error=calibration_error(
                np.concatenate([np.empty(0), *self._confidence]),
                np.concatenate([np.empty(0, bool), *self._judged_right]),
            ),
            median_ms=statistics.median(self._times_ms) if self._times_ms else None,
        )

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


def false_alarms(
    xyxy: np.ndarray,
    true_xyxy: np.ndarray,
    ignored_xyxy: np.ndarray = NO_BOXES,
    min_px: float = MIN_FALSE_ALARM_PX,
) -> np.ndarray:
    """Which boxes (n, 4) are 16 px and more and on no face (t, 4) and on no place that does not count (m, 4)."""
    alone = overlaps(xyxy, true_xyxy).max(axis=1, initial=0) < FALSE_ALARM_IOU
    return alone & (shorter_sides(xyxy) >= min_px) & ~lies_on(xyxy, ignored_xyxy)


def _under_every_class(found: sv.Detections) -> sv.Detections:
    """One detection per box and class, its confidence the product of face score and that class's probability."""
    score = found.data[FACE_SCORE][:, None] * found.data[PROBABILITIES]  # (n, k)
    place, class_id = np.nonzero(score >= LEAST_RANKED)
    return sv.Detections(found.xyxy[place], confidence=score[place, class_id], class_id=class_id)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = CALIBRATION_BINS) -> float | None:
    """Expected calibration error (Guo et al. 2017): how far the stated probability is from the share that is right.

    Judgements are put in ``bins`` bins of equal width by their probability; the gap in each is weighted by its size.

    Args:
        confidence: (n,) in 0..1.
        right: (n,) bool.

    Returns:
        0..1, or ``None`` for no judgements.
    """
    if not len(confidence):
        return None
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = 0.0
    for b in range(bins):
        inside = bin_of == b
        if inside.any():
            gap += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(gap)


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _mean(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def classification_scores(probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict:
    """Everything a report says of a set of judged faces, as plain numbers.

    Args:
        probabilities: (n, k) in 0..1.
        labels: (n,) int, the true place in ``classes``.
        classes: k names.

    Returns:
        ``images``, ``accuracy``, ``balanced_accuracy`` (mean recall of the classes that occur), ``log_loss``,
        ``expected_calibration_error``, ``confusion_matrix`` (rows true, columns judged) and per class ``precision``,
        ``recall``, ``f1`` and ``support``. Of no images, every score is ``None``.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    n = len(labels)
    if probabilities.shape != (n, len(classes)):
        raise ValueError(f"probabilities have shape {probabilities.shape}, expected {(n, len(classes))}.")
    if n == 0:
        return {"images": 0, "accuracy": None, "balanced_accuracy": None}
    judged = probabilities.argmax(axis=1)
    places = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(labels, judged, labels=places, zero_division=0)
    return {
        "images": n,
        "accuracy": float((judged == labels).mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "log_loss": float(-np.log(np.clip(probabilities[np.arange(n), labels], 1e-7, 1)).mean()),
        "expected_calibration_error": calibration_error(probabilities.max(axis=1), judged == labels),
        "confusion_matrix": confusion_matrix(labels, judged, labels=places).tolist(),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for name, p, r, f, s in zip(classes, precision, recall, f1, support, strict=True)
        },
    }


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number to divide logits by so that their softmax is calibrated (Guo et al. 2017), 0.25..8.

    Args:
        logits: (n, k); labels: (n,) int. With no samples the answer is 1.
    """
    if not len(labels):
        return 1.0
    candidates = np.geomspace(0.25, 8, 241)
    losses = []
    for temperature in candidates:
        scaled = logits / temperature
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        losses.append((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]).mean())
    return float(candidates[int(np.argmin(losses))])


def best_offsets(logits: np.ndarray, labels: np.ndarray, strength: float = 2.0) -> tuple[float, np.ndarray]:
    """Temperature and one offset per class that calibrate ``softmax(logits / temperature + offsets)``.

    Bias-corrected temperature scaling (Alexandari et al. 2020): a class that was drawn more often in training than it
    is met gets its likelihood back. The offsets are held near 0, all the more the fewer faces there are.

    Args:
        logits: (n, k).
        labels: (n,) int. With no samples the answer is 1 and no offsets.
        strength: how strongly they are held, in faces.
    """
    from scipy.optimize import minimize

    k = logits.shape[1]
    if not len(labels):
        return 1.0, np.zeros(k)

    def loss(x: np.ndarray) -> float:
        scaled = logits / np.exp(x[0]) + x[1:]
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        nll = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]
        return nll.sum() + strength * (x**2).sum()

    x = minimize(loss, np.zeros(k + 1), method="L-BFGS-B", bounds=[(np.log(0.25), np.log(8))] + [(-4, 4)] * k).x
    return float(np.exp(x[0])), x[1:] - x[1:].mean()
