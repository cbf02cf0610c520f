"""Images on their way to a network: here BGR becomes RGB."""

from collections.abc import Sequence

import cv2
import numpy as np

from core.vision.boxes import square_boxes

GREY = 127
"""What lies beyond the edge of a picture for the detector, in training too."""


def crop_faces(frame_bgr: np.ndarray, xyxy: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Cut every face out as a square of the same size.

    A square that reaches over the edge of the frame is filled with the nearest pixel, as in the training images.

    Args:
        frame_bgr: (h, w, 3) uint8.
        xyxy: (n, 4) face boxes in pixels of the frame.
        size: side of the result in pixels.
        margin: share of a face's longer side that is added on every side.

    Returns:
        (n, size, size, 3) uint8, RGB.
    """
    squares = np.rint(square_boxes(xyxy, margin)).astype(int)
    crops = np.empty((len(squares), size, size, 3), np.uint8)
    for crop, square in zip(crops, squares, strict=True):
        part = cut(frame_bgr, square)
        cv2.cvtColor(resize(part, (size, size)), cv2.COLOR_BGR2RGB, dst=crop)
    return crops


def letterbox(frame_bgr: np.ndarray, long_side: int) -> tuple[np.ndarray, float]:
    """A frame scaled as a whole, at the top left of a grey canvas that the detector accepts.

    Args:
        frame_bgr: (h, w, 3) uint8.
        long_side: what the frame's longer side becomes, larger or smaller than it is.

    Returns:
        (h', w', 3) uint8 RGB, both sides multiples of 32, and the factor by which the frame was scaled.
    """
    height, width = frame_bgr.shape[:2]
    scale = long_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((-(-size[1] // 32) * 32, -(-size[0] // 32) * 32, 3), GREY, np.uint8)
    small = frame_bgr if size == (width, height) else resize(frame_bgr, size)
    canvas[: size[1], : size[0]] = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
    return canvas, scale


def cut(frame_bgr: np.ndarray, xyxy: np.ndarray | Sequence[float]) -> np.ndarray:
    """The pixels of one box of whole numbers, at least 1×1; outside the frame its nearest pixel is repeated."""
    height, width = frame_bgr.shape[:2]
    x1, y1, x2, y2 = (int(v) for v in xyxy)
    # A box without area, or wholly outside, still gives the pixel nearest to it.
    x1, y1 = min(x1, width - 1), min(y1, height - 1)
    x2, y2 = max(x2, x1 + 1, 1), max(y2, y1 + 1, 1)
    inside = frame_bgr[max(y1, 0) : min(y2, height), max(x1, 0) : min(x2, width)]
    border = (max(-y1, 0), max(y2 - height, 0), max(-x1, 0), max(x2 - width, 0))
    if any(border):
        inside = cv2.copyMakeBorder(inside, *border, cv2.BORDER_REPLICATE)
    return inside


def resize(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Resize without aliasing: pixel areas are averaged when shrinking, interpolated when growing."""
    shrinking = image.shape[1] > size_wh[0] or image.shape[0] > size_wh[1]
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def fit_within(image: np.ndarray, max_side: int) -> tuple[np.ndarray, float]:
    """The image with its longest side reduced to ``max_side`` at most, and the factor it was reduced by, 0..1."""
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    if scale == 1.0:
        return image, 1.0
    return resize(image, (max(1, round(width * scale)), max(1, round(height * scale)))), scale
