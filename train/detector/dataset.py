"""Photos with boxes for training the centre-point detector, and random windows of them.

A window is a square piece of a photo, or of four photos, in which a random face is scaled to a random size; light and
lens vary as in ``train.augment``.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.datasets.duplicates import photo_groups
from core.datasets.extra import Labels, add_extra, read_labels
from core.datasets.faces import DataError, annotated_photo
from core.datasets.formats import Picture
from core.datasets.store import read_pictures
from core.io import load_json
from core.vision.boxes import match_boxes, overlaps, shorter_sides
from core.vision.classes import CLASS_NAMES
from core.vision.crops import fit_within
from core.vision.images import read_image
from core.vision.metrics import lies_on
from train.detector.pseudo_boxes import picture_key
from train.detector.targets import UNKNOWN

# Photos are kept in memory no larger than this; their small faces are still 20 px and more.
MAX_PHOTO_SIDE = 800
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
    """(n,) int into ``CLASS_NAMES``, or ``train.detector.targets.UNKNOWN``."""
    ignored: np.ndarray
    """(m, 5) float32: boxes of faces that nobody annotated, and how much their place counts as background, 0..1."""
    whole: bool
    """Whether this is a scene with its surroundings, not a face cut out of one."""
    hard_xyxy: np.ndarray = field(default_factory=lambda: np.empty((0, 4), np.float32))
    """(k, 4) float32: faces that an earlier detector missed, and what a person saw to be none."""


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
    """Read all data sets; photos held out for a test and near-duplicates of them are left out.

    What a person excluded is left out too; the place of such a face, or of a difficult one, does not count.

    Args:
        folders: photos with boxes (Pascal VOC, YOLO, COCO), or, with ``boxes_file``, class folders too.
        boxes_file: what ``train.detector.pseudo_boxes`` wrote.
        redraw: names of folders whose boxes follow another habit; where a face was found, its box replaces
            the annotated one.
        val_share: share of the photos with boxes that go into validation, near-duplicates together.
        seed: the same seed gives the same split.
        unannotated_counts: how much the place of a face that was found but not annotated counts as background, 0..1.
        labels: folder with extra faces and lists of validation photos (``core.datasets.extra``); a set with such a
            list has these photos for validation in place of a random share.

    Raises:
        DataError: a folder or the file cannot be used.
    """
    pseudo = _read_boxes(boxes_file) if boxes_file else {}
    drafts = []
    for folder in map(Path, folders):
        known = read_labels(labels, folder.name) if labels else Labels({}, None)
        trust = 1.0 if folder.name in redraw else TRUST_IN_FOUND
        pictures = read_pictures(folder)
        # Photos in which an earlier detector found nothing at all: where others have its finds, it looked at them too.
        looked = any(len(row) == 8 for each in pictures for row in pseudo.get(picture_key(folder, each.path), []))
        for picture in pictures:
            if picture.excluded:
                continue
            found, own = _split_found(pseudo.get(picture_key(folder, picture.path), []))
            if not picture.whole:
                drafts.append(_photo_draft(picture, str(folder), known, found, own, looked, trust, unannotated_counts))
            elif not boxes_file:
                raise DataError(
                    f"{folder} has no boxes; make some with `python -m train.detector.pseudo_boxes` and name --boxes."
                )
            elif len(found) and picture.labels[0] in CLASS_NAMES:
                drafts.append(_cut_out_draft(picture, str(folder), found))
    if not drafts:
        raise DataError("The data hold no photos.")
    groups = photo_groups([draft.picture.path for draft in drafts])
    held_out = np.array([draft.picture.split == "test" for draft in drafts])
    left_out = np.isin(groups, groups[held_out])
    drafts = [draft for draft, out in zip(drafts, left_out, strict=True) if not out]
    listed_for_val = [draft.in_val for draft in drafts]
    in_val = _validation_groups(groups[~left_out], listed_for_val, val_share, seed)
    with ThreadPoolExecutor() as pool:
        scenes = list(pool.map(_load, drafts))
    is_val = np.isin(groups[~left_out], in_val)
    unlisted = np.array([named is False for named in listed_for_val], bool)
    # A near-duplicate of a validation photo that is none itself helps neither side.
    train = [scene for scene, val in zip(scenes, is_val, strict=True) if not val]
    val = [scene for scene, val, other in zip(scenes, is_val, unlisted, strict=True) if val and not other]
    facts: dict[str, Any] = {
        "held_out": int(held_out.sum()),
        "near_copies_of_held_out": int((left_out & ~held_out).sum()),
    }
    for name, part in (("train", train), ("val", val)):
        facts[name] = {
            folder: {
                "photos": sum(s.dataset == folder for s in part),
                **_class_counts([s for s in part if s.dataset == folder]),
            }
            for folder in dict.fromkeys(s.dataset for s in part)
        }
    return SceneSplit(train, val, facts)


@dataclass(frozen=True, eq=False)
class _Draft:
    """A scene before its photo is decoded; boxes in pixels of the file."""

    picture: Picture
    dataset: str
    faces_xyxy: np.ndarray
    class_id: np.ndarray
    ignored: np.ndarray
    in_val: bool | None
    """Whether a list names it for validation; ``None`` where its set has no list and a random share is taken."""
    hard_xyxy: np.ndarray = field(default_factory=lambda: np.empty((0, 4), np.float32))


def _photo_draft(
    picture: Picture,
    dataset: str,
    known: Labels,
    found: np.ndarray,
    own: np.ndarray,
    looked: bool,
    trust: float,
    unannotated_counts: float,
) -> _Draft:
    """A photo with boxes, completed by labels and by what detectors found in it (``_split_found``).

    ``looked`` says whether a detector of this project looked at it.
    """
    photo = annotated_photo(picture)
    stem = picture.path.stem
    extra = known.extra.get(stem)
    photo = add_extra(photo, extra)
    no_face = picture.no_face_xyxy if extra is None else np.vstack([picture.no_face_xyxy, extra.no_face_xyxy])
    missed = _missed(photo.truth.xyxy, own) if looked else np.empty((0, 4), np.float32)
    hard = np.vstack([missed, no_face])
    # No detector makes a face of what a person could not tell, or of what is none.
    own = own[~lies_on(own[:, :4], np.vstack([photo.ignored_xyxy, no_face]))]
    found = found[~lies_on(found[:, :4], no_face)]
    boxes, ignored = _merge(photo.truth.xyxy, found, trust, unannotated_counts)
    in_val = stem in known.validation if known.validation is not None else None
    class_id = photo.truth.class_id
    if in_val:  # completed by eye: nothing else is unknown
        ignored = np.empty((0, 5), np.float32)
    else:
        boxes, class_id, ignored = _add_own(boxes, class_id, ignored, own, unannotated_counts)
    unsure = np.hstack([photo.ignored_xyxy, np.zeros((len(photo.ignored_xyxy), 1), np.float32)])
    return _Draft(picture, dataset, boxes, class_id, np.vstack([ignored, unsure]), in_val, hard)


def _missed(xyxy: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Those of the boxes (n, 4) on which an earlier detector, with its finds (k, 8), is not sure of a face."""
    sure = own[own[:, 4] >= SURE_OWN_SCORE]
    return xyxy[overlaps(xyxy, sure[:, :4]).max(axis=1, initial=0) < SAME_FACE_IOU]


def _cut_out_draft(picture: Picture, dataset: str, found: np.ndarray) -> _Draft:
    """A picture of a class folder: the main face of those that a detector found has its label."""
    main = shorter_sides(found[:, :4]).argmax()
    label = CLASS_NAMES.index(picture.labels[0])
    others = np.delete(found, main, axis=0)
    others[:, 4] = 0
    return _Draft(picture, dataset, found[main : main + 1, :4], np.array([label]), others, False)


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
    """The groups of near-duplicates that validation gets.

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
        boxes = load_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"The boxes {path} cannot be read: {error}") from None
    return boxes


def _load(draft: _Draft) -> Scene:
    photo, scale = fit_within(read_image(draft.picture.path), MAX_PHOTO_SIDE)
    faces, ignored, hard = (np.array(boxes, np.float32) for boxes in (draft.faces_xyxy, draft.ignored, draft.hard_xyxy))
    for boxes in (faces, ignored, hard):
        boxes[:, :4] *= scale
    class_id = np.asarray(draft.class_id, int)
    return Scene(draft.picture.path, draft.dataset, photo, faces, class_id, ignored, not draft.picture.whole, hard)


Window = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Picture (s, s, 3) uint8 BGR; faces (n, 4), class_id (n,), ignored (m, 5) as in ``Scene``, in its pixels."""
