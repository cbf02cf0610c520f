"""Near-duplicates on which a person decides: which contradict each other, which stay, what training then reads."""

import pytest

from core.access import AccessError, Role
from core.datasets.duplicates import copies, copies_to_exclude, other_copies
from core.datasets.edits import Edits
from core.datasets.faces import read_photos, read_samples
from core.datasets.index import build_index, open_index
from core.datasets.store import find_dataset
from core.vision.images import encode_image
from tests.helpers import noise_picture, voc_xml


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    return tmp_path


def write(path, seed, size_wh=(80, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(noise_picture(seed, size_wh), path.suffix))


@pytest.fixture
def doubles(data_folder):
    """Three copies of one face, the middle one the largest; two of which one is a test image; three that contradict."""
    for name, size_wh in (("a", (80, 60)), ("b", (160, 120)), ("c", (80, 60))):
        write(data_folder / f"set/train/with_mask/{name}.png", 1, size_wh)
    write(data_folder / "set/train/without_mask/d.png", 2, (320, 240))
    write(data_folder / "set/test/without_mask/e.png", 2)
    for label, name in (("with_mask", "f"), ("without_mask", "g"), ("without_mask", "h")):
        write(data_folder / f"set/train/{label}/{name}.png", 3)
    write(data_folder / "set/train/with_mask/alone.png", 4)
    return find_dataset("set")


def names(keys):
    return [key.rpartition("/")[2].split(".")[0] for key in keys]


def groups_of(index):
    return [names(index.pictures[place].key for place in group.places) for group in copies(index)]


def test_contradicting_groups_come_first_then_the_largest(doubles):
    index = build_index(doubles)
    assert groups_of(index) == [["f", "g", "h"], ["b", "a", "c"], ["e", "d"]], "the one to keep before its copies"
    assert [group.contradicts for group in copies(index)] == [True, False, False]
    assert [group.left for group in copies(index)] == [3, 3, 2]


def test_the_largest_stays_and_the_test_part_as_large_as_it_is(doubles):
    index = build_index(doubles)
    agreeing = [group for group in copies(index) if not group.contradicts]
    assert sorted(names(copies_to_exclude(index, agreeing))) == ["a", "c", "d"]
    assert names(copies_to_exclude(index, copies(index)[:1])) == ["h"], "of a group that contradicts, one of each label"


def test_training_reads_one_of_each_group_until_that_is_undone(doubles):
    index, edits = build_index(doubles), Edits.load(doubles.folder)
    edits.exclude(copies_to_exclude(index, [group for group in copies(index) if not group.contradicts]))
    left = names(sample.key for sample in read_samples(doubles.folder, 0.1, 0))
    assert sorted(left) == ["alone", "b", "e", "f", "g", "h"]
    index = open_index(doubles)
    assert [(group.left, group.is_open) for group in copies(index)] == [(3, True), (1, False), (1, False)]
    assert edits.undo() == "3 images excluded"
    assert len(read_samples(doubles.folder, 0.1, 0)) == 9


def test_a_person_keeps_one_and_nothing_contradicts_any_more(doubles):
    index, edits = build_index(doubles), Edits.load(doubles.folder)
    edits.exclude("train/with_mask/f.png")
    index = index.with_edits()
    others = other_copies(index, ["train/with_mask/f.png", "gone.png"])
    assert names(others) == ["g", "h"]
    edits.keep_alone(["train/with_mask/f.png"], others)
    first = copies(index.with_edits())
    assert not any(group.contradicts for group in first)
    assert edits.excluded == {"train/without_mask/g.png", "train/without_mask/h.png"}, "and the kept one is not"
    assert edits.undo() == "3 images: choice of the copy to keep" and edits.excluded == {"train/with_mask/f.png"}


def test_only_operators_exclude_copies(doubles, monkeypatch):
    edits = Edits.load(doubles.folder)
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    for change in (lambda: edits.keep_alone(["a"], ["b"]), lambda: edits.exclude(["a"])):
        with pytest.raises(AccessError):
            change()
    assert not edits.changed()


def test_annotated_copies_contradict_where_faces_of_a_class_differ_in_number(data_folder):
    boxes = {"a": ["with_mask", "without_mask"], "b": ["without_mask", "with_mask"], "c": ["with_mask"]}
    (data_folder / "boxes/annotations").mkdir(parents=True)
    for name, labels in boxes.items():
        write(data_folder / f"boxes/images/{name}.png", 1, (160, 120))
        objects = [(label, (10 + 50 * i, 10, 50 + 50 * i, 60)) for i, label in enumerate(labels)]
        (data_folder / f"boxes/annotations/{name}.xml").write_text(voc_xml(objects, (160, 120)))
    dataset = find_dataset("boxes")
    index = build_index(dataset)
    (group,) = copies(index)
    assert sorted(map(len, group.by_label)) == [1, 2], "the order of the faces says nothing"
    Edits.load(dataset.folder).keep_alone(["images/a.png"], other_copies(index, ["images/a.png"]))
    assert [photo.path.name for photo in read_photos(dataset.folder)] == ["a.png"]
