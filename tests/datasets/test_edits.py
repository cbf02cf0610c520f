import json
import tempfile

import pytest

from core.datasets.edits import Edits, NewFace, step_words
from core.datasets.faces import DataError, read_samples
from core.datasets.store import apply_edits, delete_dataset, edits_path, link_folder, publish, read_pictures
from core.language import using
from tests.helpers import run_together, write_class_folders, write_voc


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    return write_class_folders(tmp_path / "set", 3)


def labels(folder):
    return [sample.label for sample in read_samples(folder, 0.15)]


def test_edits_change_what_is_read_and_not_the_files(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*.jpg")}
    edits = Edits.load(folder)
    edits.change_label("with_mask/000.jpg", "  half\na mask ")
    edits.exclude("without_mask/002.jpg")
    assert labels(folder) == ["half a mask", "with_mask", "with_mask", "without_mask", "without_mask"]
    pictures = read_pictures(folder)
    assert pictures[0].labels == ("half a mask",) and pictures[0].key == "with_mask/000.jpg"
    assert [picture.excluded for picture in pictures] == [False] * 5 + [True]
    unchanged = read_pictures(folder, with_edits=False)
    assert unchanged[0].labels == ("with_mask",)
    again = apply_edits(unchanged, Edits.load(folder))
    assert [(p.labels, p.excluded) for p in again] == [(p.labels, p.excluded) for p in pictures]
    assert before == {path: path.read_bytes() for path in folder.rglob("*.jpg")}


def test_single_faces_of_annotated_pictures(tmp_path):
    boxes = [("with_mask", (1, 1, 50, 50)), ("without_mask", (60, 1, 110, 50)), ("with_mask", (60, 60, 110, 110))]
    folder = write_voc(tmp_path / "voc", {"a": boxes, "b": boxes[:1]})
    edits = Edits.load(folder)
    edits.exclude("images/a.jpg#0")
    edits.change_label("images/a.jpg#2", "helmet")
    first, second = read_pictures(folder)
    assert first.labels == ("with_mask", "without_mask", "helmet") and first.excluded_faces == (0,)
    assert len(first.xyxy) == 3 and not first.excluded and second.excluded_faces == ()
    samples = read_samples(folder, 0.15)
    assert [(sample.key, sample.label) for sample in samples] == [
        ("images/a.jpg#1", "without_mask"),
        ("images/a.jpg#2", "helmet"),
        ("images/b.jpg#0", "with_mask"),
    ]
    edits.exclude("images/a.jpg")
    assert [sample.key for sample in read_samples(folder, 0.15)] == ["images/b.jpg#0"]


def test_every_step_can_be_undone(folder):
    edits = Edits.load(folder)
    assert edits.undo() is None
    edits.change_label("with_mask/000.jpg", "one")
    edits.change_label("with_mask/000.jpg", "{two}")
    edits.exclude(["with_mask/000.jpg", "with_mask/001.jpg"])
    edits.exclude("with_mask/000.jpg")  # it is already: no step
    edits.revert("with_mask/000.jpg")
    assert labels(folder).count("with_mask") == 2 and len(edits.history) == 4
    assert edits.undo() == "with_mask/000.jpg as it was"
    assert edits.labels == {"with_mask/000.jpg": "{two}"} and len(edits.excluded) == 2
    assert edits.undo() == "2 images excluded"
    assert edits.excluded == set()
    assert edits.undo() == "with_mask/000.jpg is now {two}"
    assert edits.labels == {"with_mask/000.jpg": "one"}
    assert edits.undo() and edits.undo() is None
    assert labels(folder) == ["with_mask"] * 3 + ["without_mask"] * 3


def test_a_step_is_told_in_the_language_of_who_reads_it_and_kept_in_english(folder):
    edits = Edits.load(folder)
    with using("fr"):
        edits.change_label(["with_mask/000.jpg", "with_mask/001.jpg"], "one")
    (step,) = Edits.load(folder).history
    assert step["what"] == step_words(step) == "2 images is now one"
    with using("fr"):
        assert step_words(step) == "2 images\N{NO-BREAK SPACE}: désormais one"
        assert step_words({"what": "of an earlier version", "before": {}}) == "of an earlier version"


@pytest.mark.parametrize(
    ("items", "what", "told", "words"),
    [
        (["a.jpg", "b.jpg"], "2 images excluded or kept", ["{name} excluded or kept", ""],
         "2 images\N{NO-BREAK SPACE}: choix de la copie à garder"),
        (["a.jpg"], "a.jpg: which of these copies is kept", ["{name}: which of these copies is kept", ""],
         "a.jpg\N{NO-BREAK SPACE}: choix de la copie à garder"),
        (["a.jpg", "b.jpg"], "2 images excluded or kept", None,
         "2 images\N{NO-BREAK SPACE}: choix de la copie à garder"),
        (["a.jpg#1", "a.jpg#2"], "2 faces is now {name}", None, "2 visages\N{NO-BREAK SPACE}: désormais {name}"),
        (["{label}.jpg"], "{label}.jpg is now a b", None, "{label}.jpg\N{NO-BREAK SPACE}: désormais a b"),
        (["a.jpg"], "a.jpg set aside", None, "a.jpg\N{NO-BREAK SPACE}: mise à l’écart"),
        (["a.jpg"], "a.jpg did what nobody knows", None, "a.jpg did what nobody knows"),
        (["a.jpg"], "b.jpg excluded", None, "b.jpg excluded"),
        ([], "0 images excluded", ["{name} excluded", ""], "0 images excluded"),
    ],
)  # fmt: skip
def test_steps_of_earlier_versions_are_told_in_french_and_kept_as_they_were(folder, items, what, told, words):
    edits = Edits.load(folder)
    edits.exclude("with_mask/000.jpg")
    data = json.loads(edits.path.read_text())
    step = {"what": what, "before": {item: [None, False] for item in items}} | ({"told": told} if told else {})
    edits.path.write_text(json.dumps(data | {"history": [step]}))
    (read,) = Edits.load(folder).history
    with using("fr"):
        assert step_words(read) == words
    edits.exclude("with_mask/001.jpg")
    assert json.loads(edits.path.read_text())["history"][0]["what"] == what


def test_two_visitors_do_not_overwrite_each_other(folder):
    first, second = Edits.load(folder), Edits.load(folder)
    first.exclude("with_mask/000.jpg")
    second.change_label("with_mask/001.jpg", "other")
    again = Edits.load(folder)
    assert again.excluded == {"with_mask/000.jpg"} and again.labels == {"with_mask/001.jpg": "other"}
    first.undo()
    assert Edits.load(folder).labels == {}


def test_an_empty_label_is_refused(folder):
    with pytest.raises(DataError, match="Type a class name"):
        Edits.load(folder).change_label("with_mask/000.jpg", " \n ")
    assert not edits_path(folder).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"labels": {}}', '{"labels": {"a": [1]}, "aside": [], "history": []}'])
def test_a_damaged_file_is_not_taken_for_no_edits(folder, text):
    edits_path(folder).write_text(text)
    with pytest.raises(DataError, match=r"set\.repairs\.json.*damaged"):
        read_samples(folder, 0.15)


def test_the_file_is_small_and_plain(folder):
    Edits.load(folder).exclude("with_mask/000.jpg")
    assert edits_path(folder) == folder.parent / "set.repairs.json"
    assert json.loads(edits_path(folder).read_text())["aside"] == ["with_mask/000.jpg"]


def test_two_apps_on_one_data_folder_lose_nothing(folder):
    """Not even with a set of an earlier version, which gets its id meanwhile."""
    run_together(
        """
from core.datasets.edits import Edits, NewFace
# together
edits = Edits.load(folder / "set")
for i in range(10):
    edits.change_label(f"{me}/{i}.jpg", "other")
""",
        folder.parent,
    )
    edits = Edits.load(folder)
    assert len(edits.labels) == len(edits.history) == 20


# To whom edits belong


def test_a_set_of_an_earlier_version_gets_an_id_and_keeps_its_edits(folder):
    old = {"labels": {"with_mask/000.jpg": "other"}, "aside": ["with_mask/001.jpg"], "history": []}
    edits_path(folder).write_text(json.dumps(old))
    assert Edits.load(folder).labels == old["labels"]
    kept = json.loads(edits_path(folder).read_text())
    assert kept.pop("set") == json.loads((folder / ".identity.json").read_text())["id"] and kept == old
    Edits.load(folder).undo()
    assert labels(folder) == ["other", "with_mask", "without_mask", "without_mask", "without_mask"]


def test_a_new_set_of_the_same_name_inherits_nothing(folder):
    before = Edits.load(folder)
    before.change_label("with_mask/000.jpg", "other")
    stale = edits_path(folder).read_text()
    delete_dataset("set")
    with pytest.raises(DataError, match="no longer there"):
        before.exclude("with_mask/001.jpg")
    assert not folder.exists() and not edits_path(folder).exists()
    publish(write_class_folders(folder.parent / ".made", 3), "set", {})
    edits_path(folder).write_text(stale)  # as if the deletion had been killed
    assert Edits.load(folder).labels == {} and labels(folder) == ["with_mask"] * 3 + ["without_mask"] * 3
    for change in (before.undo, lambda: before.revert("with_mask/000.jpg")):
        with pytest.raises(DataError, match="no longer there"):
            change()
    Edits.load(folder).exclude("with_mask/002.jpg")
    assert (Edits.load(folder).labels, Edits.load(folder).excluded) == ({}, {"with_mask/002.jpg"})


def test_a_linked_folder_has_its_id_in_the_link(folder, tmp_path, monkeypatch):
    elsewhere = write_class_folders(tmp_path / "server" / "real", 1)
    monkeypatch.setenv("MASK_ALLOWED_DIRS", str(tmp_path / "server"))
    link_folder(elsewhere, "linked")
    first = Edits.load(elsewhere)
    first.exclude("with_mask/000.jpg")
    link = folder.parent / "linked.link.json"
    assert json.loads(edits_path(elsewhere).read_text())["set"] == json.loads(link.read_text())["id"]
    link.write_text(json.dumps({"folder": str(elsewhere)}))  # of an earlier version
    assert Edits.load(elsewhere).excluded == {"with_mask/000.jpg"} and "id" in json.loads(link.read_text())
    delete_dataset("linked")
    with pytest.raises(DataError, match="no longer there"):
        first.exclude("without_mask/000.jpg")
    assert not link.exists() and list(elsewhere.glob(".*")) == []


def test_a_change_that_cannot_be_written_has_not_happened(folder, monkeypatch):
    edits = Edits.load(folder)
    edits.exclude("with_mask/000.jpg")
    kept = edits_path(folder).read_text()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as during:
        during.setattr("pathlib.Path.write_text", full)
        for change in (edits.undo, lambda: edits.change_label("with_mask/001.jpg", "x")):
            with pytest.raises(OSError, match="No space"):
                change()
            assert (edits.excluded, edits.labels, len(edits.history)) == ({"with_mask/000.jpg"}, {}, 1)
    assert edits_path(folder).read_text() == kept
    assert not [path for path in folder.parent.iterdir() if "partial" in path.name]


def test_a_disk_that_is_only_read_still_shows_what_was_edited(folder, monkeypatch):
    edits_path(folder).write_text('{"labels": {"with_mask/000.jpg": "other"}, "aside": [], "history": []}')

    def only_read(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", only_read)
    assert labels(folder)[0] == "other"


def test_a_set_whose_folder_is_only_read_is_edited_beside_it(folder, monkeypatch):
    edits_path(folder).write_text('{"labels": {"with_mask/000.jpg": "other"}, "aside": [], "history": []}')
    make = tempfile.mkstemp

    def only_read(dir, **named):
        if dir == folder:
            raise OSError(30, "Read-only file system")
        return make(dir=dir, **named)

    monkeypatch.setattr("tempfile.mkstemp", only_read)
    for name in ("with_mask/001.jpg", "with_mask/002.jpg"):
        Edits.load(folder).exclude(name)
    edits = Edits.load(folder)
    assert len(edits.excluded) == 2 and edits.labels == {"with_mask/000.jpg": "other"}
    assert not (folder / ".identity.json").exists()


FACE, OTHER, THIRD = (1, 1, 51, 51), (60, 1, 110, 51), (60, 60, 110, 110)


@pytest.fixture
def voc(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    boxes = [("with_mask", FACE), ("without_mask", OTHER)]
    return write_voc(tmp_path / "voc", {"a": boxes, "b": boxes[:1]})


def faces_of(folder):
    return [(picture.item(i), label) for picture in read_pictures(folder) for i, label in enumerate(picture.labels)]


def test_faces_are_added_moved_and_removed(voc):
    edits = Edits.load(voc)
    original = faces_of(voc)
    assert edits.add_faces([NewFace("images/a.jpg", THIRD, "without_mask"), NewFace("images/a.jpg", OTHER, "x")]) == [
        "images/a.jpg#1000000",
        "images/a.jpg#1000001",
    ]
    edits.add_faces([NewFace("images/b.jpg", OTHER, "with_mask", excluded=True)])
    edits.add_faces([NewFace("images/b.jpg", THIRD, "with_mask", removed=True)])
    edits.remove(["images/a.jpg#0", "images/a.jpg#1000001"])
    edits.move("images/a.jpg#1", (62, 3, 112, 53))
    first, second = read_pictures(voc)
    assert faces_of(voc)[:2] == [("images/a.jpg#1", "without_mask"), ("images/a.jpg#1000000", "without_mask")]
    assert first.xyxy.tolist() == [[62, 3, 112, 53], list(THIRD)] and first.edited == (0, 1)
    assert len(first.no_face_xyxy) == 2 and first.counted == (0, 1)
    assert second.counted == (0,) and second.excluded_faces == (1,) and second.no_face_xyxy.tolist() == [list(THIRD)]
    assert [sample.key for sample in read_samples(voc, 0.15)] == [
        "images/a.jpg#1",
        "images/a.jpg#1000000",
        "images/b.jpg#0",
    ]
    assert Edits.load(voc).add_faces([NewFace("images/a.jpg", THIRD, "x")]) == ["images/a.jpg#1000002"], "never reused"
    edits.accept("images/b.jpg#1000000", "without_mask")
    assert read_pictures(voc)[1].counted == (0, 1)
    edits.revert(["images/a.jpg#0", "images/a.jpg#1000000"])
    assert ("images/a.jpg#0", "with_mask") in faces_of(voc) and "images/a.jpg#1000000" not in dict(faces_of(voc))
    undone = []
    while (what := edits.undo()) is not None:
        undone.append(what)
    assert faces_of(voc) == original and "2 faces removed" in undone and "images/b.jpg#1000001 is no face" in undone


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (1, 2, float("nan"), 4), (1, 2, 3), (1, 2, 10**400, 9)])
def test_a_box_without_an_area_is_refused(voc, box):
    edits = Edits.load(voc)
    with pytest.raises(DataError, match="Draw a larger box"):
        edits.add_faces([NewFace("images/a.jpg", box, "with_mask")])
    with pytest.raises(DataError, match="Draw a larger box"):
        edits.move("images/a.jpg#0", box)
    assert edits.history == []


def test_edits_of_earlier_versions_are_read_and_undone(voc):
    edits = Edits.load(voc)
    edits.change_label("images/a.jpg#0", "helmet")
    data = json.loads(edits.path.read_text())
    del data["boxes"], data["removed"]
    data["history"][0]["before"] = {"images/a.jpg#0": [None, False]}
    edits.path.write_text(json.dumps(data))
    edits = Edits.load(voc)
    assert edits.labels == {"images/a.jpg#0": "helmet"}
    edits.undo()
    assert not edits.changed() and not edits.history


@pytest.mark.parametrize(
    "wrong", [{"boxes": {"images/a.jpg#1000000": [1, 1, 9, 9]}}, {"boxes": {"x": [9, 1, 1, 9]}}, {"removed": 3}]
)
def test_boxes_that_cannot_be_used_are_told(voc, wrong):
    edits = Edits.load(voc)
    edits.exclude("images/a.jpg")
    edits.path.write_text(json.dumps(json.loads(edits.path.read_text()) | wrong))
    with pytest.raises(DataError, match="damaged"):
        Edits.load(voc)
