"""What the centre-point detector should have said: boxes to maps."""

import numpy as np

from core.vision.classes import CLASS_NAMES
from core.vision.detector_decode import STRIDE

# Width (standard deviation) of the bump around a face's centre as a share of its box, and its least width in cells.
BUMP_SHARE, MIN_BUMP = 0.11, 0.6
# The box and the state are learnt where the bump is at least this high.
LEARN_FROM = 0.2
UNKNOWN = -1
CHANNELS = 7 + len(CLASS_NAMES)


def encode(faces_xyxy: np.ndarray, class_id: np.ndarray, ignored: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Maps of one window for ``detector_network.detector_loss``.

    Args:
        faces_xyxy: (n, 4) boxes in pixels of the window.
        class_id: (n,) int into ``CLASS_NAMES``, or ``UNKNOWN`` if only the place is known.
        ignored: (m, 5) boxes in which a face may or may not be, and how much they count as background, 0..1.
        size_wh: size of the window, multiples of ``STRIDE``.

    Returns:
        (h/4, w/4, 10) float32: height of the bump (exactly 1 at the cell of a centre), how much that counts, weight of
        box and state (their sum is 1 for each face), distances to the left, upper, right and lower edge in cells, and
        one-hot class (all 0 where unknown).
    """
    width, height = size_wh[0] // STRIDE, size_wh[1] // STRIDE
    target = np.zeros((height, width, CHANNELS), np.float32)
    target[..., 1] = 1
    for *box, counts in np.asarray(ignored, np.float32).reshape(-1, 5):
        x1, y1, x2, y2 = np.rint(np.array(box) / STRIDE).astype(int)
        target[max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1, 1] = counts
    # Centres of the cells, in units of cells.
    xs, ys = np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5
    highest = np.zeros((height, width), np.float32)
    owner = np.full((height, width), -1)
    boxes = np.asarray(faces_xyxy, np.float32).reshape(-1, 4) / STRIDE
    # Large faces first: where two bumps are equally high, the smaller face keeps the cell.
    order = np.argsort(-(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), kind="stable")
    for i in order:
        x1, y1, x2, y2 = boxes[i]
        column = min(max(int((x1 + x2) / 2), 0), width - 1)
        row = min(max(int((y1 + y2) / 2), 0), height - 1)
        sx, sy = max(BUMP_SHARE * (x2 - x1), MIN_BUMP), max(BUMP_SHARE * (y2 - y1), MIN_BUMP)
        bump = np.exp(-(((ys - ys[row]) / sy) ** 2) / 2)[:, None] * np.exp(-(((xs - xs[column]) / sx) ** 2) / 2)
        bump[row, column] = 1
        owner[bump >= np.maximum(highest, LEARN_FROM)] = i
        np.maximum(highest, bump, out=highest)
    target[..., 0] = highest
    for i in order:
        mine = owner == i
        if not mine.any():
            continue
        rows, columns = np.nonzero(mine)
        x1, y1, x2, y2 = boxes[i]
        edges = np.stack([xs[columns] - x1, ys[rows] - y1, x2 - xs[columns], y2 - ys[rows]], axis=1)
        target[rows, columns, 1] = 1
        target[rows, columns, 2] = highest[mine] / highest[mine].sum()
        target[rows, columns, 3:7] = np.maximum(edges, 0.05)
        if class_id[i] != UNKNOWN:
            target[rows, columns, 7 + class_id[i]] = 1
    return target
