"""Varied views of a face for training: one affine warp for everything geometric, then light and lens.

``REPORT`` is the recipe of the student's report, with the meaning that Keras' ``ImageDataGenerator`` gave to each
number (its shear is an angle in degrees). ``STREET`` adds what sets street photos apart: loose and tight boxes, small
blurred faces, bad light, strong compression.
"""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from core.datasets.faces import Sample
from core.vision.crops import resize


@dataclass(frozen=True)
class Augmentation:
    """How far a view may stray from the plain crop; 0 or a range of (1, 1) switches a part off."""

    rotation_deg: float = 20
    zoom: tuple[float, float] = (0.85, 1.15)
    """Size of the seen part relative to the crop, drawn for x and y apart if ``zoom_xy_apart``."""
    zoom_xy_apart: bool = True
    shift: float = 0.2
    """Largest shift as a share of the crop's side."""
    shear_deg: float = 0.15
    flip: bool = True
    light: float = 0.0
    """Strength of brightness, contrast, gamma and colour changes, 0..1."""
    grey_share: float = 0.0
    blur_share: float = 0.0
    """Share of views that lose detail: shown at 20 to 100 px, defocused, or smeared by motion."""
    jpeg_share: float = 0.0
    noise_share: float = 0.0
    hide_share: float = 0.0
    """Share of views with a random block hidden, so that no single spot decides (Zhong et al. 2020)."""
    detail_px: tuple[float, float] = (20, 100)
    """Size at which a view that lost detail was seen."""
    lens: float = 1.0
    """Strength of defocus and motion; less where the faces in a view are small."""


REPORT = Augmentation()
STREET = Augmentation(
    zoom=(0.72, 1.38),
    zoom_xy_apart=False,
    shift=0.13,
    shear_deg=4,
    light=0.5,
    grey_share=0.1,
    blur_share=0.4,
    jpeg_share=0.3,
    noise_share=0.15,
    hide_share=0.15,
)
RECIPES = {"report": REPORT, "street": STREET}


def varied_view(sample: Sample, size: int, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """One random view of a face: (size, size, 3) uint8 RGB; past the edge the nearest pixel is repeated."""
    matrix = crop_matrix(sample.crop_xyxy, size) @ random_affine(size, how, rng)
    # The warp samples single pixels: shrink first where it would skip some.
    patch = sample.patch_rgb
    scale = size / max(sample.crop_xyxy[2] - sample.crop_xyxy[0], sample.crop_xyxy[3] - sample.crop_xyxy[1])
    if scale < 0.7:
        patch = resize(patch, (max(1, round(patch.shape[1] * scale)), max(1, round(patch.shape[0] * scale))))
        ratio = patch.shape[1] / sample.patch_rgb.shape[1], patch.shape[0] / sample.patch_rgb.shape[0]
        matrix = np.diag([*ratio, 1]) @ matrix
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(patch, matrix[:2], (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return change_pixels(view, how, rng)


def crop_matrix(crop_xyxy: np.ndarray, size: int) -> np.ndarray:
    """(3, 3): pixel centres of a ``size`` × ``size`` view to pixel centres of the patch, nothing varied."""
    x1, y1, x2, y2 = (float(v) for v in crop_xyxy)
    sx, sy = (x2 - x1) / size, (y2 - y1) / size
    return np.array([[sx, 0, x1 + sx / 2 - 0.5], [0, sy, y1 + sy / 2 - 0.5], [0, 0, 1]])


def random_affine(size: int, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """(3, 3): pixel of the view to pixel of the plain crop, drawn as ``ImageDataGenerator`` composes it."""
    angle = np.deg2rad(rng.uniform(-how.rotation_deg, how.rotation_deg))
    shear = np.deg2rad(rng.uniform(-how.shear_deg, how.shear_deg))
    shift_x, shift_y = rng.uniform(-how.shift, how.shift, 2) * size
    zoom_x, zoom_y = rng.uniform(*how.zoom, 2) if how.zoom_xy_apart else [np.exp(rng.uniform(*np.log(how.zoom)))] * 2
    flip = -1 if how.flip and rng.random() < 0.5 else 1
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    translation = np.array([[1, 0, shift_x], [0, 1, shift_y], [0, 0, 1]])
    shearing = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    zooming = np.diag([zoom_x * flip, zoom_y, 1])
    middle = (size - 1) / 2
    to_middle = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1]])
    return np.linalg.inv(to_middle) @ rotation @ translation @ shearing @ zooming @ to_middle


def change_pixels(view: np.ndarray, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Vary light and lens of a square view (s, s, 3) uint8, in either order of colours."""
    size = view.shape[0]
    if rng.random() < how.hide_share:
        w, h = (size * rng.uniform(0.1, 0.35, 2)).astype(int)
        x, y = rng.integers(0, size - w), rng.integers(0, size - h)
        view[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    if how.light:
        # One look-up table per channel: gain and offset for all, a little more for each colour, then gamma.
        gain = 1 + rng.normal(0, 0.35 * how.light) + rng.normal(0, 0.12 * how.light, 3)
        offset = rng.normal(0, 0.2 * how.light)
        gamma = np.exp(rng.normal(0, 0.5 * how.light))
        ramp = np.linspace(0, 1, 256)[:, None]
        table = np.clip((ramp - 0.5) * gain + 0.5 + offset, 0, 1) ** gamma  # (256, 3)
        view = cv2.LUT(view, (table * 255).astype(np.uint8)[None])
    if rng.random() < how.grey_share:
        view = cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < how.blur_share:
        view = _lose_detail(view, how, rng)
    if rng.random() < how.noise_share:
        noise = rng.normal(0, rng.uniform(2, 14), view.shape).astype(np.float32)
        view = np.clip(view + noise, 0, 255).astype(np.uint8)
    if rng.random() < how.jpeg_share:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        decoded = cv2.imdecode(cv2.imencode(".jpg", view, quality)[1], cv2.IMREAD_COLOR)
        view = cast(np.ndarray, decoded)  # never None: it was encoded a moment ago
    return view


def _lose_detail(view: np.ndarray, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    size = view.shape[0]
    kind = rng.integers(0, 4)
    if kind <= 1:  # a small face
        side = int(np.exp(rng.uniform(*np.log(how.detail_px))))
        return cv2.resize(resize(view, (side, side)), (size, size), interpolation=cv2.INTER_LINEAR)
    if kind == 2:  # out of focus
        return cv2.GaussianBlur(view, (0, 0), size / 224 * how.lens * rng.uniform(0.8, 4))
    length = max(3, int(size / 224 * how.lens * rng.uniform(5, 22)))  # moving
    kernel: np.ndarray = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(view, -1, kernel / max(kernel.sum(), 1e-6))
