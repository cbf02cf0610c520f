"""Face finder "Haar cascade": Viola and Jones 2001, Rapid Object Detection using a Boosted Cascade; as in OpenCV."""

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.special import expit

from core.language import tr
from core.vision.boxes import overlaps
from core.vision.crops import fit_within
from core.vision.model_card import ModelError

CASCADE_FILES = {
    "default": "haarcascade_frontalface_default.xml",
    "alt2": "haarcascade_frontalface_alt2.xml",
}
PROFILE_FILE = "haarcascade_profileface.xml"
# Where the face lies in the square that the cascade draws: x1, y1, x2, y2 in units of its side. The square ends at the
# lower lip; an annotator's box goes down to the chin. Fitted by ``train.tune_haar``.
FACE_IN_SQUARE = {
    "default": (0.115, 0.094, 0.881, 1.020),
    "alt2": (0.103, 0.071, 0.898, 1.035),
    "profile": (0.091, 0.171, 0.756, 0.975),
}
# Centre and width of the logistic curve from the last stage's sum to the share of true faces, fitted by
# ``train.tune_haar``.
SCORE_CURVE = {"default": (3.43, 2.10), "alt2": (-0.02, 37.73), "profile": (0.91, 0.70)}
# Two boxes that overlap more than this show the same face seen by the frontal and the profile cascade.
SAME_FACE_IOU = 0.3


@dataclass(frozen=True)
class HaarSettings:
    """The cascade's own knobs. The defaults are the best of ``docs/haar.md`` (``python -m train.tune_haar``)."""

    cascade: str = "alt2"
    """``default`` or ``alt2``, both for frontal faces."""
    profile: bool = False
    """Look for faces in profile as well, to the left and to the right: finds more, takes three times as long."""
    scale_factor: float = 1.05
    """Step from one size of the search window to the next, above 1; nearer to 1 finds more and is slower."""
    min_neighbors: int = 5
    """Windows that must agree on a face; fewer find more faces and more that are none."""
    max_side: int = 640
    """The longest side of the frame is reduced to this many pixels before the search."""
    min_face_px: float = 24
    """Smaller faces are not searched, in pixels of the frame: more of them would be false, and the search slower."""

    def __post_init__(self) -> None:
        if self.cascade not in CASCADE_FILES:
            raise ValueError(f"cascade is {self.cascade!r}; possible are {', '.join(CASCADE_FILES)}.")
        if not 1.01 <= self.scale_factor <= 2:
            raise ValueError(f"scale_factor is {self.scale_factor}; it must lie in 1.01..2.")
        if not 0 <= self.min_neighbors <= 100:
            raise ValueError(f"min_neighbors is {self.min_neighbors}; it must lie in 0..100.")
        if not 0 <= self.min_face_px <= 8192:
            raise ValueError(f"min_face_px is {self.min_face_px}; it must lie in 0..8192 pixels.")
        if not 64 <= self.max_side <= 8192:
            raise ValueError(f"max_side is {self.max_side}; it must lie in 64..8192 pixels.")


class HaarFaceFinder:
    """Finds upright faces. Safe to share between threads: one search at a time."""

    def __init__(self) -> None:
        """Load the cascades.

        Raises:
            ModelError: OpenCV comes without them.
        """
        self._cascades = load_cascades()
        self._lock = threading.Lock()

    def __call__(
        self, frame_bgr: np.ndarray, settings: HaarSettings, min_face_px: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the faces of a frame.

        Args:
            frame_bgr: (h, w, 3) uint8.
            settings: the cascade's knobs.
            min_face_px: in place of the settings' own, in pixels of ``frame_bgr``.

        Returns:
            ``xyxy`` (n, 4) float32 in pixels of ``frame_bgr``, hairline to chin, perhaps over the edge of the frame;
            and ``face_score`` (n,) float32 in 0..1.
        """
        grey, ratio = self._prepare(frame_bgr, settings)
        min_face_px = settings.min_face_px if min_face_px is None else min_face_px
        searches = [(settings.cascade, False)]
        if settings.profile:  # its cascade knows one side of the head only: mirrored, it finds the other
            searches += [("profile", False), ("profile", True)]
        xyxy, score = np.empty((0, 4), np.float32), np.empty(0, np.float32)
        for cascade, mirrored in searches:
            # A face is narrower than its square: smaller squares than this hold smaller faces only.
            x1, _, x2, _ = FACE_IN_SQUARE[cascade]
            min_side = max(1, int(min_face_px / (x2 - x1) / ratio.max()))
            squares, weight = self._search(cascade, cv2.flip(grey, 1) if mirrored else grey, settings, min_side)
            boxes = faces_in_squares(squares, cascade)
            if mirrored:
                boxes[:, [0, 2]] = grey.shape[1] - boxes[:, [2, 0]]
            new = overlaps(boxes, xyxy).max(axis=1, initial=0) < SAME_FACE_IOU
            xyxy, score = np.vstack([xyxy, boxes[new]]), np.append(score, face_score(weight, cascade)[new])
        return (xyxy * ratio).astype(np.float32), score.astype(np.float32)

    def find_squares(
        self, frame_bgr: np.ndarray, cascade: str, settings: HaarSettings, min_face_px: float = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The raw output of one cascade: squares (n, 4) in pixels of ``frame_bgr``, sums of its last stage (n,)."""
        grey, ratio = self._prepare(frame_bgr, settings)
        squares, weight = self._search(cascade, grey, settings, max(1, int(min_face_px / ratio.max())))
        return (squares * ratio).astype(np.float32), weight

    def _prepare(self, frame_bgr: np.ndarray, settings: HaarSettings) -> tuple[np.ndarray, np.ndarray]:
        """The reduced grey frame, contrast evened out, and what to multiply x1, y1, x2, y2 by to undo the reduction."""
        small, _ = fit_within(frame_bgr, settings.max_side)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        # x and y apart: rounding to whole pixels made their factors differ a little.
        ratio = np.array([frame_bgr.shape[1] / small.shape[1], frame_bgr.shape[0] / small.shape[0]] * 2)
        return grey, ratio

    def _search(
        self, cascade: str, grey: np.ndarray, settings: HaarSettings, min_side: int
    ) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            rects, _, weights = self._cascades[cascade].detectMultiScale3(
                grey,
                scaleFactor=settings.scale_factor,
                minNeighbors=settings.min_neighbors,
                minSize=(min_side, min_side),
                outputRejectLevels=True,
            )
        xywh = np.asarray(rects, np.float32).reshape(-1, 4)
        squares = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
        return squares, np.asarray(weights, np.float32).reshape(-1)


def faces_in_squares(squares: np.ndarray, cascade: str) -> np.ndarray:
    """Face boxes, hairline to chin, from the cascade's squares; both (n, 4) in pixels."""
    side = squares[:, 2:3] - squares[:, 0:1]  # (n, 1)
    return np.tile(squares[:, :2], 2) + side * np.array(FACE_IN_SQUARE[cascade], np.float32)


def face_score(stage_sum: np.ndarray, cascade: str) -> np.ndarray:
    """The share of true faces among squares with such a sum of the last stage, (n,) in 0..1."""
    center, width = SCORE_CURVE[cascade]
    return expit((stage_sum.astype(np.float64) - center) / width)


def load_cascades() -> dict:
    """OpenCV's cascades by our names.

    Raises:
        ModelError: this OpenCV has none, as from version 5 on.
    """
    cascades = {}
    for name, file in (CASCADE_FILES | {"profile": PROFILE_FILE}).items():
        if not (hasattr(cv2, "CascadeClassifier") and hasattr(cv2, "data")):
            sentence = tr("OpenCV {version} has no Haar cascades; install opencv-python-headless>=4.12,<5.")
            raise ModelError(sentence.format(version=cv2.__version__))
        folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]  # missing in OpenCV's stubs
        cascades[name] = cv2.CascadeClassifier(str(folder / file))
        if cascades[name].empty():
            sentence = tr("OpenCV's file {file} is missing or broken; install opencv-python-headless again.")
            raise ModelError(sentence.format(file=file))
    return cascades
