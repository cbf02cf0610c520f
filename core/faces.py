"""Face finder "Haar cascade": Viola and Jones 2001, Rapid Object Detection using a Boosted Cascade; as in OpenCV."""

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.boxes import overlaps
from core.crops import fit_within

CASCADE_FILES = {
    "default": "haarcascade_frontalface_default.xml",
    "alt2": "haarcascade_frontalface_alt2.xml",
}
PROFILE_FILE = "haarcascade_profileface.xml"
# Where the face lies in the square that the cascade draws: x1, y1, x2, y2 in units of its side. The square ends at the
# lower lip; an annotator's box goes down to the chin. Fitted by ``train.haar``.
FACE_IN_SQUARE = {
    "default": np.array([0.113, 0.092, 0.885, 1.02]),
    "alt2": np.array([0.10, 0.08, 0.90, 1.034]),
}
# Centre and width of the logistic curve from the last stage's sum to the share of true faces. Fitted by ``train.haar``.
SCORE_CURVE = {"default": (3.0, 1.5), "alt2": (3.0, 1.5)}
# Two boxes that overlap more than this show the same face seen by the frontal and the profile cascade.
SAME_FACE_IOU = 0.3


@dataclass(frozen=True)
class HaarSettings:
    """The cascade's own knobs. The defaults are the best of ``docs/haar.md`` (``python -m train.haar``)."""

    cascade: str = "default"
    """``default`` or ``alt2``, both for frontal faces."""
    profile: bool = False
    """Look for faces in profile as well, to the left and to the right: finds more, takes three times as long."""
    scale_factor: float = 1.1
    """Step from one size of the search window to the next, above 1; nearer to 1 finds more and is slower."""
    min_neighbors: int = 5
    """Windows that must agree on a face; fewer find more faces and more that are none."""
    max_side: int = 640
    """The longest side of the frame is reduced to this many pixels before the search."""

    def __post_init__(self):
        if self.cascade not in CASCADE_FILES:
            raise ValueError(f"cascade is {self.cascade!r}; possible are {', '.join(CASCADE_FILES)}.")
        if not 1.01 <= self.scale_factor <= 2:
            raise ValueError(f"scale_factor is {self.scale_factor}; it must lie in 1.01..2.")
        if not 0 <= self.min_neighbors <= 100:
            raise ValueError(f"min_neighbors is {self.min_neighbors}; it must lie in 0..100.")
        if not 64 <= self.max_side <= 8192:
            raise ValueError(f"max_side is {self.max_side}; it must lie in 64..8192 pixels.")


class HaarFaceFinder:
    """Finds upright faces. Safe to share between threads: one search at a time."""

    def __init__(self):
        self._cascades: dict[str, cv2.CascadeClassifier] = {}
        self._lock = threading.Lock()

    def __call__(
        self, frame_bgr: np.ndarray, settings: HaarSettings, min_face_px: float = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the faces of a frame.

        Args:
            frame_bgr: (h, w, 3) uint8.
            settings: the cascade's knobs.
            min_face_px: smaller faces are not looked for, in pixels of ``frame_bgr``.

        Returns:
            ``xyxy`` (n, 4) float32 in pixels of ``frame_bgr``, hairline to chin, perhaps over the edge of the frame;
            and ``face_score`` (n,) float32 in 0..1.
        """
        squares, weight = self.find_squares(frame_bgr, settings, min_face_px)
        side = squares[:, 2:3] - squares[:, 0:1]  # (n, 1)
        face = np.tile(squares[:, :2], 2) + side * FACE_IN_SQUARE[settings.cascade]
        center, width = SCORE_CURVE[settings.cascade]
        score = 1 / (1 + np.exp(-(weight.astype(np.float64) - center) / width))
        return face.astype(np.float32), score.astype(np.float32)

    def find_squares(
        self, frame_bgr: np.ndarray, settings: HaarSettings, min_face_px: float = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the cascade itself says: its squares (n, 4) in pixels of ``frame_bgr``, its last stage's sums (n,)."""
        small, scale = fit_within(frame_bgr, settings.max_side)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        min_side = max(1, int(min_face_px * scale))
        with self._lock:
            xyxy, weight = self._search(CASCADE_FILES[settings.cascade], grey, settings, min_side)
            if settings.profile:
                for mirrored in (False, True):
                    more_xyxy, more_weight = self._search_profile(grey, settings, min_side, mirrored)
                    new = overlaps(more_xyxy, xyxy).max(axis=1, initial=0) < SAME_FACE_IOU
                    xyxy, weight = np.vstack([xyxy, more_xyxy[new]]), np.append(weight, more_weight[new])
        # Scale x and y apart: rounding to whole pixels made their factors differ a little.
        ratio = np.array([frame_bgr.shape[1] / small.shape[1], frame_bgr.shape[0] / small.shape[0]] * 2)
        return (xyxy * ratio).astype(np.float32), weight

    def _search_profile(self, grey, settings, min_side, mirrored):
        """The profile cascade knows one side of the head only: the other is found in the mirrored picture."""
        xyxy, weight = self._search(PROFILE_FILE, cv2.flip(grey, 1) if mirrored else grey, settings, min_side)
        if mirrored:
            xyxy[:, [0, 2]] = grey.shape[1] - xyxy[:, [2, 0]]
        return xyxy, weight

    def _search(self, file: str, grey, settings: HaarSettings, min_side: int):
        rects, _, weights = self._cascade(file).detectMultiScale3(
            grey,
            scaleFactor=settings.scale_factor,
            minNeighbors=settings.min_neighbors,
            minSize=(min_side, min_side),
            outputRejectLevels=True,
        )
        xywh = np.asarray(rects, np.float32).reshape(-1, 4)
        xyxy = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
        return xyxy, np.asarray(weights, np.float32).reshape(-1)

    def _cascade(self, file: str) -> cv2.CascadeClassifier:
        if file not in self._cascades:
            cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / file))
            if cascade.empty():
                raise RuntimeError(f"OpenCV's {file} is missing; install opencv-python-headless>=4.12,<5.")
            self._cascades[file] = cascade
        return self._cascades[file]
