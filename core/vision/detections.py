"""The one type that flows through the project: ``supervision.Detections``, always filled the same way.

- ``xyxy`` (n, 4) float32, pixels of the frame.
- ``class_id`` (n,) int, index into ``classes_of(detections)``, which is ``metadata["classes"]``.
- ``confidence`` (n,) float32 in 0..1, for that class.
- ``data["class_name"]`` (n,) text, the name of that class.
- ``data["face_score"]`` (n,) float32 in 0..1, how sure it is that this is a face.
- ``data["probabilities"]`` (n, k) float32 in 0..1, of each of the k classes; 0 for those that a model does not know.
  Where only the prediction's own probability is known, that stands in its column and 0 in the others.
- ``data["predicted"]`` (n,) bool, whether the class is sure enough to be told. Where it is not, the fields above still
  name the likeliest class, and whatever people see says "?": a face without a prediction.
- ``metadata["hidden"]`` int, how many more faces were found and are smaller than the limit that a person set; 0 if it
  is missing. Parts of one frame keep it; frames that differ in it cannot be merged.

Which classes these are: a pipeline whose classes are all the project's own speaks of all ``CLASS_NAMES``, in their
order, even if it knows two of them, so that its predictions can be compared with every other's and with the truth. A
pipeline that knows any other class speaks of its own classes alone, in the order of its model
(``core.vision.classes.vocabulary``). Ground truth is the same type with scores of 1.
"""

from dataclasses import replace

import numpy as np
import supervision as sv

from core.vision.classes import CLASS_NAMES, NO_PREDICTION, ClassStyle, styles_of
from core.vision.crops import resize

FACE_SCORE = "face_score"
CLASS_NAME = "class_name"
PROBABILITIES = "probabilities"
PREDICTED = "predicted"
CLASSES = "classes"
HIDDEN = "hidden"


def make_detections(
    xyxy: np.ndarray,
    class_id: np.ndarray,
    confidence: np.ndarray | None = None,
    face_score: np.ndarray | None = None,
    classes: tuple[str, ...] = CLASS_NAMES,
    probabilities: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
) -> sv.Detections:
    """Detections with every field of the project's contract; missing scores are 1, as for ground truth.

    Without ``predicted``, every class is sure enough to be told.

    Raises:
        ValueError: lengths differ, a class is unknown, or a score lies outside 0..1.
    """
    xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
    n, k = len(xyxy), len(classes)
    class_id = np.asarray(class_id, int).reshape(-1)
    if class_id.shape != (n,):
        raise ValueError(f"class_id has shape {class_id.shape}, expected ({n},), one for each box.")
    if n and not (class_id.min() >= 0 and class_id.max() < k):
        raise ValueError(f"class_id must lie in 0..{k - 1}, got {class_id.tolist()}.")
    confidence = _scores("confidence", confidence, (n,))
    face_score = _scores(FACE_SCORE, face_score, (n,))
    if probabilities is None:
        probabilities = np.zeros((n, k), np.float32)
        probabilities[np.arange(n), class_id] = confidence
    predicted = np.ones(n, bool) if predicted is None else np.asarray(predicted, bool)
    if predicted.shape != (n,):
        raise ValueError(f"{PREDICTED} has shape {predicted.shape}, expected ({n},), one for each box.")
    return sv.Detections(
        xyxy=xyxy,
        class_id=class_id,
        confidence=confidence,
        data={
            FACE_SCORE: face_score,
            CLASS_NAME: np.array(classes, str)[class_id],
            PROBABILITIES: _scores(PROBABILITIES, probabilities, (n, k)),
            PREDICTED: predicted,
        },
        metadata={CLASSES: tuple(classes)},
    )


def _scores(name: str, values: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    values = np.ones(shape, np.float32) if values is None else np.asarray(values, np.float32)
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, expected {shape}: one for each box.")
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{name} must lie in 0..1, got {values.min()}..{values.max()}.")
    return values


def no_detections(classes: tuple[str, ...] = CLASS_NAMES) -> sv.Detections:
    """What a frame without a face gives: the same fields, all of length 0."""
    return make_detections(np.empty((0, 4)), np.empty(0), classes=classes)


def classes_of(detections: sv.Detections) -> tuple[str, ...]:
    """The names that ``class_id`` counts through, also where nothing was found."""
    return tuple(detections.metadata.get(CLASSES, CLASS_NAMES))


def hidden_faces(detections: sv.Detections) -> int:
    """How many more faces were found and are smaller than the limit that a person set."""
    return int(detections.metadata.get(HIDDEN, 0))


def face_styles(detections: sv.Detections) -> list[ClassStyle]:
    """How each face is shown: as its class, or as a face without a prediction."""
    of_class = styles_of(classes_of(detections))
    return [
        of_class[class_id] if predicted else NO_PREDICTION
        for class_id, predicted in zip(detections.class_id, detections.data[PREDICTED], strict=True)
    ]


def fitted(detections: sv.Detections, from_wh: tuple[int, int], to_wh: tuple[int, int]) -> sv.Detections:
    """Detections in a frame of one size as those of the same frame in another; the given ones are not changed."""
    ratio = np.array([to_wh[0] / from_wh[0], to_wh[1] / from_wh[1]] * 2, np.float32)
    return replace(
        detections,
        xyxy=detections.xyxy * ratio,
        data=dict(detections.data),
        metadata=dict(detections.metadata),
    )


def resized(
    frame_bgr: np.ndarray, detections: sv.Detections, size_wh: tuple[int, int]
) -> tuple[np.ndarray, sv.Detections]:
    """A frame and its detections at another size; the given ones are not changed."""
    return resize(frame_bgr, size_wh), fitted(detections, frame_bgr.shape[1::-1], size_wh)
