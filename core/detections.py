"""The one type that flows through the project: ``supervision.Detections``, always filled the same way.

``xyxy`` (n, 4) float32, pixels of the frame; ``class_id`` (n,) int, index into ``CLASS_NAMES``; ``confidence`` (n,)
float32 in 0..1, for that class; ``data["face_score"]`` (n,) float32 in 0..1, how sure it is that this is a face.
Ground truth is the same type with scores of 1.
"""

import numpy as np
import supervision as sv

from core.classes import CLASS_NAMES
from core.crops import resize

FACE_SCORE = "face_score"


def make_detections(
    xyxy: np.ndarray,
    class_id: np.ndarray,
    confidence: np.ndarray | None = None,
    face_score: np.ndarray | None = None,
) -> sv.Detections:
    """Detections with every field of the project's contract; missing scores are 1, as for ground truth.

    Raises:
        ValueError: lengths differ, a class is unknown, or a score lies outside 0..1.
    """
    xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
    n = len(xyxy)
    class_id = np.asarray(class_id, int).reshape(-1)
    scores = {}
    for name, values in (("confidence", confidence), (FACE_SCORE, face_score)):
        scores[name] = np.ones(n, np.float32) if values is None else np.asarray(values, np.float32)
        if scores[name].shape != (n,):
            raise ValueError(f"{name} has shape {scores[name].shape}, expected ({n},), one for each box.")
        if n and not (scores[name].min() >= 0 and scores[name].max() <= 1):
            raise ValueError(f"{name} must lie in 0..1, got {scores[name].min()}..{scores[name].max()}.")
    if class_id.shape != (n,):
        raise ValueError(f"class_id has shape {class_id.shape}, expected ({n},), one for each box.")
    if n and not (class_id.min() >= 0 and class_id.max() < len(CLASS_NAMES)):
        raise ValueError(f"class_id must lie in 0..{len(CLASS_NAMES) - 1}, got {class_id.tolist()}.")
    return sv.Detections(
        xyxy=xyxy, class_id=class_id, confidence=scores["confidence"], data={FACE_SCORE: scores[FACE_SCORE]}
    )


def no_detections() -> sv.Detections:
    """What a frame without a face gives: the same fields, all of length 0."""
    return make_detections(np.empty((0, 4)), np.empty(0))


def resized(
    frame_bgr: np.ndarray, detections: sv.Detections, size_wh: tuple[int, int]
) -> tuple[np.ndarray, sv.Detections]:
    """A frame and its detections at another size; the given ones are not changed."""
    ratio = np.array([size_wh[0] / frame_bgr.shape[1], size_wh[1] / frame_bgr.shape[0]] * 2, np.float32)
    boxes = make_detections(
        detections.xyxy * ratio, detections.class_id, detections.confidence, detections.data[FACE_SCORE]
    )
    return resize(frame_bgr, size_wh), boxes
