"""What a mask is like by itself: outline, relief, colours and pattern, on coordinates that know nothing of the picture.

``a`` runs across the mask, -1 at the left edge to 1 at the right one in the picture; ``b`` runs down it, 0 at the top
edge on the nose to 1 at the bottom edge under the chin. Relief is in half widths of the mask.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Rgb = tuple[int, int, int]
# Right halves of the outlines, from the nose to the chin.
SURGICAL = (
    (0.0, -0.06),
    (0.30, -0.03),
    (0.55, 0.05),
    (0.95, 0.14),
    (0.91, 0.52),
    (0.66, 0.86),
    (0.28, 1.02),
    (0.0, 1.04),
)
CLOTH = ((0.0, -0.05), (0.20, -0.03), (0.48, 0.12), (0.97, 0.24), (0.96, 0.58), (0.70, 0.87), (0.30, 1.04), (0.0, 1.07))
FFP2 = ((0.0, -0.09), (0.20, -0.05), (0.50, 0.10), (0.92, 0.27), (0.97, 0.46), (0.84, 0.76), (0.42, 1.05), (0.0, 1.12))
PLEATS = (0.32, 0.50, 0.68)


@dataclass(frozen=True)
class Cut:
    """How a mask is cut and sewn; colours come on top."""

    outline: tuple[tuple[float, float], ...]
    """Its right half as (a, b), from the middle of the top edge to the middle of the bottom edge."""
    relief: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """Height above the face at (a, b), any shape."""
    hem: float
    """Width of the sewn edge, in half widths; 0 for none."""
    wrinkles: float
    """How much the cloth is crumpled; a surgical mask is 1."""
    grain: float
    """How rough the cloth is, as a share of its brightness."""
    loops: tuple[tuple[float, float], tuple[float, float]]
    """Where the ear loops begin on the right, (a, b)."""
    loop_width: float
    """In half widths."""

    @property
    def full_outline(self) -> np.ndarray:
        """The whole closed outline, corners cut (Chaikin 1974), (n, 2) of (a, b)."""
        right = np.array(self.outline)
        points = np.vstack([right, right[-2:0:-1] * [-1, 1]])
        for _ in range(3):
            following = np.roll(points, -1, axis=0)
            points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, 2)
        return points


def _head(a: np.ndarray, b: np.ndarray, nose: float = 0.30, chin: float = 0.12) -> np.ndarray:
    """A cloth over cheeks, nose and chin."""
    cheeks = 0.75 * np.sqrt(np.maximum(1 - (0.85 * a) ** 2, 0.05))
    ridge = nose * np.exp(-((a / 0.28) ** 2)) * np.exp(-(((b - 0.30) / 0.34) ** 2))
    return cheeks + ridge + chin * np.exp(-((a / 0.45) ** 2) - ((b - 0.80) / 0.22) ** 2)


def _surgical_relief(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    height = _head(a, b)
    for place in PLEATS:  # each fold lies over the one below: its edge drops, then the cloth rises again
        edge = place - 0.05 + 0.09 * (1 - a**2)
        below = (b - edge) / 0.16
        height = height - 0.035 * np.where(below > 0, np.maximum(1 - below, 0), 0) * (1 - 0.5 * np.abs(a))
    clip = np.exp(-(((b - 0.06 + 0.10 * (a / 0.5) ** 2) / 0.035) ** 2)) * (np.abs(a) < 0.42)  # the wire on the nose
    return height + 0.012 * clip


def _ffp2_relief(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Two stiff halves that meet in an upright fold and stand off the face."""
    profile = np.clip(1 - ((b - 0.45) / 0.72) ** 2, 0, 1)
    fold = np.sqrt(a**2 + 0.03**2)
    seam = 0.02 * (np.abs(a) < 0.022)
    # A welded line along the edges of each half.
    weld = -0.012 * np.exp(-(((np.abs(a) - 0.70 + 0.35 * (b - 0.4) ** 2) / 0.014) ** 2))
    return 0.62 * profile * (1 - fold) + 0.30 * np.sqrt(np.maximum(1 - (0.85 * a) ** 2, 0.05)) + seam + weld


def _cloth_relief(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    seam = -0.02 * np.exp(-((a / 0.02) ** 2))
    return _head(a, b, 0.34, 0.16) + 0.10 * np.exp(-((a / 0.5) ** 2)) + seam


CUTS = {
    "surgical": Cut(SURGICAL, _surgical_relief, 0.05, 1.0, 0.012, ((0.93, 0.17), (0.88, 0.58)), 0.024),
    "ffp2": Cut(FFP2, _ffp2_relief, 0.0, 0.35, 0.010, ((0.90, 0.36), (0.84, 0.68)), 0.028),
    "cloth": Cut(CLOTH, _cloth_relief, 0.07, 1.3, 0.035, ((0.95, 0.28), (0.93, 0.58)), 0.036),
}


def stripes(p: np.ndarray, q: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Share of the second colour, 0 or 1, at places of the cloth in half widths; so for all patterns."""
    angle, period = rng.choice([0.0, 0.5, 1.0, 1.5]) * np.pi / 2, rng.uniform(0.11, 0.24)
    return ((p * np.cos(angle) + q * np.sin(angle)) / period + rng.random()) % 1 < rng.uniform(0.25, 0.5)


def dots(p: np.ndarray, q: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Round dots, every other row shifted."""
    period = rng.uniform(0.13, 0.26)
    y = q / period + rng.random()
    x = p / period + 0.5 * (np.floor(y) % 2) + rng.random()
    return np.hypot(x % 1 - 0.5, y % 1 - 0.5) < rng.uniform(0.22, 0.32)


def checks(p: np.ndarray, q: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gingham: bands that cross, half as strong where only one of them runs."""
    period = rng.uniform(0.12, 0.26)
    return 0.5 * ((p / period + rng.random()) % 1 < 0.5) + 0.5 * ((q / period + rng.random()) % 1 < 0.5)


PATTERNS = {"stripes": stripes, "dots": dots, "checks": checks}


def paint(
    a: np.ndarray,
    b: np.ndarray,
    edge: np.ndarray,
    height: float,
    cut: Cut,
    colors: tuple[Sequence[float], Sequence[float]],
    pattern: str,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Colour and relief of a mask.

    Args:
        a, b: (h, w) places on the mask.
        edge: (h, w) distance to its edge, in half widths.
        height: of the mask, in half widths.
        cut: how it is sewn.
        colors: of the cloth and of its pattern, 0..255.
        pattern: a key of ``PATTERNS``, or empty.
        rng: decides on wrinkles, grain, and the pattern's size and direction.

    Returns:
        (h, w, 3) float32 RGB in 0..255 and (h, w) float32 relief in half widths.
    """
    first, second = (np.array(color, np.float32) for color in colors)
    p, q = np.arcsin(np.clip(0.85 * a, -1, 1)) / 0.85, height * b  # the cloth lies around the head
    share = PATTERNS[pattern](p, q, rng).astype(np.float32) if pattern else np.zeros(a.shape, np.float32)
    color: np.ndarray = first + share[..., None] * (second - first)
    relief = cut.relief(a, b) + cut.wrinkles * _wrinkles(a, b, rng)
    if cut.hem:
        inside_hem = edge < cut.hem
        relief = relief + 0.012 * inside_hem
        color = np.where(inside_hem[..., None], 0.96 * color, color)
        line = np.exp(-(((edge - cut.hem) / 0.010) ** 2))
        color = color * (1 - 0.14 * line)[..., None]
    color = color * (1 + cut.grain * rng.standard_normal(a.shape, np.float32))[..., None]
    return np.clip(color, 0, 255).astype(np.float32), relief.astype(np.float32)


def _wrinkles(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shallow folds that run from the loops inwards, strongest at the sides."""
    height = np.zeros(a.shape)
    for _ in range(6):
        side, from_b, slope = rng.choice([-1, 1]), rng.uniform(0.15, 0.7), rng.uniform(-0.35, 0.35)
        length, width = rng.uniform(0.3, 0.8), rng.uniform(0.02, 0.05)
        inwards = 1 - side * a  # 0 at that side's edge
        away = (b - from_b - slope * inwards) / width
        height += rng.uniform(-1, 1) * 0.016 * np.exp(-(away**2)) * np.exp(-((inwards / length) ** 2))
    return height


def fill(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Coverage 0..1 (h, w) float32 of a closed outline (n, 2) in pixels."""
    cover = np.zeros(shape, np.uint8)
    cv2.fillPoly(cover, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255
