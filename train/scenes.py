"""Photos with boxes for training the centre-point detector, and random windows of them.

A window is a square piece of a photo, or of four photos, in which a random face is scaled to a random size; light and
lens vary as in ``train.augment``.
"""

import json
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.boxes import match_boxes, overlaps, shorter_sides
from core.classes import CLASS_NAMES, WITHOUT_MASK, WORN_INCORRECTLY
from core.crops import GREY, fit_within, resize
from core.drawn_mask import draw_mask
from core.face_pose import usual_pose
from core.images import read_image
from core.mask_kinds import MASK_KINDS, WEARING, put_on
from train.augment import Augmentation, change_pixels
from train.data import HELD_OUT_LIST, DataError, is_pascal_voc, picture_files, read_list, read_pascal_voc
from train.extra import Labels, add_extra, read_labels
from train.pseudo_boxes import picture_key
from train.split import photo_groups
from train.targets import UNKNOWN

# Photos are kept in memory no larger than this; their small faces are still 20 px and more.
MAX_PHOTO_SIDE = 800
# Longer side of a photo in a natural view.
NATURAL_SIDE = (224, 1280)
# A view that covers less of its window is laid over another photo.
MIN_COVER = 0.75
LIGHT_AND_LENS = Augmentation(
    light=0.45, grey_share=0.06, blur_share=0.2, jpeg_share=0.25, noise_share=0.12, detail_px=(90, 200), lens=0.3
)
# An annotated and a found box show the same face at this overlap; the annotated one is moved half way to the found one,
# since annotators' boxes scatter by an eighth of the face's size.
SAME_FACE_IOU, TRUST_IN_FOUND = 0.35, 0.5
# A found box that overlaps no annotation by more than this is a face that nobody annotated, if it is sure enough.
OTHER_FACE_IOU, SURE_SCORE = 0.2, 0.75
# An earlier detector's own find without an annotation is taken for a face from this score on, and its class from that
# probability on.
SURE_OWN_SCORE, SURE_OWN_CLASS = 0.45, 0.9
# How much the place of such a face counts as background: mostly blurred or half hidden ones are left out on purpose.
UNANNOTATED_COUNTS = 0.25
# How far a simple mask has slipped, as a share of the face's height: the nose is free, or the mouth too.
SLIPPED = {"under_nose": (0.24, 0.34), "on_chin": (0.36, 0.5)}
MASK_COLORS = np.array(
    [(150, 195, 225), (235, 240, 245), (25, 25, 30), (170, 205, 190), (60, 90, 150), (190, 150, 170), (120, 120, 125)]
)


@dataclass(frozen=True, eq=False)
class Scene:
    """One photo in memory with what is known of its faces."""

    path: Path
    dataset: str
    photo_bgr: np.ndarray
    """(h, w, 3) uint8."""
    faces_xyxy: np.ndarray
    """(n, 4) float32, in pixels of ``photo_bgr``."""
    class_id: np.ndarray
    """(n,) int into ``CLASS_NAMES``, or ``train.targets.UNKNOWN``."""
    ignored: np.ndarray
    """(m, 5) float32: boxes of faces that nobody annotated, and how much their place counts as background, 0..1."""
    whole: bool
    """Whether this is a scene with its surroundings, not a face cut out of one."""


@dataclass(frozen=True, eq=False)
class SceneSplit:
    """Training and validation scenes, and what the report says of them."""

    train: list[Scene]
    val: list[Scene]
    facts: dict


def load_scenes(
    folders: list[str],
    boxes_file: str | None,
    redraw: tuple[str, ...],
    val_share: float,
    seed: int,
    unannotated_counts: float = UNANNOTATED_COUNTS,
    labels: str | None = None,
) -> SceneSplit:
    """Read all data sets; photos held out by a ``test.txt`` and near copies of them are left out.

    Args:
        folders: Pascal VOC folders, or, with ``boxes_file``, class folders too.
        boxes_file: what ``train.pseudo_boxes`` wrote.
        redraw: names of Pascal VOC folders whose boxes follow another habit; where a face was found, its box replaces
            the annotated one.
        val_share: share of the Pascal VOC photos that go into validation, near copies together.
        seed: the same seed gives the same split.
        unannotated_counts: how much the place of a face that was found but not annotated counts as background, 0..1.
        labels: folder with extra faces and lists of validation photos (``train.extra``); a set with such a list has
            these photos for validation in place of a random share.

    Raises:
        DataError: a folder or the file cannot be used.
    """
    pseudo = _read_boxes(boxes_file) if boxes_file else {}
    drafts, held_out, listed_for_val = [], [], []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f"There is no data folder {folder}.")
        if is_pascal_voc(folder):
            listed = read_list(folder / HELD_OUT_LIST) if (folder / HELD_OUT_LIST).is_file() else set()
            known = read_labels(labels, folder.name) if labels else Labels({}, None)
            for photo in read_pascal_voc(folder):
                photo = add_extra(photo, known.extra.get(photo.path.stem))
                found, own = _split_found(pseudo.get(picture_key(folder, photo.path), []))
                trust = 1.0 if folder.name in redraw else TRUST_IN_FOUND
                boxes, ignored = _merge(photo.truth.xyxy, found, trust, unannotated_counts)
                in_val = known.validation is not None and photo.path.stem in known.validation
                class_id = photo.truth.class_id
                if in_val:  # completed by eye: nothing else is unknown
                    ignored = np.empty((0, 5), np.float32)
                else:
                    boxes, class_id, ignored = _add_own(boxes, class_id, ignored, own, unannotated_counts)
                unsure = np.hstack([photo.ignored_xyxy, np.zeros((len(photo.ignored_xyxy), 1), np.float32)])
                drafts.append((photo.path, str(folder), boxes, class_id, np.vstack([ignored, unsure]), True))
                held_out.append(photo.path.stem in listed)
                listed_for_val.append(in_val if known.validation is not None else None)
        elif not boxes_file:
            raise DataError(f"{folder} has no boxes; make some with `python -m train.pseudo_boxes` and name --boxes.")
        else:
            for path in picture_files(folder):
                found, _ = _split_found(pseudo.get(picture_key(folder, path), []))
                if not len(found):
                    continue
                main = shorter_sides(found[:, :4]).argmax()
                label = CLASS_NAMES.index(path.parent.name)
                others = np.delete(found, main, axis=0)
                others[:, 4] = 0
                drafts.append((path, str(folder), found[main : main + 1, :4], np.array([label]), others, False))
                held_out.append(False)
                listed_for_val.append(False)
    if not drafts:
        raise DataError("The data hold no photos.")
    groups = photo_groups([draft[0] for draft in drafts])
    held_out = np.array(held_out)
    left_out = np.isin(groups, groups[held_out])
    listed_for_val = [named for named, out in zip(listed_for_val, left_out, strict=True) if not out]
    in_val = _validation_groups(groups[~left_out], listed_for_val, val_share, seed)
    with ThreadPoolExecutor() as pool:
        scenes = list(pool.map(_load, [draft for draft, out in zip(drafts, left_out, strict=True) if not out]))
    is_val = np.isin(groups[~left_out], in_val)
    unlisted = np.array([named is False for named in listed_for_val], bool)
    # A near copy of a validation photo that is none itself helps neither side.
    train = [scene for scene, val in zip(scenes, is_val, strict=True) if not val]
    val = [scene for scene, val, other in zip(scenes, is_val, unlisted, strict=True) if val and not other]
    facts = {"held_out": int(held_out.sum()), "near_copies_of_held_out": int((left_out & ~held_out).sum())}
    for name, part in (("train", train), ("val", val)):
        facts[name] = {
            folder: {
                "photos": sum(s.dataset == folder for s in part),
                **_class_counts([s for s in part if s.dataset == folder]),
            }
            for folder in dict.fromkeys(s.dataset for s in part)
        }
    return SceneSplit(train, val, facts)


def _merge(xyxy: np.ndarray, found: np.ndarray, trust: float, counts: float) -> tuple[np.ndarray, np.ndarray]:
    """Annotated boxes (n, 4) moved towards the found ones (m, 5), and (k, 5) what was found beyond them."""
    places, true = match_boxes(found[:, :4], xyxy, SAME_FACE_IOU)
    merged = xyxy.copy()
    merged[true] += trust * (found[places, :4] - xyxy[true])
    alone = overlaps(found[:, :4], xyxy).max(axis=1, initial=0) < OTHER_FACE_IOU
    ignored = found[alone & (found[:, 4] >= SURE_SCORE)]
    ignored[:, 4] = counts
    return merged, ignored


def _validation_groups(groups: np.ndarray, listed: list[bool | None], share: float, seed: int) -> np.ndarray:
    """The groups of near copies that validation gets.

    Args:
        groups: (n,) of the photos.
        listed: n times whether a list names the photo; ``None`` where its set has no list and a random share is taken.
        share: of the groups without a list.
        seed: the same seed gives the same groups.
    """
    free = np.unique([group for group, named in zip(groups, listed, strict=True) if named is None])
    drawn = np.random.default_rng(seed).permutation(free)[: round(len(free) * share)]
    return np.union1d(drawn, [group for group, named in zip(groups, listed, strict=True) if named])


def _split_found(rows: list) -> tuple[np.ndarray, np.ndarray]:
    """What the other detector found, (m, 5), and what a detector of this project found, (k, 8), in one picture."""
    return (
        np.array([row for row in rows if len(row) == 5], np.float32).reshape(-1, 5),
        np.array([row for row in rows if len(row) == 8], np.float32).reshape(-1, 8),
    )


def _add_own(
    xyxy: np.ndarray, class_id: np.ndarray, ignored: np.ndarray, own: np.ndarray, counts: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What an earlier detector found beyond the annotations: sure ones become faces, doubtful ones count less.

    Self-training, as in Sohn et al. 2020 (A Simple Semi-Supervised Learning Framework for Object Detection).

    Args:
        xyxy, class_id, ignored: of one photo, as in ``Scene``.
        own: (k, 8) box, score, and the probability of each class.
        counts: how much the place of a doubtful one counts as background, 0..1. Nothing at all teaches the network to
            see faces in hands.
    """
    alone = own[overlaps(own[:, :4], xyxy).max(axis=1, initial=0) < OTHER_FACE_IOU]
    sure = alone[:, 4] >= SURE_OWN_SCORE
    names = np.where(alone[:, 5:].max(axis=1, initial=0) >= SURE_OWN_CLASS, alone[:, 5:].argmax(axis=1), UNKNOWN)
    free = overlaps(ignored[:, :4], alone[sure, :4]).max(axis=1, initial=0) < SAME_FACE_IOU
    doubtful = np.hstack([alone[~sure, :4], np.full(((~sure).sum(), 1), counts, np.float32)])
    return (
        np.concatenate([xyxy, alone[sure, :4]]),
        np.concatenate([class_id, names[sure]]),
        np.vstack([ignored[free], doubtful]),
    )


def _class_counts(scenes: list[Scene]) -> dict[str, int]:
    counts = Counter(int(i) for scene in scenes for i in scene.class_id)
    return {name: counts[i] for i, name in enumerate(CLASS_NAMES)} | {
        "unknown": sum(len(scene.ignored) for scene in scenes)
    }


def _read_boxes(path: str) -> dict:
    try:
        boxes = json.loads(Path(path).read_text())
        if not isinstance(boxes, dict):
            raise ValueError("no table of pictures")
    except (OSError, ValueError) as error:
        raise DataError(f"The boxes {path} cannot be read: {error}") from None
    return boxes


def _load(draft) -> Scene:
    path, dataset, xyxy, class_id, ignored, whole = draft
    photo, scale = fit_within(read_image(path), MAX_PHOTO_SIDE)
    scaled = [np.array(boxes, np.float32) for boxes in (xyxy, ignored)]
    for boxes in scaled:
        boxes[:, :4] *= scale
    return Scene(path, dataset, photo, scaled[0], np.asarray(class_id, int), scaled[1], whole)


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


def chances_of(scenes: list[Scene], cutout_share: float, factors: dict[str, float], wrongly_often: float) -> np.ndarray:
    """How often each scene is drawn, (n,), 1 in all: crowds more often than single faces.

    Args:
        scenes: n of them.
        cutout_share: what cut-out faces get in all, if there are scenes of both kinds.
        factors: by the name of a data set's folder; 1 for those not named.
        wrongly_often: factor for scenes with a mask worn incorrectly.
    """
    whole = np.array([scene.whole for scene in scenes])
    chances = np.array([math.sqrt(max(len(scene.faces_xyxy), 1)) for scene in scenes])
    chances *= [factors.get(Path(scene.dataset).name, 1.0) for scene in scenes]
    chances *= [wrongly_often if WORN_INCORRECTLY in scene.class_id else 1.0 for scene in scenes]
    if whole.any() and not whole.all():
        chances[whole] *= (1 - cutout_share) / chances[whole].sum()
        chances[~whole] *= cutout_share / chances[~whole].sum()
    return chances / chances.sum()


Window = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Picture (s, s, 3) uint8 BGR; faces (n, 4), class_id (n,), ignored (m, 5) as in ``Scene``, in its pixels."""


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
        window = picture, *(np.concatenate([part[i] for part in parts]) for i in range(3))
    picture, faces, class_id, ignored = window
    picture, class_id = _dress(picture, faces, class_id, how, rng)
    return change_pixels(picture, LIGHT_AND_LENS, rng), faces, class_id, ignored


def _filled(scenes: list[Scene], place: int, size_wh, how: WindowRecipe, face_px, rng: np.random.Generator) -> Window:
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


def _view(scene: Scene, size_wh: tuple[int, int], how: WindowRecipe, face_px, rng) -> tuple[Window, np.ndarray]:
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
        if len(scene.faces_xyxy) and rng.random() < 0.95:
            box = scene.faces_xyxy[rng.integers(len(scene.faces_xyxy))]
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


def _dress(picture, faces, class_id, how: WindowRecipe, rng: np.random.Generator):
    """Draw masks on some bare faces, rightly or wrongly worn, and hide parts of some faces."""
    class_id = class_id.copy()
    height, width = picture.shape[:2]
    for i, box in enumerate(faces):
        x1, y1, x2, y2 = box
        w, h = x2 - x1, y2 - y1
        inside = x1 > 1 and y1 > 1 and x2 < width - 1 and y2 < height - 1
        if class_id[i] == WITHOUT_MASK and inside and min(w, h) >= 16 and rng.random() < how.draw_share:
            picture, class_id[i] = _put_on(picture, box, rng)
        elif min(w, h) >= 16 and rng.random() < how.hide_share:
            part_w, part_h = w * rng.uniform(0.2, 0.5), h * rng.uniform(0.2, 0.4)
            px, py = rng.uniform(x1, x2 - part_w), rng.uniform(y1, y2 - part_h)
            a, b = (int(max(px, 0)), int(max(py, 0))), (int(px + part_w), int(py + part_h))
            patch = picture[a[1] : b[1], a[0] : b[0]]
            if patch.size:
                patch[:] = rng.integers(0, 256, 3) if rng.random() < 0.5 else patch.mean(axis=(0, 1))
    return picture, class_id


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
    return draw_mask(picture, place, rng.uniform(-6, 6), tuple(map(int, color))), label
