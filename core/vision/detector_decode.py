"""From the centre-point network's maps to faces: peaks, boxes, states, all in vectorised NumPy."""

import cv2
import numpy as np
from scipy.special import logit

from core.vision.boxes import overlaps

STRIDE = 4
"""Pixels of the network's input per cell of its maps."""
MAX_FACES = 500
MAX_OVERLAP = 0.5
"""Of two boxes that overlap more than this, the less likely one is dropped."""


def decode(
    center: np.ndarray, log_edges: np.ndarray, state: np.ndarray, min_score: float, max_faces: int = MAX_FACES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces from the maps of one picture.

    Args:
        center: (h, w) logit of a face's centre.
        log_edges: (h, w, 4) logarithm of the distances from a cell's middle to left, upper, right and lower edge, in
            cells.
        state: (h, w, 3) logits of ``CLASS_NAMES``.
        min_score: least probability of a centre, 0..1.
        max_faces: only this many of the likeliest are kept.

    Returns:
        (n, 4) float32 boxes in pixels of the network's input, (n,) float32 logit of the centre, and (n, 3) float32
        state logits; likeliest face first.
    """
    rows, columns = peaks(center, min_score, max_faces)
    xyxy = boxes_at(log_edges, rows, columns)
    kept = suppress(xyxy, MAX_OVERLAP)
    rows, columns = rows[kept], columns[kept]
    return xyxy[kept], center[rows, columns].astype(np.float32), state[rows, columns].astype(np.float32)


def peaks(center: np.ndarray, min_score: float, max_faces: int = MAX_FACES) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (n,) of the centres, likeliest first; arguments as of ``decode``."""
    center = np.ascontiguousarray(center, np.float32)
    # A peak is as high as everything around it (Zhou et al. 2019).
    rows, columns = np.nonzero((center >= cv2.dilate(center, np.ones((3, 3)))) & (center >= finite_logit(min_score)))
    order = np.argsort(-center[rows, columns], kind="stable")[:max_faces]
    return rows[order], columns[order]


def boxes_at(log_edges: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Boxes (n, 4) float32, in pixels of the network's input, around the centres in these cells (n,)."""
    left, top, right, bottom = np.exp(np.minimum(log_edges[rows, columns].astype(np.float32), 6)).T
    x, y = columns + np.float32(0.5), rows + np.float32(0.5)
    xyxy = np.stack([x - left, y - top, x + right, y + bottom], axis=1) * STRIDE
    return xyxy.astype(np.float32)


def suppress(xyxy: np.ndarray, max_overlap: float) -> np.ndarray:
    """Places of the boxes (n, 4), best first, that no better kept box overlaps by more than ``max_overlap``."""
    iou = overlaps(xyxy, xyxy)
    kept: list[int] = []
    for i in range(len(iou)):
        if not (iou[i, kept] > max_overlap).any():
            kept.append(i)
    return np.array(kept, int)


def finite_logit(probability: np.ndarray | float) -> np.ndarray:
    """Logit of a probability of any shape, held off 0 and 1 so that it is finite; float64, -13.8..13.8."""
    return logit(np.clip(np.asarray(probability, np.float64), 1e-6, 1 - 1e-6))
