"""Masks of many kinds drawn onto bare faces, worn well or wrongly. They are drawings, and pages say so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from core.language import mark
from core.synthetic.eyes import FacePose, find_pose
from core.synthetic.fabric import CUTS, Cut, Rgb, fill, paint
from core.synthetic.lighting import lay_on, read_light, shade
from core.vision.classes import CLASS_NAMES, WITH_MASK, WORN_INCORRECTLY
from core.vision.crops import resize

__all__ = ["MASK_KINDS", "WEARING", "FacePose", "MaskKind", "Wearing", "find_pose", "put_on"]


@dataclass(frozen=True)
class MaskKind:
    """One entry of the registry."""

    title: str
    cut: str
    """A key of ``core.synthetic.fabric.CUTS``."""
    colors: dict[str, tuple[Rgb, Rgb]]
    """Cloth and pattern, 0..255, by a word for both."""
    pattern: str = ""
    loops_rgb: Rgb | None = None
    """Colour of the ear loops; without one, that of the cloth."""


@dataclass(frozen=True)
class Wearing:
    """How a mask is worn: where its edges lie and what the face then counts as."""

    title: str
    label: str
    """One of ``CLASS_NAMES``."""
    top: float
    """Upper edge on the middle of the face: 0 at the eyes, 1 at the chin; ``bottom`` likewise."""
    bottom: float
    half_width: float
    """1 from cheek to cheek."""


WHITE: Rgb = (236, 238, 240)


def _plain(**colors: Rgb) -> dict[str, tuple[Rgb, Rgb]]:
    return {name.replace("_", " "): (rgb, rgb) for name, rgb in colors.items()}


_CLOTH = {
    "navy": (38, 50, 92),
    "red": (170, 40, 48),
    "green": (62, 104, 76),
    "mustard": (204, 158, 62),
    "pink": (224, 160, 178),
    "grey": (128, 130, 134),
}
MASK_KINDS: dict[str, MaskKind] = {
    "surgical_blue": MaskKind(
        mark("Surgical, light blue"),
        "surgical",
        _plain(light_blue=(150, 195, 225), sky_blue=(120, 178, 222), pale_blue=(178, 212, 232)),
        loops_rgb=WHITE,
    ),
    "surgical_white": MaskKind(
        mark("Surgical, white"), "surgical", _plain(white=WHITE, off_white=(236, 230, 218)), loops_rgb=WHITE
    ),
    "surgical_dark": MaskKind(
        mark("Surgical, dark"),
        "surgical",
        _plain(black=(36, 36, 40), dark_blue=(34, 44, 84), dark_grey=(72, 74, 80)),
    ),
    "ffp2": MaskKind("FFP2", "ffp2", _plain(white=(240, 241, 243)), loops_rgb=WHITE),
    "cloth_plain": MaskKind(mark("Cloth"), "cloth", _plain(**_CLOTH)),
    "cloth_stripes": MaskKind(
        mark("Cloth, stripes"),
        "cloth",
        {
            "navy and white": (_CLOTH["navy"], WHITE),
            "white and red": (WHITE, _CLOTH["red"]),
            "grey and pink": (_CLOTH["grey"], _CLOTH["pink"]),
            "green and cream": (_CLOTH["green"], (226, 218, 196)),
        },
        "stripes",
    ),
    "cloth_dots": MaskKind(
        mark("Cloth, dots"),
        "cloth",
        {
            "red and white": (_CLOTH["red"], WHITE),
            "navy and white": (_CLOTH["navy"], WHITE),
            "pink and white": (_CLOTH["pink"], WHITE),
            "black and mustard": ((38, 38, 42), _CLOTH["mustard"]),
        },
        "dots",
    ),
    "cloth_checks": MaskKind(
        mark("Cloth, checks"),
        "cloth",
        {
            "blue and white": ((60, 92, 150), WHITE),
            "red and white": (_CLOTH["red"], WHITE),
            "green and white": (_CLOTH["green"], WHITE),
            "black and white": ((40, 40, 44), WHITE),
        },
        "checks",
    ),
    "black": MaskKind(mark("Black"), "cloth", _plain(black=(26, 26, 29))),
}
WEARING: dict[str, Wearing] = {
    "well": Wearing(mark("Worn well"), CLASS_NAMES[WITH_MASK], 0.10, 1.03, 0.95),
    "under_nose": Wearing(mark("Under the nose"), CLASS_NAMES[WORN_INCORRECTLY], 0.53, 1.12, 0.92),
    "on_chin": Wearing(mark("On the chin"), CLASS_NAMES[WORN_INCORRECTLY], 0.81, 1.30, 0.80),
}
# Masks are painted on a layer, where half a face has this many pixels, and this much smaller or larger than the photo.
LAYER_HALF, MIN_SCALE, MAX_SCALE = 150, 0.5, 4
EARS = ((1.04, -0.06), (1.05, 0.26))
"""Where loops vanish behind the right ear, upper and lower one, as shares of the face like ``Wearing.top``."""
Place = TypeVar("Place", float, np.ndarray)


class _Fit:
    """A mask's coordinates on one face."""

    def __init__(self, pose: FacePose, wearing: Wearing, rng: np.random.Generator):
        across, down = pose.axes
        lean = np.deg2rad(rng.uniform(-1.5, 1.5))
        self.across = np.cos(lean) * across + np.sin(lean) * down
        self.down = np.cos(lean) * down - np.sin(lean) * across
        self.half = pose.size_wh[0] / 2
        from_center = pose.between_eyes - pose.center
        eyes_y = float(from_center @ down)
        height = pose.size_wh[1]
        self.to_chin = float(np.clip(height / 2 - eyes_y, 0.5 * height, 0.74 * height))
        # A head that is turned shows its middle, and the mask's, off the middle of the face.
        self.turn = float(np.clip(from_center @ across / self.half, -0.42, 0.42))
        self.origin = np.array(pose.center) + down * (height / 2 - self.to_chin)
        self.wearing = wearing
        self.top = wearing.top + rng.uniform(-0.02, 0.03)
        self.bottom = wearing.bottom + rng.uniform(-0.02, 0.03)
        self.width = wearing.half_width * rng.uniform(0.97, 1.03)
        self.height = (self.bottom - self.top) * self.to_chin / (self.width * self.half)
        """From upper to lower edge, in half widths of the mask."""

    def on_face(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Shares of the face to pixels of the picture, (..., 2)."""
        x = u + self.turn * np.maximum(1 - np.square(u), 0)
        return (
            self.origin + np.multiply.outer(x * self.half, self.across) + np.multiply.outer(v * self.to_chin, self.down)
        )

    def on_mask(self, points_ab: np.ndarray) -> np.ndarray:
        """Places (n, 2) of the mask to pixels of the picture, (n, 2)."""
        a, b = np.asarray(points_ab, np.float64).T
        return self.on_face(*self.to_face(a, b))

    def to_face(self, a: Place, b: Place) -> tuple[Place, Place]:
        """Places of the mask as shares of the face."""
        return a * self.width, self.top + b * (self.bottom - self.top)

    def from_pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of the picture to places of the mask, a and b."""
        dx, dy = x - self.origin[0], y - self.origin[1]
        u = (dx * self.across[0] + dy * self.across[1]) / self.half
        v = (dx * self.down[0] + dy * self.down[1]) / self.to_chin
        k = self.turn
        if abs(k) > 1e-3:  # u + k (1 - u²) turned round; beyond the cheeks nothing is turned
            inside = (1 - np.sqrt(np.maximum(1 - 4 * k * (u - k), 0))) / (2 * k)
            u = np.where(np.abs(u) < 1, inside, u)
        return u / self.width, (v - self.top) / (self.bottom - self.top)


def put_on(
    frame_bgr: np.ndarray,
    pose: FacePose,
    kind: str,
    wearing: str = "well",
    rng: np.random.Generator | None = None,
    color: str | None = None,
) -> np.ndarray:
    """Draw a mask on one bare face: turned and scaled with it, in its light, with a soft shadow under the edge.

    Args:
        frame_bgr: (h, w, 3) uint8; it is not changed.
        pose: from ``find_pose``.
        kind: a key of ``MASK_KINDS``.
        wearing: a key of ``WEARING``.
        rng: decides on colour, pattern, wrinkles and fit; one of the same seed gives the same picture.
        color: one of the kind's colours; without it, ``rng`` takes one and varies it a little.

    Returns:
        A new frame of the same shape.

    Raises:
        ValueError: an unknown kind, wearing or colour.
    """
    for given, known, what in ((kind, MASK_KINDS, "kind of mask"), (wearing, WEARING, "way of wearing it")):
        if given not in known:
            raise ValueError(f"There is no {what} {given!r}; possible are {', '.join(known)}.")
    spec = MASK_KINDS[kind]
    if color is not None and color not in spec.colors:
        raise ValueError(f"{spec.title} has no colour {color!r}; possible are {', '.join(spec.colors)}.")
    rng = rng or np.random.default_rng(0)
    colors: tuple[Sequence[float], Sequence[float]] = spec.colors[color or str(rng.choice(list(spec.colors)))]
    if color is None:
        factor = rng.uniform(0.93, 1.05) * rng.uniform(0.97, 1.03, 3)
        first, second = (tuple(np.clip(c * factor, 0, 250)) for c in np.array(colors, np.float64))
        colors = first, second
    fit, cut = _Fit(pose, WEARING[wearing], rng), CUTS[spec.cut]
    outline, loops = fit.on_mask(cut.full_outline), _loops(fit, cut)

    every, room = np.vstack([outline, *loops]), 0.3 * fit.half
    low = np.clip(np.floor(every.min(axis=0) - room), 0, None).astype(int)
    high = np.minimum(np.ceil(every.max(axis=0) + room), frame_bgr.shape[1::-1]).astype(int)
    result = frame_bgr.copy()
    if (high - low < 2).any():
        return result  # the face lies outside the picture
    part = result[low[1] : high[1], low[0] : high[0]]
    light = read_light(part, pose, low)

    # Small faces are painted larger and reduced, so that folds and patterns are averaged and not lost.
    scale = float(np.clip(LAYER_HALF / fit.half, MIN_SCALE, MAX_SCALE))
    shape = tuple(max(1, round(n * scale)) for n in part.shape[:2])  # (h, w) of the layer
    ratio = np.array(shape[::-1]) / (high - low)
    y, x = np.indices(shape, np.float32) + 0.5
    a, b = fit.from_pixels(x / ratio[0] + low[0], y / ratio[1] + low[1])
    to_layer = lambda points: (points - low) * ratio - 0.5  # noqa: E731
    cover = fill(to_layer(outline), shape)
    edge = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / (fit.half * scale)
    cloth, relief = paint(a, b, edge, fit.height, cut, colors, spec.pattern, rng)
    cloth *= shade(relief, fit.half * fit.width * scale, light.from_right)[..., None]
    strings = np.zeros(shape, np.uint8)
    width = max(1, round(cut.loop_width * fit.half * scale))
    for loop in loops:  # hair falls over them towards the ear
        places = np.rint(to_layer(loop) * 16).astype(np.int32)
        for piece, strength in zip(
            np.stack([places[:-1], places[1:]], 1), np.linspace(255, 110, len(places) - 1), strict=True
        ):
            cv2.polylines(strings, [piece], False, int(strength), width, cv2.LINE_AA, 4)

    size = part.shape[1::-1]
    small = resize(cover, size)
    cloth = resize(cloth * cover[..., None], size) / np.maximum(small, 1e-3)[..., None]
    ears = spec.loops_rgb or colors[0]
    part[:] = lay_on(part, cloth, small, (ears, resize(strings, size) / np.float32(255)), light, fit.half, rng)
    return result


def _loops(fit: _Fit, cut: Cut) -> list[np.ndarray]:
    """Curves (n, 2) of the ear loops in pixels of the picture, from mask to ear."""
    curves, t = [], np.linspace(0, 1, 12)
    for side in (-1, 1):
        for (a, b), (ear_u, ear_v) in zip(cut.loops, EARS, strict=True):
            start = np.array(fit.to_face(a, b))
            bend = 0.5 * (start + (ear_u, ear_v)) + (0.03, 0.05)
            path = np.outer((1 - t) ** 2, start) + np.outer(2 * t * (1 - t), bend) + np.outer(t**2, (ear_u, ear_v))
            curves.append(fit.on_face(side * path[:, 0], path[:, 1]))
    return curves
