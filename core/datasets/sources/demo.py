"""A small data set for a first look, made offline: one portrait in many views, half of them with a drawn mask."""

from pathlib import Path

import cv2
import numpy as np

from core.jobs import Report
from core.language import mark, number, tr
from core.synthetic.sample import SAMPLE_FACE_XYXY, SAMPLE_TILT_DEG, sample_photo
from core.synthetic.simple import draw_mask
from core.vision.images import encode_image

DEMO_CARD = {
    "title": mark("Demonstration"),
    "about": mark(
        "One public-domain portrait (Eileen Collins, NASA) in many views, half of them with a drawn mask. It shows how "
        "the pages work; a model trained on it knows one face."
    ),
    "drawn": True,
}
PER_CLASS = 24
COLORS_RGB = [(150, 195, 225), (235, 235, 230), (40, 40, 45), (190, 60, 70), (90, 140, 90), (200, 170, 120)]


def draw_demo_pictures(folder: Path, report: Report) -> int:
    """Write ``with_mask/`` and ``without_mask/``, always the same pictures, none of them square; returns how many."""
    portrait = sample_photo(masked=False)
    masked = [draw_mask(portrait, SAMPLE_FACE_XYXY, SAMPLE_TILT_DEG, color) for color in COLORS_RGB]
    total = 2 * PER_CLASS
    for done in range(total):
        label, place = ("with_mask", "without_mask")[done % 2], done // 2
        frame = masked[place % len(masked)] if label == "with_mask" else portrait
        path = folder / label / f"{place:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(_view(frame, np.random.default_rng([7, done]))))
        report(
            done + 1, total, tr("{done} of {total} images").format(done=number(done + 1, ","), total=number(total, ","))
        )
    return total


def _view(frame_bgr: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The face turned, shifted, cut at another size, mirrored, and in another light: (h, w, 3) uint8, BGR."""
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    face = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    zoom = rng.uniform(0.9, 1.7)  # the face is 94 × 130 pixels
    wide, high = rng.integers(120, 180), rng.integers(190, 260)
    turn = cv2.getRotationMatrix2D(face.tolist(), rng.uniform(-18, 18), zoom)
    turn[:, 2] += np.array([wide, high]) * rng.uniform(0.42, 0.58, 2) - face
    view = cv2.warpAffine(
        frame_bgr, turn, (int(wide), int(high)), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    if rng.random() < 0.5:
        view = view[:, ::-1]
    left, right = rng.uniform(0.6, 1.35, 2)
    light = np.linspace(left, right, view.shape[1])[None, :, None]  # from one side
    return np.clip(view * light * rng.uniform(0.92, 1.08, 3) + rng.uniform(-12, 12), 0, 255).astype(np.uint8)
