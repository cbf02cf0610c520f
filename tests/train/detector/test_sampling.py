import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.datasets.faces import DataError
from core.synthetic.sample import sample_photo
from core.vision.classes import WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY
from core.vision.crops import GREY
from tests.helpers import write_class_folders, write_voc
from train.detector import sampling
from train.detector.dataset import MAX_PHOTO_SIDE, SURE_SCORE, UNANNOTATED_COUNTS, Scene, load_scenes
from train.detector.sampling import WindowRecipe, chances_of, draw_window, move_boxes

# Boxes under an affine map

IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], float)


@pytest.mark.parametrize(
    ("matrix", "xyxy", "expected", "share"),
    [
        pytest.param(IDENTITY, (10, 20, 30, 60), (10, 20, 30, 60), 1, id="identity"),
        pytest.param([[1, 0, 7], [0, 1, -5]], (10, 20, 30, 60), (17, 15, 37, 55), 1, id="shift"),
        pytest.param([[-1, 0, 160], [0, 1, 0]], (10, 20, 30, 60), (130, 20, 150, 60), 1, id="mirrored"),
        pytest.param([[2, 0, 0], [0, 0.5, 0]], (10, 20, 30, 60), (20, 10, 60, 30), 1, id="stretched"),
        pytest.param([[0, -1, 100], [1, 0, 0]], (10, 20, 30, 60), (40, 10, 80, 30), 1, id="a quarter turn"),
        pytest.param(IDENTITY, (-10, 20, 30, 60), (0, 20, 30, 60), 0.75, id="over the left edge"),
        pytest.param(IDENTITY, (150, 80, 170, 112), (150, 80, 160, 96), 0.25, id="over the lower right corner"),
        pytest.param(IDENTITY, (170, 20, 190, 60), (160, 20, 160, 60), 0, id="outside"),
        pytest.param(IDENTITY, (40, 50, 40, 50), (40, 50, 40, 50), 0, id="without area"),
    ],
)
def test_move_boxes(matrix, xyxy, expected, share):
    moved, inside = move_boxes(np.array([xyxy], np.float32), np.array(matrix, float), (160, 96))
    assert moved.dtype == np.float32
    assert np.allclose(moved, [expected], atol=1e-4)
    assert inside.tolist() == pytest.approx([share], abs=1e-5)


def test_no_box_is_moved_to_no_box():
    moved, inside = move_boxes(np.empty((0, 4)), IDENTITY, (160, 96))
    assert moved.shape == (0, 4) and inside.shape == (0,)


@pytest.mark.parametrize("degrees", [8, 24, 45, 200])
def test_a_turned_box_is_the_box_of_the_turned_ellipse(degrees):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 300], [np.sin(angle), np.cos(angle), 250]])
    boxes = np.array([[10, 20, 70, 100], [50, 40, 90, 80]], np.float32)
    moved, _ = move_boxes(boxes, turn, (600, 500))
    around = np.linspace(0, 2 * np.pi, 3601)
    for box, after in zip(boxes, moved, strict=True):
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        outline = (middle + half * np.stack([np.cos(around), np.sin(around)], axis=1)) @ turn[:, :2].T + turn[:, 2]
        assert np.allclose(after, [*outline.min(axis=0), *outline.max(axis=0)], atol=0.01)
    assert np.allclose(moved[1, 2:] - moved[1, :2], 40, atol=1e-3), "a round face does not grow by being turned"


# Photos with boxes

FACE = [("with_mask", (11, 21, 60, 80))]
FACE_XYXY = (10, 20, 60, 80)


def write_boxes(path, boxes):
    path.write_text(json.dumps(boxes))
    return str(path)


def load(folders, boxes=None, redraw=(), val_share=0.0, seed=0):
    return load_scenes([str(folder) for folder in folders], boxes, redraw, val_share, seed)


def names(scenes):
    return [scene.path.stem for scene in scenes]


def test_photos_with_their_boxes_and_photos_without_faces(tmp_path):
    photos = {"a": [*FACE, ("mask_weared_incorrect", (101, 21, 159, 119))], "b": [], "c": []}
    split = load([write_voc(tmp_path / "voc", photos)])
    a, b, c = split.train
    assert names(split.train) == ["a", "b", "c"] and not split.val
    assert a.photo_bgr.shape == (120, 160, 3) and a.whole and a.dataset == str(tmp_path / "voc")
    assert a.faces_xyxy.tolist() == [[10, 20, 60, 80], [100, 20, 159, 119]] and a.class_id.tolist() == [0, 2]
    for scene in (b, c):
        assert scene.faces_xyxy.shape == (0, 4) and scene.class_id.shape == (0,) and scene.ignored.shape == (0, 5)
    counts = {"photos": 3, "with_mask": 1, "without_mask": 0, "mask_weared_incorrect": 1, "unknown": 0}
    assert split.facts == {
        "held_out": 0,
        "near_copies_of_held_out": 0,
        "train": {str(tmp_path / "voc"): counts},
        "val": {},
    }


def test_a_large_photo_is_kept_smaller_and_its_boxes_with_it(tmp_path):
    folder = write_voc(tmp_path / "voc", {"a": [("with_mask", (401, 101, 800, 400))]}, size_wh=(1600, 500))
    boxes = write_boxes(tmp_path / "boxes.json", {"voc/images/a.jpg": [[1000, 100, 1200, 300, 0.9]]})
    (scene,) = load([folder], boxes).train
    assert scene.photo_bgr.shape == (250, MAX_PHOTO_SIDE, 3)
    assert np.allclose(scene.faces_xyxy, [[200, 50, 400, 200]], atol=0.5)
    assert np.allclose(scene.ignored, [[500, 50, 600, 150, UNANNOTATED_COUNTS]])


def test_held_out_photos_and_near_copies_of_them_are_left_out(tmp_path):
    folder = write_voc(tmp_path / "voc", dict.fromkeys("abcde", FACE))
    (folder / "test.txt").write_text("b.jpg\n")
    held_out = cv2.imread(str(folder / "images" / "b.jpg"))
    cv2.imwrite(str(folder / "images" / "d.jpg"), cv2.convertScaleAbs(held_out, alpha=0.9, beta=15))
    cv2.imwrite(str(folder / "images" / "e.jpg"), held_out[:, ::-1])
    split = load([folder], val_share=0.0)
    assert names(split.train) == ["a", "c"]
    assert split.facts["held_out"] == 1 and split.facts["near_copies_of_held_out"] == 2


def test_near_copies_of_held_out_photos_are_left_out_of_other_sets_too(tmp_path):
    voc = write_voc(tmp_path / "voc", {"a": FACE, "b": FACE})
    (voc / "test.txt").write_text("b\n")
    cutouts = write_class_folders(tmp_path / "cut", 2)
    shutil.copy(voc / "images" / "b.jpg", cutouts / "with_mask" / "000.jpg")
    everywhere = {
        f"cut/{label}/{i:03}.jpg": [[5, 5, 60, 50, 0.9]] for label in ("with_mask", "without_mask") for i in (0, 1)
    }
    split = load([voc, cutouts], write_boxes(tmp_path / "boxes.json", everywhere))
    assert [f"{scene.path.parent.name}/{scene.path.stem}" for scene in split.train] == [
        *("images/a", "with_mask/001", "without_mask/000", "without_mask/001")
    ]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Twenty photos, each with a brighter copy: 00 and 00x belong together; and a cut-out copy of each."""
    folder = tmp_path_factory.mktemp("pairs") / "voc"
    write_voc(folder, {f"{i:02}{copy}": FACE for i in range(20) for copy in ("", "x")})
    cut = folder.parent / "cut" / "with_mask"
    cut.mkdir(parents=True)
    for i in range(20):
        picture = cv2.imread(str(folder / "images" / f"{i:02}.jpg"))
        cv2.imwrite(str(folder / "images" / f"{i:02}x.jpg"), cv2.convertScaleAbs(picture, alpha=0.9, beta=15))
        cv2.imwrite(str(cut / f"{i:02}c.jpg"), picture)
    boxes = {f"cut/with_mask/{i:02}c.jpg": [[10, 20, 60, 80, 0.9]] for i in range(20)}
    return [folder, cut.parent], write_boxes(folder.parent / "boxes.json", boxes)


def test_validation_has_its_share_and_nothing_of_it_is_trained_on(pairs):
    folders, boxes = pairs
    split = load(folders, boxes, val_share=0.25, seed=3)
    val = {name[:2] for name in names(split.val)}
    assert len(val) == 5 and len(split.val) == 10, "a quarter of the photos, near-duplicates together"
    assert val.isdisjoint(name[:2] for name in names(split.train))
    # A cut-out face that copies a validation photo is on neither side.
    assert sum(not scene.whole for scene in split.train) == 15 and all(scene.whole for scene in split.val)
    assert split.facts["val"][str(folders[0])]["photos"] == 10
    assert split.facts["train"][str(folders[1])]["photos"] == 15


def test_the_seed_decides_the_split(pairs):
    folders, boxes = pairs
    chosen = [names(load(folders, boxes, val_share=0.25, seed=seed).val) for seed in (3, 3, 4)]
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize(
    ("redraw", "expected"),
    [
        pytest.param((), (15, 25, 65, 85), id="half way to the found one"),
        pytest.param(("voc",), (20, 30, 70, 90), id="another habit: replaced by the found one"),
        pytest.param(("other",), (15, 25, 65, 85), id="another set named"),
    ],
)
def test_an_annotated_box_follows_the_found_one(tmp_path, redraw, expected):
    folder = write_voc(tmp_path / "voc", {"a": [("without_mask", (101, 31, 140, 90)), *FACE], "b": FACE})
    boxes = write_boxes(tmp_path / "boxes.json", {"voc/images/a.jpg": [[20, 30, 70, 90, 0.9]]})
    a, b = load([folder], boxes, redraw).train
    assert a.faces_xyxy.tolist() == [[100, 30, 140, 90], list(expected)]
    assert a.class_id.tolist() == [1, 0], "the annotation says how the mask is worn"
    assert b.faces_xyxy.tolist() == [list(FACE_XYXY)], "where nothing was found the annotation stays"
    assert not len(a.ignored) and not len(b.ignored)


@pytest.mark.parametrize(
    ("found", "ignored"),
    [
        pytest.param((100, 30, 140, 90, SURE_SCORE + 0.01), True, id="sure"),
        pytest.param((100, 30, 140, 90, SURE_SCORE - 0.01), False, id="not sure enough"),
        pytest.param((40, 20, 90, 80, 0.99), False, id="overlaps an annotated face too much for another one"),
        pytest.param((55, 20, 105, 80, 0.99), True, id="overlaps an annotated face a little"),
    ],
)
def test_a_face_that_nobody_annotated_counts_little_as_background(tmp_path, found, ignored):
    folder = write_voc(tmp_path / "voc", {"a": FACE, "b": []})
    boxes = write_boxes(tmp_path / "boxes.json", {"voc/images/a.jpg": [list(found)]})
    split = load([folder], boxes)
    scene = split.train[0]
    assert scene.faces_xyxy.tolist() == [list(FACE_XYXY)]
    assert scene.ignored.tolist() == ([[*found[:4], UNANNOTATED_COUNTS]] if ignored else [])
    assert split.facts["train"][str(folder)]["unknown"] == int(ignored)


def test_faces_that_an_earlier_detector_missed_and_what_is_none_are_hard_places(tmp_path):
    other, fist = (100, 30, 140, 90), (5, 5, 35, 40)
    folder = write_voc(tmp_path / "voc", {"a": [("without_mask", (101, 31, 140, 90)), *FACE], "b": FACE})
    rows = [[*FACE_XYXY, 0.9, 0.8, 0.1, 0.1], [*other, 0.2, 0.1, 0.8, 0.1], [*fist, 0.8, 0.1, 0.8, 0.1]]
    boxes = write_boxes(tmp_path / "boxes.json", {"voc/images/a.jpg": rows})
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "voc.json").write_text(json.dumps([{"photo": "a", "xyxy": fist, "name": "no_face"}]))
    a, b = load_scenes([str(folder)], boxes, (), 0, 0, labels=str(tmp_path / "labels")).train
    assert a.hard_xyxy.tolist() == [list(other), list(fist)]
    assert len(a.faces_xyxy) == 2 and not len(a.ignored), "the fist is background in full"
    assert b.hard_xyxy.tolist() == [list(FACE_XYXY)], "it found nothing in this photo"
    boxes = write_boxes(tmp_path / "boxes.json", {"voc/images/a.jpg": [[*FACE_XYXY, 0.9]]})
    assert not any(len(scene.hard_xyxy) for scene in load([folder], boxes).train), "only another detector looked"


def test_in_class_folders_the_main_face_gets_the_label_and_others_do_not_count(tmp_path):
    folder = write_class_folders(tmp_path / "cut", 2)
    boxes = {
        "cut/with_mask/000.jpg": [[60, 5, 75, 25, 0.95], [5, 5, 45, 55, 0.7]],
        "cut/without_mask/001.jpg": [[10, 10, 50, 50, 0.8]],
        "cut/without_mask/000.jpg": [],
    }
    split = load([folder], write_boxes(tmp_path / "boxes.json", boxes))
    assert [scene.path.relative_to(folder).as_posix() for scene in split.train] == [
        *("with_mask/000.jpg", "without_mask/001.jpg")
    ], "a picture in which no face was found says nothing of where it is"
    first, second = split.train
    assert first.faces_xyxy.tolist() == [[5, 5, 45, 55]] and first.class_id.tolist() == [WITH_MASK]
    assert first.ignored.tolist() == [[60, 5, 75, 25, 0]]
    assert second.class_id.tolist() == [WITHOUT_MASK] and second.ignored.shape == (0, 5)
    assert not first.whole and not second.whole


@pytest.mark.parametrize(
    ("prepare", "boxes", "sentence"),
    [
        pytest.param(lambda path: None, None, "no data folder", id="missing folder"),
        pytest.param(lambda path: write_class_folders(path, 1), None, "pseudo_boxes", id="class folders without boxes"),
        pytest.param(lambda path: write_class_folders(path, 1), "{}", "no photos", id="boxes of other pictures"),
        pytest.param(lambda path: path.mkdir(), "{}", "no images", id="empty folder"),
        pytest.param(lambda path: write_voc(path, {"a": FACE}), "{", "cannot be read", id="boxes are no JSON"),
        pytest.param(lambda path: write_voc(path, {"a": FACE}), "[1]", "is damaged", id="boxes are a list"),
        pytest.param(lambda path: write_voc(path, {"a": FACE}), "\0", "cannot be read", id="boxes are binary"),
        pytest.param(lambda path: write_voc(path, {"a": [("hat", (1, 1, 9, 9))]}), None, "hat", id="unknown class"),
    ],
)
def test_unusable_data_get_a_sentence(tmp_path, prepare, boxes, sentence):
    prepare(tmp_path / "set")
    if boxes is not None:
        (tmp_path / "boxes.json").write_text(boxes)
    with pytest.raises(DataError, match=sentence):
        load([tmp_path / "set"], str(tmp_path / "boxes.json") if boxes is not None else None)


def test_a_missing_file_of_boxes_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json"):
        load([write_voc(tmp_path / "voc", {"a": FACE})], str(tmp_path / "none.json"))


# Windows

SIDE = 128
# What stands for a face: a bright ellipse, its colour the class (BGR). The ground is dark.
PAINT = np.array([(40, 230, 40), (60, 60, 240), (250, 250, 60)], np.uint8)
PLAIN = WindowRecipe(face_px=(40, 160), mosaic_share=0, draw_share=0, hide_share=0)


@pytest.fixture
def no_light(monkeypatch):
    """Light and lens stay as they are, so that colours can be compared."""
    monkeypatch.setattr(sampling, "change_pixels", lambda picture, how, rng: picture)


def painted_scene(size_wh, faces, class_id, ignored=(), whole=True):
    photo = np.full((size_wh[1], size_wh[0], 3), 25, np.uint8)
    for (x1, y1, x2, y2), label in zip(faces, class_id, strict=True):
        # In sixteenths of a pixel; pixel centres lie at halves.
        middle = round(((x1 + x2) / 2 - 0.5) * 16), round(((y1 + y2) / 2 - 0.5) * 16)
        axes = round((x2 - x1) / 2 * 16), round((y2 - y1) / 2 * 16)
        cv2.ellipse(photo, middle, axes, 0, 0, 360, PAINT[label].tolist(), -1, cv2.LINE_8, 4)
    return Scene(
        Path("painted"),
        "set",
        photo,
        np.array(faces, np.float32).reshape(-1, 4),
        np.array(class_id, int),
        np.array(ignored, np.float32).reshape(-1, 5),
        whole,
    )


def large_scene(class_id=WITH_MASK):
    """One face far from the edges: whatever is cut out around it fills the window."""
    return painted_scene((900, 700), [(430, 320, 490, 400)], [class_id])


def painted(picture):
    """(s, s) class of the paint at each pixel, -1 for ground."""
    far = np.linalg.norm(picture[:, :, None].astype(int) - PAINT.astype(int), axis=-1)  # (s, s, 3)
    return np.where(far.min(axis=-1) < 100, far.argmin(axis=-1), -1)


def windows(scenes, how, count, first=0):
    return [draw_window(scenes, first, SIDE, how, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("mosaic_share", [0.0, 1.0], ids=["one photo", "four photos"])
def test_a_window_is_repeatable_and_has_its_form(mosaic_share):
    scenes = [large_scene(i) for i in range(3)] + [painted_scene((160, 120), [], [], [(20, 20, 60, 90, 0.25)])]
    how = WindowRecipe(face_px=(20, 120), mosaic_share=mosaic_share, draw_share=0.5, hide_share=0.5)
    for seed in range(10):
        one, same, other = (
            draw_window(scenes, seed % 4, SIDE, how, np.random.default_rng([s, 9])) for s in (seed, seed, seed + 1)
        )
        assert all((a == b).all() for a, b in zip(one, same, strict=True))
        assert (one[0] != other[0]).any()
        picture, faces, class_id, ignored = one
        assert picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.uint8
        assert faces.shape == (len(class_id), 4) and ignored.shape[1:] == (5,)
        for boxes in (faces, ignored[:, :4]):
            assert (boxes >= 0).all() and (boxes <= SIDE).all() and (boxes[:, 2:] >= boxes[:, :2]).all()
        assert ((ignored[:, 4] >= 0) & (ignored[:, 4] <= 1)).all()


def test_the_photos_in_memory_are_never_changed():
    scenes = [large_scene(WITHOUT_MASK), painted_scene((150, 100), [(60, 30, 90, 70)], [WITHOUT_MASK])]
    before = [(scene.photo_bgr.copy(), scene.faces_xyxy.copy(), scene.class_id.copy()) for scene in scenes]
    how = WindowRecipe(face_px=(20, 120), mosaic_share=0.5, draw_share=0.7, hide_share=0.7)
    for seed in range(30):
        draw_window(scenes, seed % 2, SIDE, how, np.random.default_rng(seed))
    for scene, (photo, faces, class_id) in zip(scenes, before, strict=True):
        assert (scene.photo_bgr == photo).all() and (scene.faces_xyxy == faces).all()
        assert (scene.class_id == class_id).all()


@pytest.mark.parametrize("class_id", [WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY])
def test_a_box_is_the_box_of_its_face_to_the_pixel(no_light, class_id):
    """However the photo was turned, mirrored, stretched and scaled."""
    checked = 0
    for picture, faces, labels, _ in windows([large_scene(class_id)], PLAIN, 30):
        assert (labels == class_id).all()
        for box in faces:
            if box.min() <= 0 or box.max() >= SIDE:
                continue  # cut off: what is left of an ellipse may be smaller than what is left of its box
            rows, columns = np.nonzero(painted(picture) == class_id)
            seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert np.abs(box - seen).max() <= 1.5
            checked += 1
    assert checked >= 10


def inside(image, box):
    x1, y1, x2, y2 = np.rint(box).astype(int)
    return image[y1:y2, x1:x2]


@pytest.mark.parametrize(
    ("sizes", "mosaic_share"),
    [
        pytest.param([(900, 700)], 0.0, id="large photos"),
        pytest.param([(150, 100), (90, 160)], 0.0, id="small photos, laid over others"),
        pytest.param([(900, 700), (150, 100), (90, 160)], 1.0, id="four photos"),
    ],
)
def test_faces_lie_in_their_boxes_and_nowhere_else(no_light, sizes, mosaic_share):
    scenes = []
    for width, height in sizes:
        for i in range(3):
            x, y = width * (0.3 + 0.1 * i), height * 0.3
            faces = [(x, y, x + 32, y + 40), (x + 0.25 * width, y + 8, x + 0.25 * width + 20, y + 30)]
            scenes.append(painted_scene((width, height), faces, [i, (i + 1) % 3]))
    how = WindowRecipe(face_px=(20, 120), mosaic_share=mosaic_share, draw_share=0, hide_share=0)
    shares, leaked, bright = [], 0, 0
    for seed in range(90):
        picture, faces, class_id, ignored = draw_window(
            scenes, seed % len(scenes), SIDE, how, np.random.default_rng(seed)
        )
        shown = painted(picture)
        for box, label in zip(faces, class_id, strict=True):
            shares.append((inside(shown, box) == label).mean())
        bright += (shown >= 0).sum()
        for x1, y1, x2, y2 in np.vstack([faces, ignored[:, :4]]):
            shown[int(max(y1 - 1, 0)) : int(y2 + 2), int(max(x1 - 1, 0)) : int(x2 + 2)] = -1
        leaked += (shown >= 0).sum()
    # An ellipse fills 0.79 of its box; of a box that is cut off or partly covered, more or less.
    assert len(shares) > 60 and np.mean(shares) > 0.74 and np.min(shares) > 0.5
    assert leaked <= 0.01 * bright, "a face without a box would be learnt as background"


def test_the_chosen_photo_is_shown_with_a_face_of_the_asked_size(no_light):
    scenes = [large_scene(WITH_MASK), large_scene(WITHOUT_MASK)]
    how = WindowRecipe(face_px=(30, 120), mosaic_share=0, draw_share=0, hide_share=0, stretch=0, rotation_deg=0)
    drawn = windows(scenes, how, 80, first=1)
    labels = [label for _, _, class_id, _ in drawn for label in class_id]
    assert len(labels) > 60 and set(labels) == {WITHOUT_MASK}
    # Whole faces only; the upper limit goes with the window's side, the lower does not.
    whole = [box for _, faces, _, _ in drawn for box in faces if box.min() > 0 and box.max() < SIDE]
    sizes = [np.sqrt((box[2] - box[0]) * (box[3] - box[1])) for box in whole]
    assert 29 < min(sizes) < 36 and 50 < max(sizes) < 61


def test_a_small_face_is_not_blown_up_beyond_the_limit(no_light):
    scene = painted_scene((900, 700), [(430, 320, 446, 340)], [WITH_MASK])
    how = WindowRecipe(face_px=(60, 160), max_zoom=2.0, mosaic_share=0, draw_share=0, hide_share=0, stretch=0)
    sizes = [box[3] - box[1] for _, faces, _, _ in windows([scene], how, 30) for box in faces if box.min() > 0]
    assert sizes and max(sizes) < 20 * 2.0 * 1.05


def test_half_of_the_windows_are_mirrored(no_light):
    # The left half of the face is of one colour, the right half of another.
    scene = large_scene(WITH_MASK)
    scene.photo_bgr[:, 460:][scene.photo_bgr[:, 460:].max(axis=-1) > 100] = PAINT[1]
    mirrored = []
    for picture, *_ in windows(
        [scene], WindowRecipe(face_px=(40, 100), mosaic_share=0, draw_share=0, hide_share=0), 80
    ):
        columns = [np.nonzero(painted(picture) == label)[1] for label in (0, 1)]
        if all(map(len, columns)):
            mirrored.append(columns[0].mean() > columns[1].mean())
    assert len(mirrored) > 60 and 0.3 < np.mean(mirrored) < 0.7


def test_an_ignored_area_moves_with_its_photo_and_keeps_its_weight(no_light):
    # The second face is painted, but known only as an area that may hold one.
    scene = painted_scene((900, 700), [(430, 320, 490, 400), (510, 330, 550, 380)], [WITH_MASK, WITHOUT_MASK])
    ignored = np.array([[510, 330, 550, 380, 0.25]], np.float32)
    half_known = Scene(scene.path, "set", scene.photo_bgr, scene.faces_xyxy[:1], scene.class_id[:1], ignored, True)
    checked = 0
    for picture, _, class_id, moved in windows([half_known], PLAIN, 60):
        assert WITHOUT_MASK not in class_id
        for *box, counts in moved[moved[:, 4] > 0]:
            assert counts == 0.25
            assert (inside(painted(picture), np.array(box)) == WITH_MASK).mean() < 0.1
            if min(box) > 0 and max(box) < SIDE:
                assert (inside(painted(picture), np.array(box)) == WITHOUT_MASK).mean() > 0.7
                checked += 1
    assert checked >= 10


def test_a_face_that_is_mostly_cut_off_is_neither_learnt_nor_background(no_light):
    # A second face so near to the first that windows of the first often cut it.
    scene = painted_scene((900, 700), [(430, 320, 490, 400), (520, 320, 580, 400)], [WITH_MASK, WITHOUT_MASK])
    cut = 0
    for picture, _, class_id, ignored in windows([scene], WindowRecipe((60, 160), mosaic_share=0, draw_share=0), 150):
        assert (ignored[:, 4] == 0).all()
        shown = painted(picture)
        for label in (WITH_MASK, WITHOUT_MASK):
            if label not in class_id and (shown == label).sum() > 330:
                # More than a twentieth of it is seen, it has no box: it must lie in an ignored area.
                rows, columns = np.nonzero(shown == label)
                middle = columns.mean(), rows.mean()
                assert any(x1 <= middle[0] <= x2 and y1 <= middle[1] <= y2 for x1, y1, x2, y2, _ in ignored)
                cut += 1
    assert cut >= 5


def test_a_photo_without_faces_gives_a_window_without_faces():
    scene = painted_scene((200, 140), [], [])
    for picture, faces, class_id, ignored in windows([scene], WindowRecipe(mosaic_share=0.5), 10):
        assert picture.shape == (SIDE, SIDE, 3)
        assert faces.shape == (0, 4) and class_id.shape == (0,) and ignored.shape == (0, 5)


def test_behind_a_small_photo_lies_a_scene_and_no_cut_out_face(no_light):
    # A class folder's picture is one face: blown up behind another, it would be all there is to see.
    front = painted_scene((100, 80), [(30, 20, 60, 60)], [WITH_MASK], whole=False)
    others = [painted_scene((90, 90), [(30, 20, 60, 60)], [WORN_INCORRECTLY], whole=False) for _ in range(3)]
    street = painted_scene((300, 200), [(20, 20, 50, 60), (240, 20, 270, 60), (20, 120, 50, 160)], [WITHOUT_MASK] * 3)
    how = WindowRecipe(face_px=(16, 40), mosaic_share=0, draw_share=0, hide_share=0)
    drawn = windows([front, *others, street], how, 40)
    assert sum(WITHOUT_MASK in class_id for _, _, class_id, _ in drawn) > 10
    # Ten draws among five may all miss the street: that is rare, not never.
    assert sum(WORN_INCORRECTLY in class_id for _, _, class_id, _ in drawn) <= 8


# Drawn masks and hidden parts


def dressed_and_plain(class_id, count, **shares):
    """Windows of one large face with a recipe, and the same without it: what was drawn is the difference."""
    scene = large_scene(class_id)
    base = {"face_px": (60, 120), "mosaic_share": 0, "rotation_deg": 0, "draw_share": 0, "hide_share": 0}
    for dressed, plain in zip(
        windows([scene], WindowRecipe(**base | shares), count),
        windows([scene], WindowRecipe(**base), count),
        strict=True,
    ):
        if len(plain[1]) and plain[1].min() > 1 and plain[1].max() < SIDE - 1:
            assert (dressed[1] == plain[1]).all(), "drawing moves no box"
            yield dressed, plain


def test_a_drawn_mask_changes_the_label_and_the_lower_half_of_the_face(no_light):
    labels = []
    for (picture, faces, class_id, _), (plain, *_) in dressed_and_plain(WITHOUT_MASK, 60, draw_share=1):
        x1, y1, x2, y2 = faces[0]
        rows, columns = np.nonzero((picture != plain).any(axis=-1))
        assert len(rows) > 0.15 * (x2 - x1) * (y2 - y1)
        assert rows.min() > y1 + 0.25 * (y2 - y1), "eyes stay free"
        beside = 0.15 * (x2 - x1)  # shadow and ear loops
        assert columns.min() > x1 - beside and columns.max() < x2 + beside
        labels.append(class_id[0])
        nose = int(y1 + 0.54 * (y2 - y1)), int((x1 + x2) / 2)
        covered = np.abs(picture[nose].astype(int) - plain[nose]).max() > 20  # more than a shadow
        assert covered == (class_id[0] == WITH_MASK), "a mask below the nose is worn incorrectly"
    assert len(labels) >= 20
    assert set(labels) == {WITH_MASK, WORN_INCORRECTLY}
    assert labels.count(WITH_MASK) > labels.count(WORN_INCORRECTLY)


@pytest.mark.parametrize("class_id", [WITH_MASK, WORN_INCORRECTLY])
def test_nobody_gets_a_second_mask(no_light, class_id):
    for (picture, _, labels, _), (plain, *_) in dressed_and_plain(class_id, 40, draw_share=1):
        assert labels.tolist() == [class_id] and (picture == plain).all()


def test_no_mask_is_drawn_on_a_face_that_is_tiny_or_cut_off(no_light):
    scene = painted_scene((900, 700), [(430, 320, 442, 336)], [WITHOUT_MASK])
    how = WindowRecipe(face_px=(8, 30), max_zoom=1, mosaic_share=0, draw_share=1, hide_share=0)
    assert {label for *_, class_id, _ in windows([scene], how, 20) for label in class_id} == {WITHOUT_MASK}
    how = WindowRecipe(face_px=(60, 240), mosaic_share=0, draw_share=1, hide_share=0)
    drawn = windows([large_scene(WITHOUT_MASK)], how, 60)
    cut_off = [(box, label) for _, faces, class_id, _ in drawn for box, label in zip(faces, class_id, strict=True)
               if box.min() <= 0 or box.max() >= SIDE]  # fmt: skip
    assert len(cut_off) > 5 and all(label == WITHOUT_MASK for _, label in cut_off)


@pytest.mark.parametrize("class_id", [WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY])
def test_a_hidden_part_leaves_the_label(no_light, class_id):
    hidden = 0
    for (picture, faces, labels, _), (plain, *_) in dressed_and_plain(class_id, 40, hide_share=1):
        assert labels.tolist() == [class_id]
        rows, columns = np.nonzero((picture != plain).any(axis=-1))
        x1, y1, x2, y2 = faces[0]
        assert len(rows) < 0.25 * (x2 - x1) * (y2 - y1)
        assert not len(rows) or (x1 - 1 <= columns.min() and columns.max() <= x2 and y1 - 1 <= rows.min() <= y2)
        hidden += len(rows) > 0
    assert hidden > 5


@pytest.mark.parametrize(("share", "seen"), [(0.0, False), (1.0, True)])
def test_views_show_hard_places_as_often_as_asked(no_light, share, seen):
    scene = dataclasses.replace(large_scene(), hard_xyxy=np.array([[100, 100, 160, 180]], np.float32))
    scene.photo_bgr[130:150, 120:140] = 255
    how = WindowRecipe(face_px=(20, 60), mosaic_share=0, draw_share=0, hide_share=0, hard_share=share)
    drawn = windows([scene], how, 30)
    near = [(picture > 250).all(axis=-1).any() for picture, *_ in drawn]
    assert (sum(near) > 15) == seen
    assert (sum(len(faces) > 0 for _, faces, *_ in drawn) > 15) != seen


def test_a_face_behind_bars_stays_bare(no_light):
    shares = []
    for (picture, _, labels, _), (plain, *_) in dressed_and_plain(WITHOUT_MASK, 40, cage_share=1):
        assert labels.tolist() == [WITHOUT_MASK]
        shares.append((picture != plain).any(axis=-1).mean())
    assert min(shares) > 0 and max(shares) < 0.25, "bars, no mask"
    for (picture, *_), (plain, *_) in dressed_and_plain(WITH_MASK, 10, cage_share=1):
        assert (picture == plain).all()


def test_beyond_all_photos_lies_the_grey_of_the_detector(no_light):
    # One small photo, nothing to lay it over but itself: what neither covers is grey, as at the app's letterbox.
    scene = painted_scene((60, 40), [(20, 10, 40, 35)], [WITH_MASK])
    pictures = [picture for picture, *_ in windows([scene], WindowRecipe((10, 60), mosaic_share=0, max_zoom=1.0), 40)]
    corners = np.array([picture[y, x] for picture in pictures for y in (0, -1) for x in (0, -1)])
    assert np.isin(corners, [25, GREY, *PAINT.ravel()]).mean() > 0.9


# How often scenes are drawn


def scene_with(dataset, class_id, whole=True):
    n = len(class_id)
    boxes = np.zeros((n, 4), np.float32)
    return Scene(Path("a.jpg"), dataset, np.zeros((8, 9, 3), np.uint8), boxes, np.array(class_id, int),
                 np.zeros((0, 5), np.float32), whole)  # fmt: skip


def test_crowds_rare_predictions_and_chosen_sets_are_drawn_more_often():
    scenes = [
        scene_with("/data/street", [WITH_MASK]),
        scene_with("/data/street", [WITH_MASK] * 4),
        scene_with("/data/street", [WORN_INCORRECTLY]),
        scene_with("/data/drawn", [WORN_INCORRECTLY]),
        scene_with("/data/street", []),
    ]
    chances = chances_of(scenes, 0.2, {"drawn": 0.25}, 3.0)
    assert chances.sum() == pytest.approx(1)
    assert (chances / chances[0]).tolist() == pytest.approx([1, 2, 3, 0.75, 1])
    scenes[4] = dataclasses.replace(scenes[4], hard_xyxy=np.ones((1, 4), np.float32))
    chances = chances_of(scenes, 0.2, {}, 1.0, hard_often=1.5)
    assert (chances / chances[0]).tolist() == pytest.approx([1, 2, 1, 1, 1.5])


def test_cut_out_faces_get_their_share_whatever_else_is_set():
    scenes = [scene_with("street", [WITH_MASK]), *(scene_with("cut", [WITH_MASK], whole=False) for _ in range(4))]
    chances = chances_of(scenes, 0.2, {"street": 9.0}, 1.0)
    assert chances.tolist() == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])
    assert chances_of(scenes[1:], 0.2, {}, 1.0).tolist() == pytest.approx([0.25] * 4), "none of the other kind"


# Drawn masks


def test_masks_are_drawn_in_every_way_of_wearing_and_the_label_says_how():
    face, photo = np.array([182.0, 65.1, 269.5, 175.6]), sample_photo(False)
    at = lambda share: int(face[1] + share * (face[3] - face[1]))  # noqa: E731
    middle = slice(int(face[[0, 2]].mean()) - 5, int(face[[0, 2]].mean()) + 5)
    labels, mouths = [], []
    for seed in range(120):
        dressed, label = sampling._put_on(photo, face, np.random.default_rng(seed))
        changed = np.abs(dressed.astype(int) - photo).max(axis=-1) > 20  # more than a mask's shadow
        assert changed.any() and dressed.shape == photo.shape and dressed.dtype == np.uint8
        nose, mouth = (changed[at(share), middle].mean() > 0.5 for share in (0.58, 0.75))
        labels.append(label)
        assert nose == (label == WITH_MASK), seed
        if label == WORN_INCORRECTLY:
            mouths.append(mouth)
    counts = np.bincount(labels, minlength=3)
    assert 50 < counts[WITH_MASK] < 95 and counts[WITHOUT_MASK] == 0
    assert 0.2 < np.mean(mouths) < 0.8, "under the nose, and on the chin"
