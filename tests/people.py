"""A frame as a webcam sees it: five people walk towards the camera, from far away to near.

All are cut from the project's sample portrait (Eileen Collins, NASA, public domain); clothes are recoloured, legs and
masks drawn.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from core.synthetic.render import find_pose, put_on
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.crops import resize

FRAME_WH = (640, 480)
# Head, suit and helmet in the portrait, in pixels of twice its size.
OUTLINE = [
    *((308, 140), (312, 205), (326, 236), (346, 262), (364, 272), (370, 298), (338, 296), (298, 302), (258, 330)),
    *((240, 368), (228, 390), (235, 425), (190, 440), (130, 500), (90, 570), (60, 660), (45, 760), (40, 820)),
    *((55, 900), (70, 1024), (1012, 1024), (1000, 920), (980, 860), (920, 760), (850, 700), (790, 688), (740, 694)),
    *((722, 690), (715, 620), (695, 550), (660, 500), (610, 470), (608, 450), (590, 420), (560, 390), (514, 354)),
    *((516, 322), (532, 276), (548, 272), (562, 252), (590, 220), (602, 170), (590, 120), (570, 80), (540, 55)),
    *((500, 38), (460, 32), (420, 42), (390, 62), (360, 80), (325, 105)),
]
LEGS = [
    ((90, 490), (225, 490), (215, 1190), (110, 1190)),
    ((215, 490), (345, 490), (315, 1230), (215, 1230)),
    ((100, 1180), (215, 1180), (225, 1225), (80, 1225)),
    ((210, 1220), (318, 1220), (340, 1270), (200, 1270)),
]
HEIGHT = 1280
"""Of a whole person, in pixels of the portrait."""


@dataclass(frozen=True)
class Person:
    """One of the five."""

    face_px: int
    """Width of the face in the frame, cheek to cheek."""
    at: tuple[int, int]
    """Middle of the face in the frame."""
    hue: int
    """How far the suit's colour is turned, in OpenCV's degrees."""
    mask: str = ""
    """A key of ``core.synthetic.render.MASK_KINDS``; none for a bare face."""
    mirrored: bool = False


PEOPLE = (
    Person(15, (214, 148), 100),
    Person(20, (398, 146), 60, "surgical_blue", mirrored=True),
    Person(26, (302, 150), 140, mirrored=True),
    Person(34, (528, 142), 90, "black"),
    Person(45, (108, 158), 0),
)


def five_people() -> tuple[np.ndarray, np.ndarray]:
    """The frame (480, 640, 3) uint8 BGR and the faces' boxes (5, 4) in its pixels, the farthest first."""
    frame = _room().astype(np.float32)
    boxes = []
    for person in PEOPLE:
        picture, alpha = _cut_out(person.hue, person.mask)
        x1, y1, x2, y2 = SAMPLE_FACE_XYXY
        if person.mirrored:
            picture, alpha, x1, x2 = picture[:, ::-1], alpha[:, ::-1], 512 - x2, 512 - x1
        zoom = person.face_px / (x2 - x1)
        size_wh = (round(512 * zoom), round(HEIGHT * zoom))
        # The colours are reduced together with the outline, so that nothing of what stood behind shines through.
        picture, alpha = resize(picture * alpha, size_wh), resize(alpha, size_wh)[..., None]
        left, top = (round(person.at[0] - zoom * (x1 + x2) / 2), round(person.at[1] - zoom * (y1 + y2) / 2))
        assert left >= 0 and top >= 0, "whole heads and shoulders; only legs may end below the frame"
        into = frame[top : top + size_wh[1], left : left + size_wh[0]]
        height, width = into.shape[:2]
        into[:] = into * (1 - alpha[:height, :width]) + picture[:height, :width]
        boxes.append(np.array([x1, y1, x2, y2]) * zoom + [left, top, left, top])
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(frame, (0, 0), 0.5) + rng.normal(0, 2.5, frame.shape)  # a webcam's lens and sensor
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8), np.array(boxes, np.float32)


@cache
def _cut_out(hue: int, mask: str) -> tuple[np.ndarray, np.ndarray]:
    """A whole person: colours (1280, 512, 3) float32 BGR and opacity (1280, 512, 1) in 0..1."""
    photo = sample_photo(False)
    if mask:
        photo = put_on(photo, find_pose(photo, SAMPLE_FACE_XYXY), mask)
    hsv = cv2.cvtColor(photo, cv2.COLOR_BGR2HSV)
    suit = (hsv[..., 1] > 120) & (np.abs(hsv[..., 0].astype(int) - 7) < 8)
    suit[:190] = False  # the face and the hair keep their colours
    hsv[..., 0] = np.where(suit, (hsv[..., 0].astype(int) + hue) % 180, hsv[..., 0])
    photo = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    picture, alpha = np.zeros((HEIGHT, 512, 3), np.uint8), np.zeros((HEIGHT, 512), np.uint8)
    for i, leg in enumerate(LEGS):
        cv2.fillPoly(picture, [np.array(leg)], (58, 48, 44) if i < 2 else (30, 30, 34), cv2.LINE_AA)
        cv2.fillPoly(alpha, [np.array(leg)], 255, cv2.LINE_AA)
    body = np.zeros((HEIGHT, 512), np.uint8)
    cv2.fillPoly(body, [np.array(OUTLINE) * 8], 255, cv2.LINE_AA, 4)
    body[512:] = 0
    body = cv2.GaussianBlur(body, (0, 0), 1.2).astype(np.float32)[..., None] / 255
    picture = picture.astype(np.float32) * (1 - body)
    picture[:512] += photo * body[:512]
    return picture, np.maximum(alpha.astype(np.float32)[..., None] / 255, body)


def _room() -> np.ndarray:
    """An empty corridor with a door, a window, a picture and a cupboard, (480, 640, 3) uint8 BGR."""
    y, x = np.indices(FRAME_WH[::-1], np.float32)
    light = 1 - 0.25 * np.abs(x / 640 - 0.6) - 0.15 * y / 480
    room = np.multiply.outer(light, np.array([186, 200, 206], np.float32))
    room[300:] = np.multiply.outer(light[300:], np.array([104, 122, 138], np.float32))
    room = np.ascontiguousarray(room.clip(0, 255).astype(np.uint8))
    cv2.rectangle(room, (0, 296), (639, 302), (96, 104, 110), cv2.FILLED)
    for (x1, y1, x2, y2), color in (
        ((246, 92, 286, 296), (92, 116, 142)),  # door
        ((250, 96, 282, 292), (104, 130, 158)),
        ((430, 40, 492, 112), (120, 112, 104)),  # window
        ((436, 46, 486, 106), (236, 228, 216)),
        ((20, 60, 64, 96), (60, 64, 72)),  # picture
        ((25, 65, 59, 91), (150, 140, 96)),
        ((338, 214, 384, 306), (84, 92, 104)),  # cupboard
        ((342, 218, 380, 258), (108, 118, 130)),
        ((342, 262, 380, 302), (108, 118, 130)),
        ((598, 150, 639, 330), (76, 88, 84)),  # shelf
        ((602, 156, 639, 236), (132, 140, 150)),
        ((602, 242, 639, 324), (140, 128, 120)),
    ):
        cv2.rectangle(room, (x1, y1), (x2, y2), color, cv2.FILLED)
    return cv2.GaussianBlur(room, (0, 0), 1.0)
