"""Box geometry: boxes are (n, 4) x1, y1, x2, y2 in pixels, every function returns a new array."""

import numpy as np
import supervision as sv


def clip_boxes(xyxy: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """The part of each box that lies inside a frame of ``size_wh``; (n, 4) float32."""
    return sv.clip_boxes(np.asarray(xyxy, np.float32).reshape(-1, 4), size_wh)


def shorter_sides(xyxy: np.ndarray) -> np.ndarray:
    """Shorter side of each box in pixels, (n,) float32; the size of a face everywhere in this project."""
    xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
    return np.minimum(xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1])


def square_boxes(xyxy: np.ndarray, margin: float) -> np.ndarray:
    """Squares around the same centres: the longer side, plus ``margin`` of it on every side; (n, 4) float32.

    The squares may reach over the edge of the frame.

    >>> square_boxes([[10, 20, 30, 60]], 0.25).tolist()
    [[-10.0, 10.0, 50.0, 70.0]]
    """
    xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
    centers = (xyxy[:, :2] + xyxy[:, 2:]) / 2  # (n, 2)
    half = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1, keepdims=True) * (0.5 + margin)  # (n, 1)
    return np.hstack([centers - half, centers + half])


def mirror_boxes(xyxy: np.ndarray, width: int) -> np.ndarray:
    """The same boxes in the mirror image of a frame of that width; (n, 4) float32.

    >>> mirror_boxes([[10, 20, 30, 60]], 100).tolist()
    [[70.0, 20.0, 90.0, 60.0]]
    """
    x1, y1, x2, y2 = np.asarray(xyxy, np.float32).reshape(-1, 4).T
    return np.stack([width - x2, y1, width - x1, y2], axis=1)


def turn_boxes(xyxy: np.ndarray, quarters: int, size_wh: tuple[int, int]) -> np.ndarray:
    """The same boxes when a frame of ``size_wh`` is turned clockwise by so many quarters; (n, 4) float32.

    >>> turn_boxes([[10, 20, 30, 60]], 1, (200, 100)).tolist()
    [[40.0, 10.0, 80.0, 30.0]]
    """
    xyxy, (width, height) = np.asarray(xyxy, np.float32).reshape(-1, 4), size_wh
    for _ in range(quarters % 4):
        x1, y1, x2, y2 = xyxy.T
        xyxy = np.stack([height - y2, x1, height - y1, x2], axis=1)
        width, height = height, width
    return xyxy


def match_boxes(predicted_xyxy: np.ndarray, true_xyxy: np.ndarray, min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a predicted and a true box, best overlap first, each box in at most one pair.

    Args:
        predicted_xyxy: (p, 4).
        true_xyxy: (t, 4).
        min_iou: pairs that overlap less (intersection over union) are no pairs.

    Returns:
        Two (m,) int arrays: places in ``predicted_xyxy`` and the places in ``true_xyxy`` they belong to.
    """
    iou = overlaps(predicted_xyxy, true_xyxy)
    pairs = []
    while iou.size and iou.max() >= min_iou:
        p, t = np.unravel_index(iou.argmax(), iou.shape)
        pairs.append((p, t))
        iou[p, :] = -1
        iou[:, t] = -1
    matched = np.array(pairs, int).reshape(-1, 2)
    return matched[:, 0], matched[:, 1]


def overlaps(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of ``a`` with every box of ``b``: (a, b) in 0..1, also for no boxes."""
    a = np.asarray(a_xyxy, np.float32).reshape(-1, 4)
    b = np.asarray(b_xyxy, np.float32).reshape(-1, 4)
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)), np.float32)
    return sv.box_iou_batch(a, b).astype(np.float32)
