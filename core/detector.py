"""The centre-point detector on LiteRT: all faces of a frame and how each wears its mask, in one pass."""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.boxes import clip_boxes
from core.card import MODELS_DIR, ModelCard, ModelError
from core.centers import MAX_OVERLAP, STRIDE, decode, sigmoid, suppress
from core.classes import CLASS_NAMES
from core.classifier import softmax
from core.crops import letterbox
from core.litert import Network, checked_model

DEFAULT_DETECTOR = "mask-detector"


@dataclass(frozen=True)
class Speed:
    """How closely the detector looks."""

    title: str
    help: str
    long_side: int
    """The frame's longer side becomes this many pixels."""
    near_side: int = 0
    """If more than 0, a look at a version of this size, for faces that fill much of the frame."""
    far_side: int = 0
    """If more than 0, a look at a larger version, up to this side, for small faces in large photos."""
    mirrored: bool = False
    """Whether each look sees the mirror image too and takes the mean of both: twice the time, surer boxes."""


SPEEDS = {
    "fast": Speed("Fast", "For slow computers; misses small faces.", 416, 192),
    "balanced": Speed(
        "Balanced", "Quick enough for video, finds faces from about 15 pixels in a webcam's picture.", 576, 256
    ),
    "thorough": Speed("Thorough", "More and closer looks, for crowds in large photos.", 512, 256, 1920, mirrored=True),
}
DEFAULT_SPEED = "balanced"
# Faces larger than about this many pixels were rare in training: where there is a look that shows them smaller, they
# are left to it. The near look leaves all others alone, since it would only add poorer boxes.
MAX_SEEN_PX, MIN_NEAR_PX = 300, 96
# The far look shows a frame no more than this much larger than it is: more would invent nothing.
MAX_ENLARGED = 1.15


class MaskDetector:
    """Finds faces and judges them. Safe to share between threads: one call at a time."""

    def __init__(self, card: ModelCard, model_path: Path | str, num_threads: int | None = None):
        """Load and check a LiteRT file.

        Raises:
            ModelError: the file is missing, broken, or does not fit its card.
        """
        self.card = card
        self._state_offsets = np.array(card.calibration.get("state_offsets", [0.0] * len(CLASS_NAMES)), np.float32)
        if self._state_offsets.shape != (len(CLASS_NAMES),) or not np.isfinite(self._state_offsets).all():
            raise ModelError(f"The card of {card.name} needs {len(CLASS_NAMES)} numbers in 'state_offsets'.")
        self._lock = threading.Lock()
        # Each look keeps its own network: changing the size of one takes longer than running it.
        self._networks = [Network(model_path, num_threads) for _ in range(3)]
        try:
            maps = self._run(np.zeros((64, 96, 3), np.uint8), 0)  # its shapes tell whether this is a detector
        except (ValueError, RuntimeError, IndexError) as error:
            raise ModelError(f"{model_path} loads but cannot be run ({error}).") from None
        wanted = [(64 // STRIDE, 96 // STRIDE, n) for n in (1, 4, len(CLASS_NAMES))]
        if [m.shape for m in maps] != wanted:
            raise ModelError(f"{model_path} gives maps of the shapes {[m.shape for m in maps]}, expected {wanted}.")

    def find(
        self, frame_bgr: np.ndarray, speed: str | Speed = DEFAULT_SPEED, min_score: float = 0.3
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The faces of a frame, likeliest first.

        Args:
            frame_bgr: (h, w, 3) uint8 of any size.
            speed: a key of ``SPEEDS``, or one that is not among them.
            min_score: how likely a face must be, 0..1.

        Returns:
            ``xyxy`` (n, 4) float32 in pixels of the frame and inside it, ``face_score`` (n,) in 0..1, and the
            probability of each of ``CLASS_NAMES`` (n, 3).
        """
        how = _speed(speed)
        scale, offset = self._center_calibration(how)
        # decode wants the network's own score.
        min_logit = np.log(max(min_score, 1e-6)) - np.log1p(-min(min_score, 1 - 1e-6))
        own_min = float(sigmoid((min_logit - offset) / scale))
        found = []
        sides = _sides(frame_bgr, how)
        for look, side in enumerate(sides):
            canvas, zoom = letterbox(frame_bgr, side)
            center, log_edges, state = self._look(canvas, look, how)
            xyxy, logit, states = decode(center[..., 0], log_edges, state, own_min)
            least_px = MIN_NEAR_PX if side < sides[0] else 0
            most_px = MAX_SEEN_PX if side > min(sides) else np.inf
            size_px = np.sqrt((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]))
            kept = (size_px >= least_px) & (size_px <= most_px)
            found.append((xyxy[kept] / zoom, logit[kept], states[kept]))
        xyxy, logit, states = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if len(found) > 1:
            order = np.argsort(-logit, kind="stable")
            kept = order[suppress(xyxy[order], MAX_OVERLAP)]
            xyxy, logit, states = xyxy[kept], logit[kept], states[kept]
        states = states / self.card.calibration["temperature"] + self._state_offsets
        return clip_boxes(xyxy, frame_bgr.shape[1::-1]), sigmoid(scale * logit + offset), softmax(states)

    def center_map(self, frame_bgr: np.ndarray, speed: str = DEFAULT_SPEED) -> np.ndarray:
        """How much each place of a frame looks like the centre of a face.

        Returns:
            (h', w') float32 in 0..1: a cell for every 4 pixels of the frame as the network sees it.
        """
        how = _speed(speed)
        canvas, zoom = letterbox(frame_bgr, max(_sides(frame_bgr, how)))
        center, _, _ = self._look(canvas, 0, how)
        height, width = (max(1, round(n * zoom / STRIDE)) for n in frame_bgr.shape[:2])
        scale, offset = self._center_calibration(how)
        return sigmoid(scale * center[:height, :width, 0] + offset)

    def _center_calibration(self, how: Speed) -> tuple[float, float]:
        calibration = self.card.calibration
        by_speed = {SPEEDS[name]: pair for name, pair in calibration.get("centers", {}).items() if name in SPEEDS}
        return tuple(by_speed.get(how, (calibration["center_scale"], calibration["center_offset"])))

    def _look(self, canvas_rgb: np.ndarray, look: int, how: Speed) -> list[np.ndarray]:
        """What ``_run`` gives, or its mean over the canvas and its mirror image."""
        maps = self._run(canvas_rgb, look)
        if not how.mirrored:
            return maps
        center, log_edges, state = (m[:, ::-1] for m in self._run(np.ascontiguousarray(canvas_rgb[:, ::-1]), look))
        log_edges = log_edges[..., [2, 1, 0, 3]]  # what was left is right
        return [(a + b) / 2 for a, b in zip(maps, (center, log_edges, state), strict=True)]

    def _run(self, canvas_rgb: np.ndarray, look: int) -> list[np.ndarray]:
        """Centre (h, w, 1), log edges (h, w, 4) and states (h, w, 3): told apart by their channels."""
        with self._lock:
            maps = self._networks[look](canvas_rgb[None])
        return sorted((m[0] for m in maps), key=lambda m: (1, 4, len(CLASS_NAMES)).index(m.shape[-1]))


def _speed(speed: str | Speed) -> Speed:
    if not isinstance(speed, Speed) and speed not in SPEEDS:
        raise ValueError(f"Speed is {speed!r}; possible are {', '.join(SPEEDS)}.")
    return speed if isinstance(speed, Speed) else SPEEDS[speed]


def _sides(frame_bgr: np.ndarray, how: Speed) -> list[int]:
    """The longer sides that a frame is looked at with; the first is the main one."""
    far = min(how.far_side, round(MAX_ENLARGED * max(frame_bgr.shape[:2])))
    sides = [how.long_side, how.near_side if how.near_side < how.long_side else 0]
    return [side for side in (*sides, far if far > 1.2 * how.long_side else 0) if side]


def load_detector(
    name: str = DEFAULT_DETECTOR, folder: Path | str = MODELS_DIR, num_threads: int | None = None
) -> MaskDetector:
    """Load a model of ``models/`` by name.

    Raises:
        ModelError: there is no such model, it is no detector, or its file is not the one its card describes.
    """
    return MaskDetector(*checked_model(name, "detector", folder), num_threads)
