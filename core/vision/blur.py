"""Faces made unrecognizable: a mosaic of a few blocks in place of each."""

import cv2
import numpy as np

BLOCKS = 6
"""A face keeps so many blocks on each side, whatever its size: nobody is recognized, and a mask is still a guess."""
MARGIN = 0.15
"""Share of the box's size that is covered on each side beyond it: hair, ears and chin tell as well."""


def blur_faces(frame_bgr: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """Cover faces with a mosaic.

    Args:
        frame_bgr: (h, w, 3) uint8; it is not changed.
        xyxy: (n, 4) boxes of faces in pixels; they may reach beyond the frame.

    Returns:
        A new frame of the same shape. What the blocks average over cannot be brought back.
    """
    canvas = frame_bgr.copy()
    height, width = canvas.shape[:2]
    sides = np.repeat(xyxy[:, 2:] - xyxy[:, :2], 2, axis=0).reshape(-1, 4) * [-MARGIN, -MARGIN, MARGIN, MARGIN]
    boxes = np.clip(np.rint(xyxy + sides), 0, [width, height, width, height]).astype(int)
    for x1, y1, x2, y2 in boxes.tolist():
        if x2 <= x1 or y2 <= y1:
            continue
        blocks = cv2.resize(
            frame_bgr[y1:y2, x1:x2], (min(BLOCKS, x2 - x1), min(BLOCKS, y2 - y1)), interpolation=cv2.INTER_AREA
        )
        canvas[y1:y2, x1:x2] = cv2.resize(blocks, (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST)
    return canvas
