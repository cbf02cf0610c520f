"""Laying a painted mask into a photo: in its light, sharpness and noise, with a soft shadow under the mask's edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from core.synthetic.eyes import FacePose
from core.vision.crops import resize

SHADOW = 0.36
"""How dark the shadow is beside the mask's edge, 0..1."""
MAX_NOISE = 9.0


@dataclass(frozen=True, eq=False)
class Light:
    """What a photo tells of the light on one face."""

    local: np.ndarray
    """(h, w) float32: brightness at each place, 1 on average over the face."""
    exposure: float
    """Brightness of something white."""
    cast_bgr: np.ndarray
    """Colour of something white, (3,), 1 on average."""
    from_right: float
    """How much brighter the right cheek in the picture is than the left one, about -0.5..0.5."""
    blur_px: float
    """Standard deviation of the photo's own unsharpness there."""
    noise: float
    """Standard deviation of its noise, 0..255."""


def read_light(part_bgr: np.ndarray, pose: FacePose, corner_xy: np.ndarray) -> Light:
    """The light on a face.

    Args:
        part_bgr: (h, w, 3) uint8, a part of the photo around the face.
        pose: the face, in pixels of the photo.
        corner_xy: where the part begins in the photo.
    """
    half = pose.size_wh[0] / 2
    face = np.zeros(part_bgr.shape[:2], np.uint8)
    axes = tuple(max(1, round(0.85 * side / 2)) for side in pose.size_wh)
    center = tuple(int(v) for v in np.rint(np.array(pose.center) - corner_xy))
    cv2.ellipse(face, center, axes, pose.tilt_deg, 0, 360, 1, -1)
    if not face.any():
        face[:] = 1
    grey = cv2.cvtColor(part_bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
    weight = face.astype(np.float32)
    sigma = max(1.0, 0.3 * half)
    seen = blurred(weight, sigma)
    mean = max(1.0, float(grey[face > 0].mean()))
    # Only the face counts: what lies behind it would shine through at the mask's edges.
    local = (blurred(grey * weight, sigma) + 0.05 * mean) / (seen + 0.05) / mean

    across, _ = pose.axes
    y, x = np.nonzero(face)
    on_right = (x - center[0]) * across[0] + (y - center[1]) * across[1] > 0
    values = grey[y, x]
    right, left = (float(values[side].mean()) if side.any() else mean for side in (on_right, ~on_right))
    bright = part_bgr[grey >= np.percentile(grey, 95)].reshape(-1, 3).mean(axis=0).astype(np.float64)
    # A dark skin in good light and a fair one in bad light look alike; the brightest things around tell them apart.
    exposure = (0.4 * np.percentile(values, 92) + 0.6 * np.percentile(grey, 96)) / 225
    return Light(
        local=np.clip(local, 0.55, 1.35).astype(np.float32),
        exposure=float(np.clip(exposure, 0.25, 1.0)),
        cast_bgr=np.clip((bright + 10) / (bright.mean() + 10), 0.6, 1.4) ** 0.4,
        from_right=float(np.clip((right - left) / (right + left + 1) * 2, -0.5, 0.5)),
        blur_px=_blur(grey, face > 0, half),
        noise=_noise(grey, face > 0) * min(1.0, half / 50),  # in small faces every feature looks like noise
    )


def _blur(grey: np.ndarray, face: np.ndarray, half: float) -> float:
    """How unsharp a photo is: what blurring it once more still takes away (Crete 2007)."""
    steps = [np.abs(np.diff(image, axis=1))[face[:, 1:]] for image in (grey, cv2.GaussianBlur(grey, (0, 0), 1.0))]
    if not steps[0].size:
        return 0.5
    # The strongest edges tell of the lens; flat skin tells of noise.
    before, after = (np.percentile(step, 98) + 0.5 for step in steps)
    kept = float(np.clip(after / before, 0.3, 0.97))
    return float(np.clip(kept / np.sqrt(max(1 - kept**2, 0.06)) - 0.45, 0.3, max(0.3, 0.06 * half)))


def _noise(grey: np.ndarray, face: np.ndarray) -> float:
    """Standard deviation of the noise (Immerkær 1996), by the median, so that features of the face do not count."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(min(np.median(np.abs(cv2.filter2D(grey, -1, kernel))[face]) / (6 * 0.6745), MAX_NOISE))


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, (h, w) float32; a strong one on a reduced picture, where it costs little."""
    shrink = max(1.0, sigma / 6)
    if shrink == 1:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    size = tuple(max(1, round(n / shrink)) for n in image.shape[::-1])
    small = cv2.GaussianBlur(resize(image, size), (0, 0), sigma / shrink)
    return resize(small, image.shape[::-1])


def shade(relief: np.ndarray, px_per_unit: float, from_right: float) -> np.ndarray:
    """Brightness 0.6..1.25 of a relief (h, w) in light from above and one side; 1 where it is flat."""
    down, right = np.gradient(cv2.GaussianBlur(relief, (0, 0), max(0.6, 0.008 * px_per_unit)) * px_per_unit)
    return np.clip(1 + 0.20 * down - 0.36 * from_right * right - 0.10 * np.abs(right), 0.6, 1.25)


def lay_on(
    part_bgr: np.ndarray,
    color_rgb: np.ndarray,
    cover: np.ndarray,
    loops: tuple[Sequence[float], np.ndarray],
    light: Light,
    half_px: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """A part of a photo with the mask in it.

    Args:
        part_bgr: (h, w, 3) uint8.
        color_rgb: (h, w, 3) float32 of the mask in plain light, 0..255, relief already shaded.
        cover: (h, w) float32, 0..1.
        loops: colour (3,) RGB and (h, w) cover of the ear loops.
        light: of the photo.
        half_px: half the width of the face.
        rng: for the noise.

    Returns:
        (h, w, 3) uint8.
    """
    lit = light.local * light.exposure
    cloth = (color_rgb[..., ::-1] * light.cast_bgr + 5) * lit[..., None]  # the blackest cloth shines a little
    thin = np.asarray(loops[0], np.float64)[::-1] * light.cast_bgr * (0.92 * lit)[..., None]
    noise = cv2.GaussianBlur(rng.standard_normal(cover.shape, np.float32), (0, 0), 0.6) * (1.9 * light.noise)
    sigma = light.blur_px
    if sigma > 0.4:
        cover_soft = cv2.GaussianBlur(cover, (0, 0), sigma)
        cloth = cv2.GaussianBlur(cloth * cover[..., None], (0, 0), sigma) / np.maximum(cover_soft, 1e-3)[..., None]
        cover = cover_soft
        loops = loops[0], cv2.GaussianBlur(loops[1], (0, 0), sigma)
    shadow = _shadow(cover, half_px) + 0.5 * _shadow(loops[1], 0.5 * half_px)
    photo = part_bgr * (1 - SHADOW * np.clip(shadow, 0, 1))[..., None]
    photo += loops[1][..., None] * (thin - photo)
    photo += cover[..., None] * (cloth + noise[..., None] - photo)
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8)


def _shadow(cover: np.ndarray, half_px: float) -> np.ndarray:
    """A soft shadow below and beside what covers, strongest at its edge."""
    down = np.array([[1, 0, 0], [0, 1, 0.05 * half_px]], np.float32)
    moved = cv2.warpAffine(cover, down, cover.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    near, far = (blurred(moved, max(0.5, share * half_px)) for share in (0.035, 0.11))
    return 0.6 * near + 0.6 * far
