"""Example photos for those who come without one: the sample portrait, and a group of people cut out of it.

All show Eileen Collins (NASA, public domain); masks and the group are drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from core.language import mark
from core.synthetic.render import find_pose, put_on
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.synthetic.sample_film import WALL_BGR, figure, put
from core.vision.classes import CLASS_NAMES, WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY
from core.vision.crops import resize
from core.vision.images import encode_image

SIZE_WH, FACE_PX = (1280, 420), 135
# What the people of the group wear: a key of ``MASK_KINDS`` and one of ``WEARING``.
GROUP = (("surgical_blue", "well"), None, ("black", "well"), ("cloth_dots", "under_nose"), None)


@cache
def _portrait(worn: tuple[str, str] | None) -> np.ndarray:
    photo = sample_photo(False)
    return put_on(photo, find_pose(photo, SAMPLE_FACE_XYXY), *worn) if worn else photo


def _group() -> np.ndarray:
    """Five people side by side before a wall."""
    width, height = SIZE_WH
    light = np.linspace(1.0, 0.8, height, dtype=np.float32)[:, None, None]
    frame = light * np.full((1, width, 3), WALL_BGR, np.float32)
    for k, worn in enumerate(GROUP):
        picture, alpha = figure(_portrait(worn), 37 * k, FACE_PX)
        if k % 2:
            picture, alpha = picture[:, ::-1], alpha[:, ::-1]
        left = round(width * (k + 0.5) / len(GROUP) - picture.shape[1] / 2)
        put(frame, picture, alpha, left, height - picture.shape[0])
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


# Who stands before the webcam, from the back: what they wear, height of the face and place from the left, as shares.
VIEW = ((("surgical_blue", "well"), 0.13, 0.55), (None, 0.3, 0.3), (("cloth_dots", "well"), 0.2, 0.8))


@cache
def webcam_view(size_wh: tuple[int, int]) -> np.ndarray:
    """What a webcam might see, (h, w, 3) uint8 BGR: people near it and further away."""
    width, height = size_wh
    light = np.linspace(1.0, 0.8, height, dtype=np.float32)[:, None, None]
    frame = light * np.full((1, width, 3), WALL_BGR, np.float32)
    for k, (worn, face, place) in enumerate(VIEW):
        picture, alpha = figure(_portrait(worn), 74 * k, round(height * face))
        put(frame, picture, alpha, round(width * place - picture.shape[1] / 2), height - picture.shape[0])
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


SEVERAL = mark("Five people")
EXAMPLES: dict[str, Callable[[], np.ndarray]] = {
    mark("One person"): lambda: _portrait(None),
    mark("With a mask"): lambda: _portrait(("surgical_blue", "well")),
    SEVERAL: _group,
}
"""What each shows, to be said with ``tr``, and what makes it: (h, w, 3) uint8 BGR."""


@dataclass(frozen=True)
class Trial:
    """A drawn picture of one face, to see what a model makes of it."""

    title: str
    truth: str
    """One of ``CLASS_NAMES``."""
    make: Callable[[], np.ndarray]


def _head(worn: tuple[str, str] | None) -> np.ndarray:
    return _portrait(worn)[:340, 60:400]


TRIALS = (
    Trial(mark("Without a mask"), CLASS_NAMES[WITHOUT_MASK], lambda: _head(None)),
    Trial(mark("Surgical mask"), CLASS_NAMES[WITH_MASK], lambda: _head(("surgical_blue", "well"))),
    Trial(mark("Black mask"), CLASS_NAMES[WITH_MASK], lambda: _head(("black", "well"))),
    Trial(mark("In the dark"), CLASS_NAMES[WITH_MASK], lambda: (_head(("cloth_dots", "well")) * 0.25).astype(np.uint8)),
    Trial(mark("Under the nose"), CLASS_NAMES[WORN_INCORRECTLY], lambda: _head(("surgical_blue", "under_nose"))),
    Trial(mark("On the chin"), CLASS_NAMES[WORN_INCORRECTLY], lambda: _head(("surgical_blue", "on_chin"))),
    Trial(mark("Out of focus"), CLASS_NAMES[WITH_MASK], lambda: cv2.GaussianBlur(_head(("ffp2", "well")), (0, 0), 13)),
    Trial(mark("Far away"), CLASS_NAMES[WITHOUT_MASK], lambda: resize(_head(None), (24, 24))),
)
"""Easy ones and hard ones; the last face is 7 pixels wide."""


@cache
def example_file(name: str) -> bytes:
    """An example as JPEG file, made once; ``name`` is a key of ``EXAMPLES``."""
    return encode_image(EXAMPLES[name]())
