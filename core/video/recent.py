"""The newest faces of a live video, for those who want to train with them: in memory only, few, and soon forgotten.

Of each person one picture is kept, the best so far. What is filed into a data set is another module's business.
"""

import threading
import time
from dataclasses import dataclass

import cv2
import numpy as np
import supervision as sv

from core.vision.boxes import clip_boxes, square_boxes
from core.vision.crops import cut, fit_within
from core.vision.detections import CLASS_NAME, FACE_SCORE, PREDICTED, classes_of

MAX_FACES = 12
"""People; of more, those seen longest ago are forgotten."""
FORGET_S = 600.0
"""So long after somebody was last seen their picture is forgotten."""
MIN_FACE_PX = 32
"""Smaller faces teach a network little."""
# Around the face, as a share of its longer side: what a data set keeps of it, and a little more.
MARGIN = 0.4
MAX_SIDE = 320
# In a square of this side every face is compared, so that sharpness does not depend on its size.
SHARPNESS_SIDE = 64


@dataclass(frozen=True, eq=False)
class RecentFace:
    """The best picture of one person."""

    key: str
    picture_bgr: np.ndarray
    """(h, w, 3) uint8, the face and its surroundings."""
    face_xyxy: np.ndarray
    """(4,) in pixels of the picture."""
    name: str | None
    """Of their class now; ``None`` if that is not sure enough."""
    confidence: float
    """Of that class, 0..1."""
    quality: float
    """The higher, the better the picture: larger, sharper, clearer to the detector."""
    seen_s: float
    """When the person was last seen, by the monotonic clock."""


class RecentFaces:
    """Gathers them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faces: dict[tuple, RecentFace] = {}
        self._done: set[tuple] = set()
        self._video = self._count = 0

    def new_video(self) -> None:
        """The people of the next frame are numbered anew; the pictures of those before stay."""
        with self._lock:
            self._video += 1
            self._done.clear()

    def look(self, frame_bgr: np.ndarray, people: sv.Detections, at_s: float) -> None:
        """Take in the next frame.

        Args:
            frame_bgr: (h, w, 3) uint8, as the camera gave it.
            people: as ``PersonTracker.update`` returns them; who has no number yet is left out.
            at_s: when the frame was taken, by the monotonic clock.
        """
        with self._lock:
            video = self._video
        sides = (people.xyxy[:, 2:] - people.xyxy[:, :2]).min(axis=1, initial=np.inf)
        numbers = people.tracker_id if people.tracker_id is not None else np.zeros(len(people), int)
        for i in np.flatnonzero((numbers > 0) & (sides >= MIN_FACE_PX)).tolist():
            key = (video, classes_of(people), int(numbers[i]))
            box = people.xyxy[i]
            face = cut(frame_bgr, np.rint(clip_boxes(box[None], frame_bgr.shape[1::-1])[0]))
            quality = float(sides[i]) * sharpness(face) * float(people.data[FACE_SCORE][i])
            name = str(people.data[CLASS_NAME][i]) if people.data[PREDICTED][i] else None
            with self._lock:
                before = self._faces.get(key)
                if video != self._video or key in self._done:
                    continue
                if before is None or quality > before.quality:
                    picture, inside = _picture(frame_bgr, box)
                else:
                    picture, inside, quality = before.picture_bgr, before.face_xyxy, before.quality
                self._count += before is None
                own_key = before.key if before else str(self._count)
                confidence = float(people.confidence[i])
                self._faces[key] = RecentFace(own_key, picture, inside, name, confidence, quality, at_s)
        with self._lock:
            self._forget(at_s)

    def all(self) -> list[RecentFace]:
        """Those there are, in the order in which they came."""
        with self._lock:
            self._forget(time.monotonic())
            return list(self._faces.values())

    def take(self, key: str) -> RecentFace | None:
        """The face with this key, which is forgotten here, as is its person for the rest of the video."""
        with self._lock:
            for place, face in self._faces.items():
                if face.key == key:
                    self._done.add(place)
                    return self._faces.pop(place)
        return None

    def _forget(self, now: float) -> None:
        """With the lock."""
        by_age = sorted(self._faces, key=lambda place: -self._faces[place].seen_s)
        for k, place in enumerate(by_age):
            if k >= MAX_FACES or now - self._faces[place].seen_s > FORGET_S:
                del self._faces[place]


def sharpness(face_bgr: np.ndarray) -> float:
    """How sharp a picture (h, w, 3) uint8 of a face is: the contrast of its finest details, 0 if there are none."""
    grey = cv2.cvtColor(face_bgr, cv2.COLOR_BGR2GRAY)
    same = cv2.resize(grey, (SHARPNESS_SIDE, SHARPNESS_SIDE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(same, cv2.CV_32F).std())


def _picture(frame_bgr: np.ndarray, face_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A copy of the face with its surroundings, and where it is in there."""
    around = np.rint(clip_boxes(square_boxes(face_xyxy, MARGIN), frame_bgr.shape[1::-1])[0])
    picture, scale = fit_within(cut(frame_bgr, around), MAX_SIDE)
    return picture.copy(), (face_xyxy - np.tile(around[:2], 2)) * scale
