"""The sample film: people walk past, some with a mask, each the sample portrait in a suit of another colour."""

from pathlib import Path

import cv2
import numpy as np

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.video.writer import FilmWriter
from core.vision.crops import resize

# Of the portrait: head and shoulders, and where they fade into the wall.
PART_XYXY = (60, 10, 390, 330)
WALL_BGR = (196, 204, 206)


def write_sample_film(
    path: Path,
    people: int = 4,
    seconds: float = 8.0,
    size_wh: tuple[int, int] = (640, 360),
    fps: float = 25.0,
    face_share: float = 0.28,
) -> None:
    """Write a film in which so many people walk through from left to right, every second one with a mask.

    Args:
        path: of the file, ending in ``.mp4``.
        people: one after the other.
        seconds: in all; each person takes half of them.
        size_wh: of the frames.
        fps: frames per second.
        face_share: height of a face, as a share of the frame's.
    """
    width, height = size_wh
    figures = [figure(sample_photo(masked=k % 2 == 1), 37 * k, round(height * face_share)) for k in range(people)]
    light = np.linspace(1.0, 0.85, height, dtype=np.float32)[:, None, None]
    wall = light * np.full((1, width, 3), WALL_BGR, np.float32)
    with FilmWriter(path, size_wh, fps) as film:
        for i in range(round(seconds * fps)):
            frame, time_s = wall.copy(), i / fps
            for k, (picture, alpha) in enumerate(figures):
                walked = (time_s / seconds - 0.5 * k / max(1, people - 1)) / 0.5  # 0 beyond the left edge, 1 the right
                left = round(walked * (width + picture.shape[1])) - picture.shape[1]
                put(frame, picture, alpha, left, height - picture.shape[0])
            film.write(time_s, np.rint(frame).astype(np.uint8))


def figure(photo_bgr: np.ndarray, hue: int, face_px: int) -> tuple[np.ndarray, np.ndarray]:
    """A person cut out of the sample portrait.

    Args:
        photo_bgr: the portrait, with whatever is drawn onto its face.
        hue: how far the suit's colour is turned, in OpenCV's degrees.
        face_px: height of the face.

    Returns:
        Colours times opacity (h, w, 3) and opacity (h, w, 1), float32.
    """
    hsv = cv2.cvtColor(photo_bgr, cv2.COLOR_BGR2HSV)
    suit = hsv[..., 1] > 120
    suit[:190] = False  # faces and hair keep their colours
    hsv[..., 0] = np.where(suit, (hsv[..., 0].astype(int) + hue) % 180, hsv[..., 0])
    x1, y1, x2, y2 = PART_XYXY
    part = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[y1:y2, x1:x2].astype(np.float32)
    alpha = np.zeros((y2 - y1, x2 - x1), np.float32)
    face_x, face_y = (SAMPLE_FACE_XYXY[0] + SAMPLE_FACE_XYXY[2]) // 2 - x1, SAMPLE_FACE_XYXY[1] - y1
    cv2.ellipse(alpha, (face_x, face_y + 55), (88, 110), 0, 0, 360, 1.0, cv2.FILLED)
    cv2.ellipse(alpha, (face_x, face_y + 265), (130, 130), 0, 180, 360, 1.0, cv2.FILLED)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 6), np.float32)
    zoom = face_px / (SAMPLE_FACE_XYXY[3] - SAMPLE_FACE_XYXY[1])
    size = round(zoom * part.shape[1]), round(zoom * part.shape[0])
    return resize(part * alpha[..., None], size), resize(alpha, size)[..., None]


def put(frame: np.ndarray, picture: np.ndarray, alpha: np.ndarray, left: int, top: int) -> None:
    """Lay a person over the frame, as far as they are in it."""
    height, width = frame.shape[:2]
    x1, x2 = max(0, left), min(width, left + picture.shape[1])
    y1, y2 = max(0, top), min(height, top + picture.shape[0])
    if x1 < x2 and y1 < y2:
        part = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
        frame[y1:y2, x1:x2] = frame[y1:y2, x1:x2] * (1 - alpha[part]) + picture[part]
