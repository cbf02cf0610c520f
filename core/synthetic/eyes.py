"""How a bare face lies in the picture: where its eyes are and how far the head leans.

Eyes are found by OpenCV's own eye cascades inside a face that is already known; where they find none that make sense,
the geometry of the face's box stands in for them.
"""

import threading
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from core.vision.boxes import clip_boxes

EYE_FILES = ("haarcascade_eye.xml", "haarcascade_eye_tree_eyeglasses.xml")
# Where the eyes of an upright face lie in its box (hairline to chin, cheek to cheek), in shares of its sides.
EYES_IN_BOX = ((0.29, 0.385), (0.71, 0.385))
# The face is looked at turned by these angles: the cascades know level eyes only.
TURNS_DEG = (0, -18, 18, -36, 36)
# The face is scaled to this width for the search; below the second number its eyes are guesswork.
SEARCH_WIDTH, MIN_FACE_WIDTH = 128, 28
# The rows of the turned face that are searched, in shares of its height from its middle.
EYE_ROWS = (-0.42, 0.16)
# Pairs further from where eyes should be are not believed; in units of the face's width.
MAX_MISFIT, GOOD_FIT = 0.24, 0.08
_searching = threading.Lock()  # an OpenCV cascade keeps its state between two calls


@dataclass(frozen=True)
class FacePose:
    """One face, in pixels of its picture."""

    left_eye: tuple[float, float]
    """The eye on the left side of the picture."""
    right_eye: tuple[float, float]
    tilt_deg: float
    """How far the head leans, clockwise in the picture."""
    center: tuple[float, float]
    """Middle of the face."""
    size_wh: tuple[float, float]
    """Cheek to cheek and hairline to chin, measured along the leaning face."""
    source: str
    """``eyes``: found in the picture; ``box``: put where eyes are in most faces."""

    @property
    def between_eyes(self) -> np.ndarray:
        """Middle of the two eyes, (2,)."""
        return (np.array(self.left_eye) + self.right_eye) / 2

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors along the face: towards the right cheek of the picture, and towards the chin."""
        angle = np.deg2rad(self.tilt_deg)
        return np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])


def find_pose(frame_bgr: np.ndarray, face_xyxy: np.ndarray | tuple[float, float, float, float]) -> FacePose:
    """How a bare face lies in the picture.

    Args:
        frame_bgr: (h, w, 3) uint8.
        face_xyxy: its box, hairline to chin and cheek to cheek, in pixels; it may reach over the edge.

    Raises:
        ValueError: the box has no area.
    """
    box = np.asarray(face_xyxy, np.float64)
    if box.shape != (4,) or not (box[2:] > box[:2]).all():
        raise ValueError(f"A face must be a box x1, y1, x2, y2 with an area, got {face_xyxy}.")
    size = box[2:] - box[:2]
    eyes = _find_eyes(frame_bgr, box) if size[0] >= MIN_FACE_WIDTH else None
    if eyes is None:
        return usual_pose(box)
    left, right = eyes
    tilt = np.rad2deg(np.arctan2(*(right - left)[::-1]))
    return _pose(left, right, float(tilt), box, "eyes")


def usual_pose(face_xyxy: np.ndarray) -> FacePose:
    """An upright face with its eyes where they are in most faces; nothing is looked for."""
    box = np.asarray(face_xyxy, np.float64)
    left, right = box[:2] + np.array(EYES_IN_BOX) * (box[2:] - box[:2])
    return _pose(left, right, 0.0, box, "box")


def _pose(left: np.ndarray, right: np.ndarray, tilt_deg: float, box: np.ndarray, source: str) -> FacePose:
    center, size = (box[:2] + box[2:]) / 2, _upright_size(box[2:] - box[:2], tilt_deg)
    pairs = [(float(x), float(y)) for x, y in (left, right, center, size)]
    return FacePose(pairs[0], pairs[1], tilt_deg, pairs[2], pairs[3], source)


def _upright_size(size_wh: np.ndarray, tilt_deg: float) -> np.ndarray:
    """Width and height of a leaning ellipse, of which an upright box is known."""
    share = np.sin(np.deg2rad(min(abs(tilt_deg), 30.0))) ** 2  # towards 45° the box tells less and less
    (w2, h2), cos_2tilt = np.square(size_wh), 1 - 2 * share
    turned = np.array([w2 * (1 - share) - h2 * share, h2 * (1 - share) - w2 * share]) / cos_2tilt
    width, height = np.sqrt(np.maximum(turned, 0.25 * min(w2, h2)))
    return np.array([width, np.clip(height, 1.1 * width, 1.6 * width)]) if share > 0.01 else np.asarray(size_wh)


@cache
def _eye_cascades() -> list:
    """Loaded once; none where OpenCV comes without them."""
    if not (hasattr(cv2, "CascadeClassifier") and hasattr(cv2, "data")):
        return []
    folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]  # missing in OpenCV's stubs
    loaded = [cv2.CascadeClassifier(str(folder / file)) for file in EYE_FILES]
    return [cascade for cascade in loaded if not cascade.empty()]


def _find_eyes(frame_bgr: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Left and right eye in pixels of the frame, or ``None``."""
    size = box[2:] - box[:2]
    around = clip_boxes(box + 0.15 * np.append(-size, size), frame_bgr.shape[1::-1])[0]
    x1, y1, x2, y2 = np.rint(around).astype(int)
    if x2 - x1 < 8 or y2 - y1 < 8:
        return None
    scale = SEARCH_WIDTH / size[0]
    grey = cv2.cvtColor(frame_bgr[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY)
    shape = max(8, round(grey.shape[1] * scale)), max(8, round(grey.shape[0] * scale))
    grey = cv2.resize(grey, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    grey = cv2.equalizeHist(grey)
    ratio = np.array(shape) / [x2 - x1, y2 - y1]
    middle, wide = ((box[:2] + box[2:]) / 2 - [x1, y1]) * ratio, size * ratio
    best = None
    for angle in TURNS_DEG:
        turn = cv2.getRotationMatrix2D(tuple(middle), angle, 1)  # turns the picture anticlockwise
        turned = grey if not angle else cv2.warpAffine(grey, turn, shape, borderMode=cv2.BORDER_REPLICATE)
        upright = _upright_size(wide, angle)
        top, bottom = (int(np.clip(middle[1] + row * upright[1], 0, shape[1])) for row in EYE_ROWS)
        eyes = _eye_candidates(turned[top:bottom], SEARCH_WIDTH) + [0, top, 0, 0]
        pair = _best_pair(eyes, middle, upright)
        if pair is None:
            continue
        misfit, eyes = pair
        misfit += 0.0012 * abs(angle)  # a level head is likelier
        if best is None or misfit < best[0]:
            back = cv2.invertAffineTransform(turn)
            best = misfit, eyes @ back[:, :2].T + back[:, 2]
        if misfit < GOOD_FIT:
            break
    if best is None or best[0] > MAX_MISFIT:
        return None
    left, right = best[1] / ratio + [x1, y1]
    return left, right


def _eye_candidates(grey: np.ndarray, face_width: int) -> np.ndarray:
    """What the cascades take for eyes: (n, 4) middle x, y, side, and how many cascades agree."""
    found = []
    with _searching:
        for cascade in _eye_cascades():
            least, most = round(0.16 * face_width), round(0.45 * face_width)
            rects = cascade.detectMultiScale(grey, 1.1, 3, minSize=(least, least), maxSize=(most, most))
            found += [(x + w / 2, y + h / 2, w, 1) for x, y, w, h in rects]
    merged: list[np.ndarray] = []
    for eye in np.array(found, np.float64).reshape(-1, 4):
        near = [i for i, other in enumerate(merged) if np.hypot(*(other[:2] - eye[:2])) < 0.08 * face_width]
        if near:
            other = merged[near[0]]
            merged[near[0]] = np.append((other[:3] * other[3] + eye[:3]) / (other[3] + 1), other[3] + 1)
        else:
            merged.append(eye)
    return np.array(merged).reshape(-1, 4)


def _best_pair(eyes: np.ndarray, middle: np.ndarray, size_wh: np.ndarray) -> tuple[float, np.ndarray] | None:
    """The two candidates that lie most as eyes do, (2, 2), left one first, and how far they are from it, 0 or more."""
    width, height = size_wh
    expected = middle + (np.array(EYES_IN_BOX) - 0.5) * size_wh
    best = None
    for a, b in combinations(eyes, 2):
        left, right = sorted((a, b), key=lambda eye: eye[0])
        apart = right[:2] - left[:2]
        between, away = (left[:2] + right[:2]) / 2, expected.mean(axis=0)
        if not 0.26 * width <= apart[0] <= 0.62 * width or abs(apart[1]) > 0.3 * apart[0]:
            continue
        terms = (
            0.5 * (between[0] - away[0]) / width,  # a head that is turned moves both eyes
            0.8 * (between[1] - away[1]) / height,
            0.7 * (apart[0] - 0.42 * width) / width,
            0.5 * apart[1] / width,
            0.15 * np.log(left[2] / right[2]),
            0.04 * (4 - left[3] - right[3]),
        )
        misfit = float(np.sqrt(np.square(terms).sum()))
        if best is None or misfit < best[0]:
            best = misfit, np.array([left[:2], right[:2]])
    return best
