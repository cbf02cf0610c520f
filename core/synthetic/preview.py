"""Drawn masks on one face, to look at: every kind, or every colour of one kind."""

from dataclasses import dataclass

import numpy as np

from core.language import mark
from core.synthetic.eyes import FacePose, find_pose
from core.synthetic.render import MASK_KINDS, put_on
from core.vision.boxes import clip_boxes, shorter_sides, square_boxes
from core.vision.classes import WITHOUT_MASK
from core.vision.crops import cut, fit_within
from core.vision.detector import MaskDetector

# Around the face, as a share of its longer side: the whole head and what hangs below the chin.
MARGIN = 0.35
VIEW_SIDE = 320
COLOR_TITLES = {
    "light blue": mark("Light blue"),
    "sky blue": mark("Sky blue"),
    "pale blue": mark("Pale blue"),
    "white": mark("White"),
    "off white": mark("Off white"),
    "black": mark("Black"),
    "dark blue": mark("Dark blue"),
    "dark grey": mark("Dark grey"),
    "navy": mark("Navy"),
    "red": mark("Red"),
    "green": mark("Green"),
    "mustard": mark("Mustard"),
    "pink": mark("Pink"),
    "grey": mark("Grey"),
    "navy and white": mark("Navy and white"),
    "white and red": mark("White and red"),
    "grey and pink": mark("Grey and pink"),
    "green and cream": mark("Green and cream"),
    "red and white": mark("Red and white"),
    "pink and white": mark("Pink and white"),
    "black and mustard": mark("Black and mustard"),
    "blue and white": mark("Blue and white"),
    "green and white": mark("Green and white"),
    "black and white": mark("Black and white"),
}
MIN_FACE_SCORE = 0.3


@dataclass(frozen=True, eq=False)
class Portrait:
    """The largest face of a photo, cut out."""

    view_bgr: np.ndarray
    """(h, w, 3) uint8, at most ``VIEW_SIDE`` pixels a side."""
    pose: FacePose
    """In pixels of the view."""
    face_xyxy: np.ndarray
    """(4,) in pixels of the photo."""
    faces: int
    """Faces in the photo."""
    bare: bool
    """Whether the detector thinks so."""


def make_portrait(frame_bgr: np.ndarray, detector: MaskDetector) -> Portrait | None:
    """The largest face of a photo (h, w, 3) uint8, or ``None`` if there is no face."""
    xyxy, _, probabilities = detector.find(frame_bgr, "thorough", MIN_FACE_SCORE)
    if not len(xyxy):
        return None
    largest = int(shorter_sides(xyxy).argmax())
    around = clip_boxes(square_boxes(xyxy[largest], MARGIN), frame_bgr.shape[1::-1])[0]
    x1, y1, x2, y2 = np.rint(around).astype(int)
    view, scale = fit_within(cut(frame_bgr, (x1, y1, x2, y2)), VIEW_SIDE)
    pose = find_pose(view, (xyxy[largest] - [x1, y1, x1, y1]) * scale)
    return Portrait(view, pose, xyxy[largest], len(xyxy), int(probabilities[largest].argmax()) == WITHOUT_MASK)


def draw_variants(
    portrait: Portrait, wearing: str, kind: str | None = None, seed: int = 0
) -> list[tuple[str, np.ndarray]]:
    """Pictures of every kind of mask, or of one kind in each of its colours.

    Args:
        portrait: from ``make_portrait``.
        wearing: a key of ``WEARING``.
        kind: a key of ``MASK_KINDS``, or ``None`` for all.
        seed: another one gives other colours, patterns and wrinkles.

    Returns:
        A caption, to be shown with ``tr``, and a picture (h, w, 3) uint8 of each.
    """
    wanted: list[tuple[str, str, str | None]]
    if kind is None:
        wanted = [(spec.title, name, None) for name, spec in MASK_KINDS.items()]
    else:
        wanted = [(COLOR_TITLES[color], kind, color) for color in MASK_KINDS[kind].colors]
    return [
        (title, put_on(portrait.view_bgr, portrait.pose, name, wearing, np.random.default_rng([seed, i]), color))
        for i, (title, name, color) in enumerate(wanted)
    ]
