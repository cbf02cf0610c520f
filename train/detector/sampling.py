"""Training crops of annotated images: where to cut, how to scale, what to draw on."""

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.synthetic.eyes import usual_pose
from core.synthetic.render import MASK_KINDS, WEARING, put_on
from core.synthetic.simple import draw_mask
from core.vision.boxes import shorter_sides
from core.vision.classes import CLASS_NAMES, WITHOUT_MASK, WORN_INCORRECTLY
from core.vision.crops import GREY, resize
from train.augment import Augmentation, change_pixels
from train.detector.dataset import Scene, Window

# Longer side of a photo in a natural view.
NATURAL_SIDE = (224, 1280)
# A view that covers less of its window is laid over another photo.
MIN_COVER = 0.75
LIGHT_AND_LENS = Augmentation(
    light=0.45, grey_share=0.06, blur_share=0.2, jpeg_share=0.25, noise_share=0.12, detail_px=(90, 200), lens=0.3
)
# How far a simple mask has slipped, as a share of the face's height: the nose is free, or the mouth too.
SLIPPED = {"under_nose": (0.24, 0.34), "on_chin": (0.36, 0.5)}
MASK_COLORS = np.array(
    [(150, 195, 225), (235, 240, 245), (25, 25, 30), (170, 205, 190), (60, 90, 150), (190, 150, 170), (120, 120, 125)]
)


@dataclass(frozen=True)
class WindowRecipe:
    """How windows are drawn."""

    face_px: tuple[float, float] = (10, 250)
    """Size that the chosen face is scaled to, drawn evenly on a logarithmic scale."""
    max_zoom: float = 3.0
    natural_share: float = 0.0
    """Share of the views of whole photos that are as the app sees them: scaled by the photo's size, not by a face's,
    grey beyond its edge, no other photo behind."""
    mosaic_share: float = 0.3
    rotation_deg: float = 8
    stretch: float = 0.1
    draw_share: float = 0.12
    """Share of the bare faces that get a mask drawn on."""
    hide_share: float = 0.06
    """Share of the faces, a part of which something hides; the label stays."""
    cage_share: float = 0.0
    """Share of the bare faces that are seen through bars, as of a helmet or a fence; they stay bare."""
    hard_share: float = 0.0
    """Share of the views that show one of a scene's hard places in place of any of its faces, if it has some."""


def chances_of(
    scenes: list[Scene],
    cutout_share: float,
    factors: dict[str, float],
    wrongly_often: float,
    hard_often: float = 1.0,
) -> np.ndarray:
    """How often each scene is drawn, (n,), 1 in all: crowds more often than single faces.

    Args:
        scenes: n of them.
        cutout_share: what cut-out faces get in all, if there are scenes of both kinds.
        factors: by the name of a data set's folder; 1 for those not named.
        wrongly_often: factor for scenes with a mask worn incorrectly.
        hard_often: factor for scenes with hard places.
    """
    whole = np.array([scene.whole for scene in scenes])
    chances = np.array([math.sqrt(max(len(scene.faces_xyxy), 1)) for scene in scenes])
    chances *= [factors.get(Path(scene.dataset).name, 1.0) for scene in scenes]
    chances *= [wrongly_often if WORN_INCORRECTLY in scene.class_id else 1.0 for scene in scenes]
    chances *= [hard_often if len(scene.hard_xyxy) else 1.0 for scene in scenes]
    if whole.any() and not whole.all():
        chances[whole] *= (1 - cutout_share) / chances[whole].sum()
        chances[~whole] *= cutout_share / chances[~whole].sum()
    return chances / chances.sum()


def draw_window(scenes: list[Scene], first: int, side: int, how: WindowRecipe, rng: np.random.Generator) -> Window:
    """One random window that shows ``scenes[first]``, alone or with three others."""
    if rng.random() >= how.mosaic_share:
        large = how.face_px[1] * side / 256
        window = _filled(scenes, first, (side, side), how, (how.face_px[0], large), rng)
    else:
        split_x, split_y = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
        picture = np.empty((side, side, 3), np.uint8)
        parts = []
        corners = [(0, 0, split_x, split_y), (split_x, 0, side, split_y), (0, split_y, split_x, side)]
        corners.append((split_x, split_y, side, side))
        for place, (x1, y1, x2, y2) in zip([first, *rng.integers(0, len(scenes), 3)], corners, strict=True):
            size = x2 - x1, y2 - y1
            part, faces, class_id, ignored = _filled(scenes, place, size, how, (how.face_px[0], 0.7 * min(size)), rng)
            picture[y1:y2, x1:x2] = part
            parts.append((faces + [x1, y1, x1, y1], class_id, ignored + [x1, y1, x1, y1, 0]))
        faces, class_id, ignored = (np.concatenate([part[i] for part in parts]) for i in range(3))
        window = picture, faces, class_id, ignored
    picture, faces, class_id, ignored = window
    picture, class_id = _dress(picture, faces, class_id, how, rng)
    return change_pixels(picture, LIGHT_AND_LENS, rng), faces, class_id, ignored


def _filled(
    scenes: list[Scene],
    place: int,
    size_wh: tuple[int, int],
    how: WindowRecipe,
    face_px: tuple[float, float],
    rng: np.random.Generator,
) -> Window:
    """A piece of one photo; where it leaves much of the window empty, it is laid over a piece of another."""
    (picture, faces, class_id, ignored), cover = _view(scenes[place], size_wh, how, face_px, rng)
    if cover.mean() > MIN_COVER * 255:
        return picture, faces, class_id, ignored
    for _ in range(10):
        behind = scenes[rng.integers(len(scenes))]
        if behind.whole:
            break
    (back, back_faces, back_class_id, back_ignored), _ = _view(behind, size_wh, how, None, rng)
    picture = np.where(cover[..., None] > 127, picture, back)
    hidden = np.array([_mean_inside(cover, box) / 255 for box in back_faces]).reshape(-1)
    partly = back_faces[(hidden >= 0.1) & (hidden < 0.9)]
    partly = np.hstack([partly, np.zeros((len(partly), 1), np.float32)])
    free = hidden < 0.1
    return (
        picture,
        np.concatenate([faces, back_faces[free]]),
        np.concatenate([class_id, back_class_id[free]]),
        np.concatenate([ignored, partly, back_ignored]),
    )


def _mean_inside(image: np.ndarray, box_xyxy: np.ndarray) -> float:
    x1, y1, x2, y2 = np.rint(box_xyxy).astype(int)
    return float(image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)].mean())


def _view(
    scene: Scene,
    size_wh: tuple[int, int],
    how: WindowRecipe,
    face_px: tuple[float, float] | None,
    rng: np.random.Generator,
) -> tuple[Window, np.ndarray]:
    """A random piece of one photo, turned, mirrored, stretched and scaled, and where it covers the window (255).

    Without ``face_px`` the piece fills the window, whatever size its faces then have.
    """
    height, width = scene.photo_bgr.shape[:2]
    size = np.array(size_wh)
    natural = False
    if face_px is None:
        zoom = (size / [width, height]).max() * rng.uniform(1.05, 2)
        reach = size / zoom / 2
        center, place = rng.uniform(reach, np.maximum([width, height] - reach, reach)), size / 2
    else:
        shown = scene.faces_xyxy
        if len(scene.hard_xyxy) and how.hard_share and rng.random() < how.hard_share:
            shown = scene.hard_xyxy
        if len(shown) and rng.random() < 0.95:
            box = shown[rng.integers(len(shown))]
            face_side = float(np.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 16)))
            center = (box[:2] + box[2:]) / 2
        else:
            face_side = float(np.exp(rng.uniform(np.log(20), np.log(200))))
            center = rng.uniform(0, [width, height])
        zoom = np.exp(rng.uniform(*np.log(face_px))) / face_side
        natural = scene.whole and rng.random() < how.natural_share
        if natural:
            zoom = np.exp(rng.uniform(*np.log(NATURAL_SIDE))) / max(width, height)
        zoom = min(zoom, how.max_zoom)
        # Where the face lies in the window: anywhere, as long as most of it is inside.
        room = np.minimum(0.35 * zoom * face_side / size, 0.5)
        place = rng.uniform(room, 1 - room) * size
    photo = scene.photo_bgr
    shrink = 1.0
    if zoom < 0.75:  # the warp samples single pixels: average them first
        shrink = max(zoom, 8 / min(height, width))
        photo = resize(photo, (max(1, round(width * shrink)), max(1, round(height * shrink))))
    angle = np.deg2rad(rng.uniform(-1, 1) * how.rotation_deg * (3 if rng.random() < 0.1 else 1))
    flip = -1 if rng.random() < 0.5 else 1
    stretch = np.exp(rng.uniform(-how.stretch, how.stretch) / 2)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.diag([stretch, 1 / stretch]) @ np.array([[cos, -sin], [sin, cos]]) @ np.diag([flip, 1]) * zoom
    matrix = np.hstack([linear, (place - linear @ center)[:, None]])  # photo to window, continuous coordinates
    to_pixels = matrix.copy()
    to_pixels[:, :2] = linear @ np.diag([width / photo.shape[1], height / photo.shape[0]])
    to_pixels[:, 2] += to_pixels[:, :2].sum(axis=1) * 0.5 - 0.5  # pixel centres lie at halves
    picture = cv2.warpAffine(photo, to_pixels, size_wh, flags=cv2.INTER_LINEAR, borderValue=(GREY, GREY, GREY))
    cover = cv2.warpAffine(np.full(photo.shape[:2], 255, np.uint8), to_pixels, size_wh, flags=cv2.INTER_NEAREST)
    if natural:
        cover[:] = 255
    faces, share = move_boxes(scene.faces_xyxy, matrix, size_wh)
    ignored, ignored_share = move_boxes(scene.ignored[:, :4], matrix, size_wh)
    ignored = np.hstack([ignored, scene.ignored[:, 4:]])
    kept = (share >= 0.45) & (shorter_sides(faces) >= 6)
    unsure = ~kept & (share > 0.05)
    unsure = np.hstack([faces[unsure], np.zeros((unsure.sum(), 1), np.float32)])
    ignored = np.vstack([unsure, ignored[ignored_share > 0.02]])
    return (picture, faces[kept], scene.class_id[kept], ignored), cover


def move_boxes(xyxy: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes under an affine map, clipped to a window.

    A face is taken for an ellipse, so that turning it does not make its box larger than it is.

    Args:
        xyxy: (n, 4) boxes.
        matrix: (2, 3), from photo to window.
        size_wh: the window.

    Returns:
        (n, 4) float32 clipped boxes, and (n,) the share of each that lies inside, 0..1.
    """
    xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
    centers = (xyxy[:, :2] + xyxy[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (xyxy[:, 2:] - xyxy[:, :2]) / 2
    reach = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)  # (n, 2)
    moved = np.hstack([centers - reach, centers + reach])
    clipped = np.clip(moved, 0, np.tile(size_wh, 2)).astype(np.float32)
    area = lambda boxes: (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])  # noqa: E731
    return clipped, area(clipped) / np.maximum(area(moved), 1e-6)


def _dress(
    picture: np.ndarray, faces: np.ndarray, class_id: np.ndarray, how: WindowRecipe, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw masks on some bare faces, rightly or wrongly worn, and hide parts of some faces."""
    class_id = class_id.copy()
    height, width = picture.shape[:2]
    for i, box in enumerate(faces):
        x1, y1, x2, y2 = box
        w, h = x2 - x1, y2 - y1
        inside = x1 > 1 and y1 > 1 and x2 < width - 1 and y2 < height - 1
        if class_id[i] == WITHOUT_MASK and inside and min(w, h) >= 16 and rng.random() < how.draw_share:
            picture, class_id[i] = _put_on(picture, box, rng)
        elif class_id[i] == WITHOUT_MASK and min(w, h) >= 16 and how.cage_share and rng.random() < how.cage_share:
            _draw_cage(picture, box, rng)
        elif min(w, h) >= 16 and rng.random() < how.hide_share:
            part_w, part_h = w * rng.uniform(0.2, 0.5), h * rng.uniform(0.2, 0.4)
            px, py = rng.uniform(x1, x2 - part_w), rng.uniform(y1, y2 - part_h)
            a, b = (int(max(px, 0)), int(max(py, 0))), (int(px + part_w), int(py + part_h))
            patch = picture[a[1] : b[1], a[0] : b[0]]
            if patch.size:
                patch[:] = rng.integers(0, 256, 3) if rng.random() < 0.5 else patch.mean(axis=(0, 1))
    return picture, class_id


def _draw_cage(picture: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> None:
    """Bars before a face, bent like those of a helmet or straight like a fence's, over its lower part or all of it."""
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    top, bottom = y1 + h * rng.uniform(-0.1, 0.55), y2 + h * rng.uniform(-0.05, 0.15)
    left, right = x1 - w * rng.uniform(-0.05, 0.2), x2 + w * rng.uniform(-0.05, 0.2)
    bend = h * rng.uniform(-0.12, 0.2) * (rng.random() < 0.7)
    along = np.linspace(-1, 1, 9)
    lines = []
    for y in np.linspace(top, bottom, rng.integers(2, 7)):
        lines.append(np.stack([(left + right) / 2 + along * (right - left) / 2, y + bend * (1 - along**2)], axis=1))
    for x in np.linspace(left, right, rng.integers(0, 7)):
        lines.append(np.stack([np.full(9, x), (top + bottom) / 2 + along * (bottom - top) / 2 + bend / 2], axis=1))
    grey = int(rng.integers(5, 60) if rng.random() < 0.5 else rng.integers(60, 250))
    blue, green, red = map(int, rng.integers(0, 256, 3)) if rng.random() < 0.2 else (grey, grey, grey)
    thickness = max(1, round(w * rng.uniform(0.02, 0.06)))
    cv2.polylines(
        picture, [np.rint(line).astype(np.int32) for line in lines], False, (blue, green, red), thickness, cv2.LINE_AA
    )


def _put_on(picture: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """One face with a drawn mask, and its class; half of the masks are simple shapes that slip by any amount."""
    wearing = rng.choice(list(WEARING), p=(0.6, 0.2, 0.2))
    label = CLASS_NAMES.index(WEARING[wearing].label)
    if rng.random() < 0.5:
        return put_on(picture, usual_pose(box), str(rng.choice(list(MASK_KINDS))), wearing, rng), label
    x1, y1, x2, y2 = box
    color = rng.choice(MASK_COLORS) if rng.random() < 0.7 else rng.integers(10, 250, 3)
    drop = (y2 - y1) * (rng.uniform(*SLIPPED[wearing]) if wearing in SLIPPED else 0.0)
    place = (x1, y1 + drop, x2, y2 + drop * rng.uniform(0.2, 0.6))
    red, green, blue = map(int, color)
    return draw_mask(picture, place, rng.uniform(-6, 6), (red, green, blue)), label
