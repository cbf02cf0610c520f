"""The centre-point detector on LiteRT: all faces of a frame and how each wears its mask, in one pass."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import expit, softmax

from core.language import mark, tr
from core.vision.boxes import clip_boxes
from core.vision.classes import CLASS_NAMES
from core.vision.crops import crop_faces, letterbox
from core.vision.detector_decode import MAX_OVERLAP, STRIDE, decode, finite_logit, suppress
from core.vision.litert import Network, checked_model
from core.vision.model_card import ModelCard, ModelError

DEFAULT_DETECTOR = "mask-detector"


@dataclass(frozen=True)
class Preset:
    """At which scales a frame goes through the detector."""

    title: str
    help: str
    long_side: int
    """The frame's longer side becomes this many pixels, more or fewer than it has."""
    near_sides: tuple[int, ...] = ()
    """More scales, as longer sides in pixels, from large to small, for faces that fill much of the frame."""
    far_side: int = 0
    """If more than 0, one more scale for small faces: enlarged, up to this longer side in pixels."""
    again: int = 0
    """At most this many doubtful faces of a frame are looked at again, each by itself."""


PRESETS = {
    "fast": Preset(mark("Fast"), mark("For slow computers; misses small faces."), 416, (160,), again=4),
    "balanced": Preset(
        mark("Balanced"),
        mark("Quick enough for video, finds faces from about 12 pixels in a webcam's picture."),
        640,
        (192,),
        again=8,
    ),
    "thorough": Preset(
        mark("Thorough"), mark("More scales, for small faces and crowds."), 640, (256, 160), 2048, again=64
    ),
}
DEFAULT_PRESET = "balanced"
TINY_PX, TINY_UP_TO = 16, 800
"""Boxes with a shorter side under this, in frames of this longer side at most, have a least score of their own."""
# Which faces each scale keeps, by their size in the network's input (docs/detector.md has the measurements). Larger
# ones were rare in training: where there is a scale that makes them smaller, they are left to it. A near scale leaves
# small ones out, and the far scale large ones, since they would only add poorer boxes.
MAX_SEEN_PX, MIN_NEAR_PX, MAX_FAR_PX = 250, 72, 80
# The far scale enlarges a frame by this: the network classifies faces of 12 to 20 px better so.
ENLARGED = 1.6
MAX_SCALES = 4
# A frame longer than this times its shorter side is seen part by part; as a whole, its faces would be tiny.
MAX_ASPECT = 3
# Of such a frame: how long a part is, and how much two of them share, in shorter sides; and how many there are at most.
PART, SHARED, MAX_PARTS = 2.0, 0.5, 16
DOUBTFUL = (0.3, 0.9)
"""A box that scores between these is looked at again."""
# The side of the square in which it is shown, how long its own longer side is there, in pixels, and how many cells from
# the middle the centre may lie (docs/detector.md has the measurements).
AGAIN_SIDE, AGAIN_FACE_PX, AGAIN_WITHIN = 96, 40, 3


class Maps(NamedTuple):
    """The network's own output for one frame at one scale, a cell for every 4 pixels, as ``decode`` takes it."""

    center: np.ndarray
    """(h', w') float32: logit of a face's centre."""
    log_edges: np.ndarray
    """(h', w', 4) float32: logarithm of the distances to a face's four edges, in cells."""
    states: np.ndarray
    """(h', w', 3) float32: logits of ``CLASS_NAMES``."""
    zoom: float
    """Pixels of the network's input per pixel of the frame."""


class MaskDetector:
    """Finds faces and classifies them. Safe to share between threads: one call at a time."""

    def __init__(self, card: ModelCard, model_path: Path | str, num_threads: int | None = None):
        """Load and check a LiteRT file.

        Raises:
            ModelError: the file is missing, broken, or does not fit its card.
        """
        self.card = card
        self._state_offsets = np.array(card.calibration.get("state_offsets", [0.0] * len(CLASS_NAMES)), np.float32)
        if self._state_offsets.shape != (len(CLASS_NAMES),) or not np.isfinite(self._state_offsets).all():
            sentence = tr("The card of {name} needs {count} numbers in 'state_offsets'.")
            raise ModelError(sentence.format(name=card.name, count=len(CLASS_NAMES)))
        self._lock = threading.Lock()
        # Each scale keeps its own network: changing the size of one takes longer than running it.
        self._networks = [Network(model_path, num_threads) for _ in range(MAX_SCALES + 1)]
        try:
            maps = self._run(np.zeros((64, 96, 3), np.uint8), 0)  # its shapes tell whether this is a detector
        except (ValueError, RuntimeError, IndexError) as error:
            sentence = tr("{file} loads but cannot be run ({reason}).")
            raise ModelError(sentence.format(file=Path(model_path).name, reason=error)) from None
        wanted = [(64 // STRIDE, 96 // STRIDE, n) for n in (1, 4, len(CLASS_NAMES))]
        if [m.shape for m in maps] != wanted:
            sentence = tr("{file} gives maps of the shapes {shapes}, expected {wanted}.")
            raise ModelError(sentence.format(file=Path(model_path).name, shapes=[m.shape for m in maps], wanted=wanted))

    def find(
        self, frame_bgr: np.ndarray, preset: str | Preset = DEFAULT_PRESET, min_score: float = 0.3
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The faces of a frame, likeliest first.

        Args:
            frame_bgr: (h, w, 3) uint8 of any size.
            preset: a key of ``PRESETS``, or one that is not among them.
            min_score: least face score, 0..1.

        Returns:
            ``xyxy`` (n, 4) float32 in pixels of the frame and inside it, ``face_score`` (n,) in 0..1, and the
            probability of each of ``CLASS_NAMES`` (n, 3) float32, which sum to 1.

        Raises:
            ValueError: there is no such preset.
        """
        how = _preset(preset)
        if parts := _parts(frame_bgr.shape[1::-1]):
            return self._find_in_parts(frame_bgr, parts, how, min_score)
        return self._find_whole(frame_bgr, how, min_score)

    def _find_whole(
        self, frame_bgr: np.ndarray, how: Preset, min_score: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scale, offset = self._center_calibration(how)
        # decode wants the network's own score. What is looked at again may become likelier.
        own_min, decoded_from = (
            float(expit((finite_logit(least) - offset) / scale))
            for least in (min_score, min(min_score, DOUBTFUL[0]) if how.again else min_score)
        )
        found = []
        sides = _sides(max(frame_bgr.shape[:2]), how)
        for scale_index, side in enumerate(sides):
            canvas, zoom = letterbox(frame_bgr, side)
            center, log_edges, state = self._run(canvas, scale_index)
            xyxy, logit, states = decode(center[..., 0], log_edges, state, decoded_from)
            least_px = MIN_NEAR_PX if side < how.long_side else 0
            most_px = MAX_FAR_PX if side > how.long_side else MAX_SEEN_PX if side > min(sides) else np.inf
            size_px = np.sqrt((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]))
            kept = (size_px >= least_px) & (size_px <= most_px)
            found.append((xyxy[kept] / zoom, logit[kept], states[kept]))
        xyxy, logit, states = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if len(found) > 1:
            order = np.argsort(-logit, kind="stable")
            kept = order[suppress(xyxy[order], MAX_OVERLAP)]
            xyxy, logit, states = xyxy[kept], logit[kept], states[kept]
        logit = self._look_again(frame_bgr, xyxy, logit, how)
        order = np.argsort(-logit, kind="stable")
        order = order[logit[order] >= finite_logit(own_min)]
        xyxy, logit, states = xyxy[order], logit[order], states[order]
        states = states / self.card.calibration["temperature"] + self._state_offsets
        return clip_boxes(xyxy, frame_bgr.shape[1::-1]), expit(scale * logit + offset), softmax(states, axis=-1)

    def _find_in_parts(
        self, frame_bgr: np.ndarray, parts: list[tuple[np.ndarray, np.ndarray]], how: Preset, min_score: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As ``find``: each part gives the faces whose centres are its own, so that none is cut at its edge."""
        found = []
        for (x1, y1, x2, y2), own in parts:
            xyxy, score, states = self._find_whole(frame_bgr[y1:y2, x1:x2], how, min_score)
            xyxy = xyxy + np.array([x1, y1, x1, y1], np.float32)
            centers = (xyxy[:, :2] + xyxy[:, 2:]) / 2
            kept = ((centers >= own[:2]) & (centers < own[2:])).all(axis=1)
            found.append((xyxy[kept], score[kept], states[kept]))
        xyxy, score, states = (np.concatenate(each) for each in zip(*found, strict=True))
        order = np.argsort(-score, kind="stable")
        kept = order[suppress(xyxy[order], MAX_OVERLAP)]
        return xyxy[kept], score[kept], states[kept]

    def _look_again(self, frame_bgr: np.ndarray, xyxy: np.ndarray, logit: np.ndarray, how: Preset) -> np.ndarray:
        """The logits (n,) of boxes (n, 4), likeliest first, where doubtful ones are the mean of two looks."""
        scale, offset = self._center_calibration(how)
        score = expit(scale * logit + offset)
        doubtful = np.flatnonzero((score >= DOUBTFUL[0]) & (score < DOUBTFUL[1]))[: how.again]
        middle = AGAIN_SIDE // STRIDE // 2
        near = slice(middle - AGAIN_WITHIN, middle + AGAIN_WITHIN)
        logit = logit.copy()
        crops = crop_faces(frame_bgr, xyxy[doubtful], AGAIN_SIDE, (AGAIN_SIDE / AGAIN_FACE_PX - 1) / 2)
        for i, crop in zip(doubtful, crops, strict=True):
            views = crop, np.ascontiguousarray(crop[:, ::-1])
            looks = [self._run(view, MAX_SCALES)[0][near, near].max() for view in views]
            logit[i] = (logit[i] + np.mean(looks)) / 2
        return logit

    def center_map(self, frame_bgr: np.ndarray, preset: str = DEFAULT_PRESET) -> np.ndarray:
        """How likely each place of a frame is the centre of a face.

        Returns:
            (h', w') float32 in 0..1: a cell for every 4 pixels of the frame as the network sees it.
        """
        how = _preset(preset)
        scale, offset = self._center_calibration(how)
        return expit(scale * self.maps(frame_bgr, max(_sides(max(frame_bgr.shape[:2]), how))).center + offset)

    def maps(self, frame_bgr: np.ndarray, long_side: int) -> Maps:
        """What the network says of a frame (h, w, 3) uint8 whose longer side it sees with so many pixels."""
        canvas, zoom = letterbox(frame_bgr, long_side)
        height, width = (max(1, round(n * zoom / STRIDE)) for n in frame_bgr.shape[:2])
        center, log_edges, states = (each[:height, :width] for each in self._run(canvas, 0))
        return Maps(center[..., 0], log_edges, states, zoom)

    def _center_calibration(self, how: Preset) -> tuple[float, float]:
        calibration = self.card.calibration
        by_preset = {PRESETS[name]: pair for name, pair in calibration.get("centers", {}).items() if name in PRESETS}
        return tuple(by_preset.get(how, (calibration["center_scale"], calibration["center_offset"])))

    def _run(self, canvas_rgb: np.ndarray, scale_index: int) -> list[np.ndarray]:
        """Centre (h, w, 1), log edges (h, w, 4) and states (h, w, 3): told apart by their channels."""
        with self._lock:
            maps = self._networks[scale_index](canvas_rgb[None])
        return sorted((m[0] for m in maps), key=lambda m: (1, 4, len(CLASS_NAMES)).index(m.shape[-1]))


def _preset(preset: str | Preset) -> Preset:
    if not isinstance(preset, Preset) and preset not in PRESETS:
        raise ValueError(f"Preset is {preset!r}; possible are {', '.join(PRESETS)}.")
    return preset if isinstance(preset, Preset) else PRESETS[preset]


def _parts(size_wh: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """How a very wide or very high frame is cut: each part, and where the centres of its faces lie, (4,) int xyxy.

    Both are in pixels of the frame; none for a usual one.
    """
    longer, shorter = max(size_wh), min(size_wh)
    if longer <= MAX_ASPECT * shorter:
        return []
    count = min(MAX_PARTS, int(np.ceil((longer / shorter - SHARED) / (PART - SHARED))))
    length = min(longer, round(longer / count + SHARED * shorter))
    starts = np.linspace(0, longer - length, count).round().astype(int)
    middles = (starts[1:] + starts[:-1] + length) // 2
    along = zip(starts, starts + length, [0, *middles], [*middles, longer], strict=True)
    parts = []
    for start, stop, own_start, own_stop in along:
        part, own = np.array([start, 0, stop, shorter]), np.array([own_start, 0, own_stop, shorter])
        if size_wh[0] < size_wh[1]:
            part, own = part[[1, 0, 3, 2]], own[[1, 0, 3, 2]]
        parts.append((part, own))
    return parts


def _sides(longer_side: int, how: Preset) -> list[int]:
    """The longer sides, in pixels, to which a frame of such a longer side is scaled; the first is the main one."""
    far = min(how.far_side, round(ENLARGED * longer_side))
    return [how.long_side, *how.near_sides, *([far] if far > 1.2 * how.long_side else [])]


def enlargement(longer_side: int, preset: str | Preset) -> float:
    """How many times as large as it is a frame of such a longer side, in pixels, is seen at most."""
    return max(_sides(longer_side, _preset(preset))) / longer_side


def tiny_px(frame_bgr: np.ndarray, preset: str | Preset) -> float:
    """The shorter side, in pixels of a frame, under which a box is tiny: as small to the network as 16 px of 800."""
    longer_side = max(frame_bgr.shape[:2])
    for part, _ in _parts(frame_bgr.shape[1::-1])[:1]:
        longer_side = max(part[2:] - part[:2])
    return TINY_PX * max(1.0, enlargement(TINY_UP_TO, preset) / enlargement(longer_side, preset))


def load_detector(
    name: str = DEFAULT_DETECTOR, folder: Path | str | None = None, num_threads: int | None = None
) -> MaskDetector:
    """Load a model of ``models/`` by name.

    Raises:
        ModelError: there is no such model, it is no detector, or its file is not the one its card describes.
    """
    return MaskDetector(*checked_model(name, "detector", folder), num_threads)
