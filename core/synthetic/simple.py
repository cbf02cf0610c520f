"""A surgical mask drawn onto a bare face, for the sample photo and for tests. It is a drawing and says so."""

from collections.abc import Iterable

import cv2
import numpy as np

MASK_RGB = (150, 195, 225)
# Outline of a surgical mask in units of the face: x from the middle (cheek to cheek is -1..1), y from the bridge of
# the nose (0) to just under the chin (1).
OUTLINE = [
    (-0.92, 0.10),
    (-0.45, 0.00),
    (0.0, -0.07),
    (0.45, 0.00),
    (0.92, 0.10),
    (0.90, 0.55),
    (0.62, 0.86),
    (0.0, 1.04),
    (-0.62, 0.86),
    (-0.90, 0.55),
]
FOLDS = (0.30, 0.50, 0.70)
LOOPS = [((-0.90, 0.12), (-1.04, -0.10)), ((-0.88, 0.58), (-1.03, 0.12))]


def draw_mask(
    frame_bgr: np.ndarray,
    face_xyxy: tuple[float, float, float, float],
    tilt_deg: float = 0.0,
    color_rgb: tuple[int, int, int] = MASK_RGB,
) -> np.ndarray:
    """Draw a mask on one frontal face.

    The mask takes over the light of the face under it, so that it does not look like a flat sticker.

    Args:
        frame_bgr: (h, w, 3) uint8; it is not changed.
        face_xyxy: box from hairline to chin and cheek to cheek, in pixels.
        tilt_deg: how far the head leans, clockwise in the picture.
        color_rgb: colour of the cloth, 0..255.

    Returns:
        A new frame of the same shape.
    """
    x1, y1, x2, y2 = face_xyxy
    face_w, face_h = x2 - x1, y2 - y1
    nose, mask_h, half_w = y1 + 0.46 * face_h, 0.53 * face_h, 0.48 * face_w
    turn = cv2.getRotationMatrix2D(((x1 + x2) / 2, (y1 + y2) / 2), -tilt_deg, 1)

    def place(points: Iterable[tuple[float, float]]) -> np.ndarray:
        xy = np.array([((x1 + x2) / 2 + x * half_w, nose + y * mask_h, 1) for x, y in points])
        return np.rint(xy @ turn.T * 16).astype(np.int32)  # in sixteenths of a pixel, as OpenCV's shift=4 wants

    shape = frame_bgr.shape[:2]
    cover = np.zeros(shape, np.uint8)
    cv2.fillPoly(cover, [place(_rounded(OUTLINE))], 255, cv2.LINE_AA, 4)
    line = max(1, round(face_w / 90))
    cloth = np.full((*shape, 3), color_rgb[::-1], np.float32)
    for y in FOLDS:
        fold = [(x, y - 0.05 + 0.10 * (1 - x * x)) for x in np.linspace(-0.88, 0.88, 15)]
        darker = tuple(0.82 * c for c in color_rgb[::-1])
        cv2.polylines(cloth, [place(fold)], False, darker, line, cv2.LINE_AA, 4)
    rim = tuple(0.9 * c for c in color_rgb[::-1])
    cv2.polylines(cloth, [place(_rounded(OUTLINE))], True, rim, line + 1, cv2.LINE_AA, 4)

    # Light of the face, without its colours and details: bright where the cheek is lit, dark on the far side.
    grey = cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
    light = cv2.GaussianBlur(grey, (0, 0), max(1.0, face_w / 7))
    inside = cover > 127
    light = np.clip(light / light[inside].mean() if inside.any() else light, 0.6, 1.25)
    alpha = (cover.astype(np.float32) / 255)[..., None]
    drawn = frame_bgr * (1 - alpha) + np.clip(cloth * light[..., None], 0, 255) * alpha
    result = drawn.astype(np.uint8)
    for side in (-1, 1):
        for start, end in LOOPS:
            loop = place([(side * x, y) for x, y in (start, end)])
            cv2.polylines(result, [loop], False, (235, 235, 235), line, cv2.LINE_AA, 4)
    return result


def _rounded(points: list[tuple[float, float]], rounds: int = 2) -> list[tuple[float, float]]:
    """Cut the corners of a closed outline (Chaikin 1974)."""
    for _ in range(rounds):
        following = points[1:] + points[:1]
        points = [
            (a[0] * s + b[0] * (1 - s), a[1] * s + b[1] * (1 - s))
            for a, b in zip(points, following, strict=True)
            for s in (0.75, 0.25)
        ]
    return points
