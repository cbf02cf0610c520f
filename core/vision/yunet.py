"""A face detector of another kind (YuNet, Wu et al. 2023), as OpenCV runs it: it knows faces, and no masks."""

from pathlib import Path

import cv2
import numpy as np

from core.language import tr
from core.vision.crops import resize
from core.vision.model_card import ModelError

INPUT_SIDE = 640
MIN_SCORE = 0.6


class YuNet:
    """Finds faces with an ONNX file whose input is 640×640. One thread at a time."""

    def __init__(self, path: Path | str):
        """Args: the ONNX file. Raises: ModelError, if it cannot be loaded."""
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", (INPUT_SIDE, INPUT_SIDE), MIN_SCORE, 0.4, 500)
        except cv2.error as error:
            sentence = tr("{file} cannot be loaded as a YuNet face detector: {reason}")
            raise ModelError(sentence.format(file=path, reason=error.err)) from None

    def __call__(self, frame_bgr: np.ndarray, shown_side: int = INPUT_SIDE) -> np.ndarray:
        """(n, 5) float32: x1, y1, x2, y2 in pixels of the frame and a score in 0..1, best first.

        Args:
            frame_bgr: (h, w, 3) uint8.
            shown_side: how long the frame's longer side is within the detector's 640 pixels.
        """
        height, width = frame_bgr.shape[:2]
        scale = shown_side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        canvas = np.full((INPUT_SIDE, INPUT_SIDE, 3), 127, np.uint8)
        x, y = (INPUT_SIDE - size[0]) // 2, (INPUT_SIDE - size[1]) // 2
        canvas[y : y + size[1], x : x + size[0]] = resize(frame_bgr, size)
        _, rows = self._net.detect(canvas)
        if rows is None:
            return np.empty((0, 5), np.float32)
        x1, y1 = (rows[:, 0] - x) / scale, (rows[:, 1] - y) / scale
        boxes = np.stack([x1, y1, x1 + rows[:, 2] / scale, y1 + rows[:, 3] / scale, rows[:, -1]], axis=1)
        boxes[:, :4] = np.clip(boxes[:, :4], 0, [width, height, width, height])
        return boxes[np.argsort(-boxes[:, 4], kind="stable")].astype(np.float32)
