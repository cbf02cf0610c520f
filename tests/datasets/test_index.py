"""The index of a data set: what it holds, what is decoded again, what can be found in it."""

import dataclasses
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from core.config import cache_dir
from core.datasets import index as module
from core.datasets import index_db
from core.datasets.duplicates import leak_of_random_split, near_duplicate_groups, photo_groups
from core.datasets.edits import Edits, NewFace
from core.datasets.faces import read_samples
from core.datasets.formats import DataError
from core.datasets.index import THUMBNAIL_SIDE, build_index, index_fingerprint, open_index
from core.datasets.label_issues import compared, find_issues, label_issues_fingerprint, open_label_issues, suspicious
from core.datasets.query import Filter, face_sample, facts, matching
from core.datasets.store import find_dataset
from core.jobs import Cancelled
from core.vision.images import encode_image
from pages.components.charts import class_counts, clicked, group_sizes, histogram
from pages.views.datasets.tiles import augmentation_sheet, face_tiles, image_details, image_tiles
from tests.helpers import ROOT
from train.augment import REPORT
from train.config import TrainConfig
from train.split import default_split, set_default_split, split_samples


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    return tmp_path


def photo(seed: int, size_wh=(80, 60), light: float = 1.0) -> np.ndarray:
    """A smooth random picture: the same seed gives the same content at any size."""
    cells = np.random.default_rng(seed).integers(0, 256, (12, 16, 3)).astype(np.float32)
    return np.clip(cv2.resize(cells, size_wh, interpolation=cv2.INTER_CUBIC) * light, 0, 255).astype(np.uint8)


def write(path, frame_bgr) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(frame_bgr, path.suffix))


@pytest.fixture
def class_folders(data_folder):
    """Eight readable pictures: 1 and 2 alike, 3 mirrored by 7, one dark, one large, one broken file beside them."""
    folder = data_folder / "set"
    write(folder / "with_mask/1.jpg", photo(1, (400, 300)))
    write(folder / "with_mask/2 small.png", photo(1, (200, 150)))
    write(folder / "with_mask/3.jpg", photo(3))
    write(folder / "train/without_mask/4 dark.png", photo(4, light=0.2))
    write(folder / "train/without_mask/5.png", photo(5, (30, 200)))
    write(folder / "test/without_mask/6 large.jpg", photo(6, (1400, 900)))
    write(folder / "test/without_mask/7.png", photo(3)[:, ::-1].copy())
    write(folder / "test/helmet/8.png", photo(8))
    (folder / "with_mask/9 broken.jpg").write_bytes(encode_image(photo(9))[:300])
    return find_dataset("set")


@pytest.fixture
def annotated(data_folder):
    """A YOLO set with a picture of two faces, one of which reaches far over the edge, and a picture of none."""
    folder = data_folder / "boxes"
    write(folder / "images/a.png", photo(1, (200, 100)))
    write(folder / "images/b.png", photo(2, (90, 120)))
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text("0 0.25 0.5 0.2 0.6\n1 0.9 0.5 8 0.3\n")
    (folder / "labels/b.txt").write_text("")
    (folder / "data.yaml").write_text("names: [with_mask, helmet]\n")
    return find_dataset("boxes")


def keys(index, places) -> list[str]:
    return [index.pictures[place].key.rpartition("/")[2].split(".")[0] for place in places]


def test_everything_is_known_without_decoding_again(class_folders, monkeypatch):
    assert open_index(class_folders) is None
    build_index(class_folders)
    monkeypatch.setattr(module, "load_image", None)
    index = open_index(class_folders)
    assert len(index) == 8 and index.classes == ("with_mask", "without_mask", "helmet")
    row = index.rows[index.place_of["test/without_mask/6 large.jpg"]]
    assert (row["width"], row["height"]) == (1400, 900)
    dark = index.place_of["train/without_mask/4 dark.png"]
    assert index.rows["brightness"].argmin() == dark and 0 < index.rows["brightness"][dark] < 0.2
    for (width, height), jpeg in zip(
        index.rows[["width", "height"]].tolist(), index.thumbnails(np.arange(8)), strict=True
    ):
        shape = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape
        assert max(shape) <= THUMBNAIL_SIDE and shape[1] / shape[0] == pytest.approx(width / height, rel=0.1)
    assert list(index.problems) == ["with_mask/9 broken.jpg"]
    assert "image" in index.problems["with_mask/9 broken.jpg"]
    assert index.faces.size_px[index.place_of["train/without_mask/5.png"]] == 30


def test_a_photo_taken_with_a_turned_camera_is_upright(data_folder):
    path = data_folder / "set/with_mask/turned.jpg"
    path.parent.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(1, (600, 400))[..., ::-1]).save(path, exif=exif)
    index = build_index(find_dataset("set"))
    assert (index.rows["width"][0], index.rows["height"][0]) == (400, 600)
    shape = cv2.imdecode(np.frombuffer(index.thumbnails([0])[0], np.uint8), cv2.IMREAD_COLOR).shape
    assert shape[0] > shape[1]


def test_groups_are_those_of_the_split(class_folders):
    index = build_index(class_folders)
    expected = photo_groups([picture.path for picture in index.pictures])
    same = index.groups[:, None] == index.groups
    assert (same == (expected[:, None] == expected)).all()
    groups = {frozenset(keys(index, group)) for group in near_duplicate_groups(index)}
    assert groups == {frozenset({"1", "2 small"}), frozenset({"3", "7"})}


@pytest.fixture
def decoded(monkeypatch):
    """Keys of the images that were decoded."""
    seen = []
    decode = module._decode

    def counted(picture):
        seen.append(picture.key)
        return decode(picture)

    monkeypatch.setattr(module, "_decode", counted)
    return seen


def test_only_new_and_changed_files_are_decoded(class_folders, decoded):
    build_index(class_folders)
    assert len(decoded) == 9
    before = open_index(class_folders).thumbnails([2])
    decoded.clear()
    build_index(class_folders)
    assert decoded == []
    write(class_folders.folder / "with_mask/1.jpg", photo(11, (64, 48)))
    write(class_folders.folder / "with_mask/new.jpg", photo(12))
    (class_folders.folder / "train/without_mask/5.png").unlink()
    assert open_index(class_folders) is None
    index = build_index(class_folders)
    assert sorted(decoded) == ["with_mask/1.jpg", "with_mask/new.jpg"]
    assert len(index) == 8 and index.sizes_px[index.place_of["with_mask/1.jpg"]] == 64
    assert index.thumbnails([index.place_of["with_mask/2 small.png"]]) != [b""] and before != [b""]
    kept = {
        table: index_db.select("set", f"SELECT key FROM {table} ORDER BY key") for table in ("images", "thumbnails")
    }
    assert kept["images"] == kept["thumbnails"] and len(kept["images"]) == 9


def test_what_was_seen_before_a_stop_is_kept(class_folders, decoded, monkeypatch):
    monkeypatch.setattr(module, "PER_REPORT", 2)
    calls = []

    def stop_soon(done, total, text):
        calls.append((done, total))
        if done >= 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        build_index(class_folders, stop_soon)
    assert calls[-1] == (4, 9) and open_index(class_folders) is None
    decoded.clear()
    assert len(build_index(class_folders)) == 8
    assert len(decoded) == 5


def file_of_version(path, version: int) -> None:
    """A sound file that another version of the app has left, with a table of a name that we use too."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE images (name TEXT, thumbnail BLOB)")
        connection.execute("INSERT INTO images VALUES ('with_mask/1.jpg', x'00')")
        connection.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(b"nonsense" * 1000), id="nonsense"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty file"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), id="cut off"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:4096] + b"x" * (path.stat().st_size - 4096)),
            id="a good first page alone",
        ),
        pytest.param(lambda path: file_of_version(path, 1), id="older version"),
        pytest.param(lambda path: file_of_version(path, index_db.VERSION + 1), id="newer version"),
    ],
)
def test_a_damaged_or_foreign_index_is_made_anew(class_folders, damage, decoded):
    index = build_index(class_folders)
    damage(index_db.index_path("set"))
    assert open_index(class_folders) is None
    assert index.thumbnails(np.arange(8)) == [b""] * 8
    decoded.clear()
    assert len(build_index(class_folders)) == 8 and len(decoded) == 9
    assert len(open_index(class_folders)) == 8 and all(index.thumbnails(np.arange(8)))
    classifier = StubClassifier()
    find_issues(index, classifier)
    assert open_label_issues(index, classifier.card) is not None


def test_damage_where_only_thumbnails_are_makes_the_index_anew_too(class_folders):
    index = build_index(class_folders)
    path = index_db.index_path("set")
    with closing(sqlite3.connect(path)) as connection:
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'thumbnails'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * page_size)
        file.write(b"x" * page_size)
    assert len(open_index(class_folders)) == 8
    assert index.thumbnails(np.arange(8)) == [b""] * 8
    assert open_index(class_folders) is None and index_fingerprint(class_folders)[0] == 0
    assert all(build_index(class_folders).thumbnails(np.arange(8)))


def test_files_of_versions_before_sqlite_are_removed(class_folders):
    cache_dir("set").mkdir(parents=True)
    for name in ("index.npz", "thumbnails-0a1b2c3d.jpgs", "opinion-0123456789abcdef.npz"):
        (cache_dir("set") / name).write_bytes(b"old")
    build_index(class_folders)
    assert [path.name for path in cache_dir("set").iterdir()] == ["index.sqlite"]


def test_an_index_that_cannot_be_written_is_said_in_a_sentence(class_folders):
    index_db.index_path("set").mkdir(parents=True)
    assert open_index(class_folders) is None
    with pytest.raises(DataError, match=r"^set cannot be indexed\. The server's disk cannot be written to"):
        build_index(class_folders)


def test_a_set_without_a_readable_picture_has_an_index_too(data_folder):
    for i in range(3):
        (data_folder / "set/with_mask").mkdir(parents=True, exist_ok=True)
        (data_folder / f"set/with_mask/{i}.jpg").write_bytes(b"no picture")
    assert len(build_index(find_dataset("set")).problems) == 3
    index = open_index(find_dataset("set"))
    assert len(index) == 0 and len(index.problems) == 3 and index.thumbnails(np.arange(0)) == []


def test_thumbnails_are_read_when_they_are_shown(class_folders):
    build_index(class_folders)
    with closing(sqlite3.connect(index_db.index_path("set"))) as connection, connection:
        connection.execute("DELETE FROM thumbnails WHERE key = 'with_mask/3.jpg'")
    index = open_index(class_folders)
    shown = index.thumbnails(np.array([index.place_of[f"with_mask/{name}"] for name in ("3.jpg", "1.jpg")]))
    assert shown[0] == b"" and shown[1].startswith(b"\xff\xd8")


def test_an_index_is_read_while_another_connection_writes(class_folders):
    build_index(class_folders)
    with closing(sqlite3.connect(index_db.index_path("set"), isolation_level=None)) as connection:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            pytest.skip("this file system cannot have a writer beside readers")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM images")
        assert len(open_index(class_folders)) == 8
        connection.execute("ROLLBACK")


BUILD = """
import sys, time
from pathlib import Path
from core.datasets import index
from core.datasets.store import find_dataset

index.PER_REPORT = 2
dataset = find_dataset("set")
ready, go = map(Path, sys.argv[1:])
ready.touch()
while not go.exists():
    time.sleep(0.001)
print(len(index.build_index(dataset)))
"""


@pytest.mark.parametrize("before", [None, b"nonsense" * 1000], ids=["no file", "a damaged file"])
@pytest.mark.slow
def test_two_processes_build_at_once(data_folder, before):
    for i in range(40):
        write(data_folder / f"set/{('with_mask', 'without_mask')[i % 2]}/{i}.png", photo(i // 2, (40 + i, 30)))
    if before:
        index_db.index_path("set").parent.mkdir(parents=True)
        index_db.index_path("set").write_bytes(before)
    go, ready = data_folder / "go", [data_folder / f"ready{i}" for i in range(2)]
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, str(path), str(go)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for path in ready
    ]
    try:
        end = time.monotonic() + 60
        while not all(path.exists() for path in ready):
            assert time.monotonic() < end and all(builder.poll() is None for builder in builders)
            time.sleep(0.01)
        go.touch()
        answers = [builder.communicate(timeout=120) for builder in builders]
    finally:
        for builder in builders:
            builder.kill()
    assert answers == [("40\n", ""), ("40\n", "")]
    assert index_db.select("set", "PRAGMA integrity_check") == [("ok",)]
    index = open_index(find_dataset("set"))
    assert sorted(map(len, near_duplicate_groups(index))) == [2] * 20
    assert all(index.thumbnails(np.arange(40)))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(Filter(), ["1", "2 small", "3", "4 dark", "5", "6 large", "7", "8"], id="no condition"),
        pytest.param(Filter(classes=("with_mask",)), ["1", "2 small", "3"], id="a class"),
        pytest.param(Filter(classes=("helmet", "unheard of")), ["8"], id="one of two classes"),
        pytest.param(Filter(splits=("train", "test")), ["4 dark", "5", "6 large", "7", "8"], id="parts"),
        pytest.param(Filter(splits=("",)), ["1", "2 small", "3"], id="not divided"),
        pytest.param(Filter(name=" SMALL"), ["2 small"], id="name in any case"),
        pytest.param(Filter(size_px=(200, 400)), ["1", "2 small", "5"], id="size with both ends"),
        pytest.param(Filter(face_px=(0, 30)), ["5"], id="face size"),
        pytest.param(Filter(brightness=(0, 0.25)), ["4 dark"], id="dark"),
        pytest.param(Filter(near_duplicates=True), ["1", "2 small", "3", "7"], id="near-duplicates"),
        pytest.param(Filter(group_size=(1, 1)), ["4 dark", "5", "6 large", "8"], id="alone"),
        pytest.param(Filter(copy_of="with_mask/3.jpg"), ["3", "7"], id="like this one"),
        pytest.param(Filter(copy_of="gone.jpg"), [], id="like one that is gone"),
        pytest.param(Filter(excluded="excluded"), ["8"], id="excluded"),
        pytest.param(Filter(excluded="kept", splits=("test",)), ["6 large", "7"], id="not excluded, in a part"),
        pytest.param(Filter(disagrees=True), [], id="no model was asked"),
    ],
)
def test_filters(class_folders, wanted, found):
    Edits.load(class_folders.folder).exclude("test/helmet/8.png")
    index = build_index(class_folders)
    assert sorted(keys(index, matching(index, wanted))) == found


def test_conditions_in_words():
    wanted = Filter(("with_mask",), ("test",), "cat", (200, 299), brightness=(0.2, 0.4), group_size=(4, 9))
    assert wanted.in_words({"with_mask": "Mask"}) == (
        'label Mask, part test, "cat" in their name, longer side of 200 to 299 px, brightness of 20 to 40%, '
        "a group of 4 to 9"
    )


def test_facts_leave_out_what_is_set_aside(class_folders):
    Edits.load(class_folders.folder).exclude("test/helmet/8.png")
    numbers = facts(build_index(class_folders))
    assert numbers.totals == {
        "Images": 8, "Classes": 3, "With a near-duplicate": 4, "Excluded": 1, "Unreadable": 1,
    }  # fmt: skip
    assert numbers.labels == {
        ("with_mask", ""): 3, ("without_mask", "train"): 2, ("without_mask", "test"): 2,
    }  # fmt: skip


def test_the_leak_is_the_one_that_training_would_have(data_folder):
    for i in range(40):
        for copy in range(1 + i % 3):
            label = ("with_mask", "without_mask")[i % 2]
            write(data_folder / f"set/{label}/{i}-{copy}.png", photo(i, (40 + 10 * copy, 30)))
    index = build_index(find_dataset("set"))
    leak = leak_of_random_split(index)
    report = split_samples(read_samples(data_folder / "set", 0), "random", 0.2, 0, 42).facts
    assert 0 < leak.leaked == report["test_with_near_copy_in_training"]
    assert leak.tested == sum(report["counts"]["test"].values())


def test_a_set_too_small_to_be_divided_leaks_nothing(annotated):
    assert leak_of_random_split(build_index(annotated)).tested == 0


def test_a_repaired_label_shows_at_once(class_folders, decoded):
    build_index(class_folders)
    before = index_fingerprint(class_folders)
    Edits.load(class_folders.folder).change_label("with_mask/3.jpg", "helmet")
    assert index_fingerprint(class_folders) != before
    decoded.clear()
    index = open_index(class_folders)
    assert sorted(keys(index, matching(index, Filter(classes=("helmet",))))) == ["3", "8"] and not decoded


def test_the_default_split_is_kept(data_folder):
    assert default_split() == "random"
    set_default_split("grouped")
    assert default_split() == "grouped"
    (data_folder / "settings.json").write_text(json.dumps({"split": "by mood"}))
    assert default_split() == "random"
    with pytest.raises(ValueError, match="possible are random and grouped"):
        set_default_split("by mood")


class StubClassifier:
    """Sees a mask in what is bright."""

    def __init__(self, classes=("with_mask", "without_mask"), sha256="a" * 64):
        self.card = SimpleNamespace(name="stub", sha256=sha256, classes=classes, input_size=32, margin=0.1)
        self.faces = 0

    def probabilities(self, crops_rgb):
        assert crops_rgb.shape[1:] == (32, 32, 3) and crops_rgb.dtype == np.uint8
        self.faces += len(crops_rgb)
        first = np.clip(crops_rgb.mean(axis=(1, 2, 3)) / 255, 0.001, 0.999)
        return np.stack([first, 1 - first], axis=1).astype(np.float32)


@pytest.fixture
def light_and_dark(data_folder):
    """A bright picture of each class and a dark one, not quite black; a helmet, of which the stub knows nothing."""
    for i, (label, grey) in enumerate(
        [("with_mask", 250), ("with_mask", 90), ("without_mask", 240), ("without_mask", 5), ("helmet", 250)]
    ):
        write(data_folder / f"set/{label}/{i}.png", np.full((40, 60, 3), grey, np.uint8))
    return find_dataset("set")


def test_the_most_doubtful_label_comes_first(light_and_dark):
    index, classifier = build_index(light_and_dark), StubClassifier()
    assert open_label_issues(index, classifier.card) is None
    opinion = find_issues(index, classifier)
    faces = suspicious(index, opinion)
    assert [index.faces.items[face] for face in faces] == ["without_mask/2.png", "with_mask/1.png"], (
        "of those it doubts"
    )
    assert compared(index, opinion).sum() == 4
    assert opinion.losses[faces[0]] == pytest.approx(-np.log(1 - 240 / 255), rel=0.01)
    helmet = index.faces.items.index("helmet/4.png")
    assert np.isnan(opinion.losses[helmet]) and opinion.prediction(helmet)[0] == "with_mask"
    assert sorted(keys(index, matching(index, Filter(disagrees=True), opinion))) == ["1", "2"]
    tile = face_tiles(index, faces, opinion)[0]
    assert tile.notes == ("Model: ✓ Mask 94%",) and tile.marks[0][0].words == "No mask"


def test_a_model_looks_once_and_a_new_one_looks_again(light_and_dark):
    index, classifier = build_index(light_and_dark), StubClassifier()
    find_issues(index, classifier)
    find_issues(index, classifier)
    assert classifier.faces == 5
    write(light_and_dark.folder / "with_mask/1.png", np.full((40, 60, 3), 200, np.uint8))
    assert open_label_issues(build_index(light_and_dark), classifier.card) is None
    opinion = find_issues(build_index(light_and_dark), classifier)
    assert classifier.faces == 6 and opinion.disagrees.sum() == 1
    assert open_label_issues(index, StubClassifier(sha256="b" * 64).card) is None


def test_only_what_can_be_shown_is_kept_of_a_model(annotated):
    find_issues(build_index(annotated), StubClassifier(sha256="a" * 64))
    (annotated.folder / "labels/a.txt").write_text("0 0.25 0.5 0.2 0.6\n")
    index, newer = build_index(annotated), StubClassifier(sha256="b" * 64)
    find_issues(index, newer)
    for table in ("label_issues", "crops"):
        kept = index_db.select("boxes", f"SELECT model, item FROM {table}")
        assert kept == [("b" * 64, "images/a.png#0")]
    (annotated.folder / "labels/a.txt").write_text("")
    assert label_issues_fingerprint(index, newer.card) != 0
    find_issues(build_index(annotated), newer)
    assert index_db.select("boxes", "SELECT item FROM label_issues UNION SELECT item FROM crops") == []


def test_a_repair_settles_a_doubt_without_asking_again(light_and_dark):
    classifier = StubClassifier()
    find_issues(build_index(light_and_dark), classifier)
    edits = Edits.load(light_and_dark.folder)
    edits.change_label("without_mask/2.png", "with_mask")
    edits.exclude("with_mask/1.png")
    index = open_index(light_and_dark)
    opinion = open_label_issues(index, classifier.card)
    assert not opinion.disagrees[suspicious(index, opinion)].any() and opinion.disagrees.sum() == 1


def test_predictions_stay_when_a_face_is_drawn(annotated):
    classifier = StubClassifier()
    find_issues(build_index(annotated), classifier)
    Edits.load(annotated.folder).add_faces([NewFace("images/a.png", (1, 1, 20, 20), "with_mask")])
    index = open_index(annotated)
    opinion = open_label_issues(index, classifier.card)
    new = index.faces.items.index("images/a.png#1000000")
    assert opinion.prediction(new) is None and np.isnan(opinion.losses[new])
    assert (
        sum(opinion.prediction(face) is not None for face in range(len(index.faces.items)))
        == len(index.faces.items) - 1
    )
    find_issues(index, classifier)
    assert open_label_issues(index, classifier.card).prediction(new) is not None


def test_what_was_classified_before_a_stop_is_kept(light_and_dark, monkeypatch):
    monkeypatch.setattr("core.datasets.indexed_faces.PER_REPORT", 2)
    index, classifier = build_index(light_and_dark), StubClassifier()

    def stop_soon(done, total, text):
        if done >= 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        find_issues(index, classifier, stop_soon)
    assert open_label_issues(index, classifier.card) is None
    find_issues(index, classifier)
    assert classifier.faces == 5


def test_faces_of_annotated_pictures(annotated):
    Edits.load(annotated.folder).exclude("images/a.png#1")
    index = build_index(annotated)
    assert index.faces.items == ("images/a.png#0", "images/a.png#1")
    assert index.faces.label.tolist() == ["with_mask", "helmet"] and index.faces.excluded.tolist() == [False, True]
    assert index.faces.size_px[0] == pytest.approx(40)
    assert index.picture_and_face("images/a.png#1") == ("images/a.png", 1)
    assert index.picture_and_face("images/b.png") == ("images/b.png", 0)
    assert keys(index, matching(index, Filter(face_px=(35, 45), classes=("with_mask",)))) == ["a"]
    assert keys(index, matching(index, Filter(face_px=(35, 45), classes=("helmet",)))) == []
    opinion = find_issues(index, StubClassifier())
    assert all(opinion.jpegs(np.arange(2))) and opinion.probabilities.shape == (2, 2)
    first, none = image_tiles(index, np.array([0, 1]), opinion)
    assert len(first.boxes) == 2 and none.boxes == () and first.notes[-1] == "1 excluded"
    assert all(0 <= share <= 1 for box in first.boxes for share in box.xyxy)
    assert [f"{style.words}{text}" for style, text in first.marks] == ["Mask 1", "Helmet 1"]
    details = image_details(index, "images/a.png", 1, opinion)
    assert [face.excluded for face in details.faces] == [False, True] and details.chosen == 1
    assert [box.text for box in details.tile.boxes] == ["1", "2"]
    assert image_details(index, "images/b.png", 3).faces == ()


def test_views_of_a_face_follow_the_seed(annotated, class_folders):
    for dataset in (annotated, class_folders):
        sample = face_sample(build_index(dataset), 0, TrainConfig.margin)
        sheet = augmentation_sheet(sample, REPORT, 1, (2, 3), 48)
        assert sheet.shape == (96, 144, 3) and (sheet == augmentation_sheet(sample, REPORT, 1, (2, 3), 48)).all()
        assert (sheet != augmentation_sheet(sample, REPORT, 2, (2, 3), 48)).any()
    still = dataclasses.replace(REPORT, rotation_deg=0, zoom=(1, 1), shift=0, shear_deg=0, flip=False)
    first, second = np.hsplit(augmentation_sheet(sample, still, 1, (1, 2), 48), 2)
    assert (first == second).all()


def test_a_tile_keeps_text_as_text(class_folders):
    folder = class_folders.folder / "<b>evil</b>"
    write(folder / "x.png", photo(20))
    index = build_index(class_folders)
    tile = image_tiles(index, np.array([index.place_of["<b>evil</b>/x.png"]]))[0].for_browser()
    assert tile["name"] == "<b>evil</b>/x.png" and tile["src"].startswith("data:image/jpeg;base64,")
    json.dumps(tile)


def test_a_bar_stands_for_what_it_counts():
    figure = histogram("Sizes", np.array([250, 299, 300, 5000]), (1, 200, 300, 400, 4000, 100_000))
    bars = list(zip(figure.data[0].customdata, figure.data[0].y, strict=True))
    assert [count for _, count in bars] == [2, 1, 0, 1]
    assert bars[0][0][0] == 200 and 299 < bars[0][0][1] < 300
    figure = class_counts({("a", "train"): 3, ("a", "test"): 1, ("b", "train"): 2}, {"a": "A", "b": "B"})
    assert [(bar.name, list(bar.x)) for bar in figure.data] == [("Training", [3, 2]), ("Test", [1, 0])]
    assert figure.data[1].customdata[0] == ["a", "test"]
    figure = group_sizes(np.array([1, 2, 2, 5, 5, 5, 5, 5]))
    assert list(figure.data[0].y) == [1, 2, 0, 5, 0]
    assert len(histogram("None", np.array([]), (0, 1, 2)).data[0].y) == 0


@pytest.mark.parametrize(
    ("selection", "bar"),
    [
        pytest.param({"selection": {"points": [{"customdata": ["a", ""]}]}}, ["a", ""], id="a bar"),
        pytest.param({"selection": {"points": [{"customdata": {"0": 1, "1": 2}}]}}, [1, 2], id="numbered"),
        pytest.param({"selection": {"points": []}}, None, id="a click beside the bars"),
        pytest.param(None, None, id="nothing yet"),
    ],
)
def test_what_was_clicked(selection, bar):
    assert clicked(selection) == bar
