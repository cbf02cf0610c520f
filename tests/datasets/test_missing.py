"""Faces that nobody annotated: searched for, suggested, labelled, and read by training and evaluation."""

import pytest

from core.datasets import index_db
from core.datasets.edits import Edits, NewFace
from core.datasets.faces import annotated_photos
from core.datasets.index import build_index, open_index
from core.datasets.missing import Find, Finder, is_same_face, missing_faces, search, second_finder
from core.datasets.store import find_dataset, read_pictures
from core.jobs import Cancelled
from core.vision.detections import make_detections
from core.vision.model_card import ModelError
from tests.helpers import write_voc
from train.detector.dataset import load_scenes
from train.evaluate import evaluate

KNOWN, LIKELY, DOUBTFUL = (10, 10, 50, 60), (60, 10, 100, 60), (110, 60, 150, 110)


@pytest.fixture
def crowd(tmp_path, monkeypatch):
    """Two photos of 160×120, of whose three faces each only the first is annotated."""
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    write_voc(tmp_path / "crowd", {name: [("with_mask", KNOWN)] for name in ("a", "b")})
    dataset = find_dataset("crowd")
    build_index(dataset)
    return dataset


class Stub:
    """Finds the three faces everywhere."""

    def __init__(self):
        self.calls = 0

    def __call__(self, frame_bgr):
        assert frame_bgr.shape == (120, 160, 3)
        self.calls += 1
        return [
            Find(12, 8, 52, 58, 0.95, "with_mask", 0.9),
            Find(*DOUBTFUL, 0.3, "with_mask", 0.6),
            Find(*LIKELY, 0.8, "without_mask", 0.9),
        ]


def boxes(found, key="images/a.jpg"):
    return [each.box for each in found.suggestions if each.picture == key]


def test_what_nobody_labelled_is_suggested_likeliest_first_and_kept(crowd):
    stub = Stub()
    search(open_index(crowd), [Finder("one", stub)])
    found = missing_faces(open_index(crowd), ["one"])
    assert found.searched == found.pictures == 2 and boxes(found) == [LIKELY, DOUBTFUL] == boxes(found, "images/b.jpg")
    assert [each.score for each in found.suggestions] == [0.8, 0.8, 0.3, 0.3]
    assert found.suggestions[0].label == "without_mask" and found.suggestions[0].place == 0
    search(open_index(crowd), [Finder("one", stub)])
    assert stub.calls == 2, "no picture is looked at twice"
    assert missing_faces(open_index(crowd), ["another"]).searched == 0
    search(open_index(crowd), [Finder("another", stub)])
    assert index_db.select("crowd", "SELECT DISTINCT finder FROM found") == [("another",)]


def test_every_decision_takes_a_suggestion_away_and_undo_brings_it_back(crowd):
    search(open_index(crowd), [Finder("one", Stub())])
    edits = Edits.load(crowd.folder)
    edits.add_faces([NewFace("images/a.jpg", LIKELY, "without_mask")])
    edits.add_faces([NewFace("images/a.jpg", DOUBTFUL, "with_mask", removed=True)])
    edits.add_faces([NewFace("images/b.jpg", (58, 8, 90, 70), "with_mask", excluded=True)])
    index = open_index(crowd)
    assert boxes(missing_faces(index, ["one"])) == [] and boxes(missing_faces(index, ["one"]), "images/b.jpg") == [
        DOUBTFUL
    ]
    edits.remove("images/a.jpg#0")  # nor is suggested again what a person removed
    assert boxes(missing_faces(open_index(crowd), ["one"])) == []
    for _ in range(4):
        edits.undo()
    assert len(missing_faces(open_index(crowd), ["one"]).suggestions) == 4
    edits.exclude("images/a.jpg")
    assert missing_faces(open_index(crowd), ["one"]).pictures == 1


def test_two_detectors_that_agree_make_a_face_likelier(crowd):
    finders = [
        Finder("one", Stub()),
        Finder("two", lambda frame: [Find(108, 62, 148, 112, 0.9), Find(2, 80, 8, 86, 0.9)]),
    ]
    search(open_index(crowd), finders)
    found = missing_faces(open_index(crowd), ["one", "two"])
    assert boxes(found) == [DOUBTFUL, LIKELY], "and what is tiny is left out"
    assert found.suggestions[0].score == pytest.approx(0.93) and found.suggestions[0].label == "with_mask"


def test_a_search_that_is_stopped_goes_on_where_it_was(crowd, monkeypatch):
    monkeypatch.setattr("core.datasets.missing.PER_REPORT", 1)

    def stop_soon(done, total, text):
        assert total == 2
        if done == 1:
            raise Cancelled

    stub = Stub()
    with pytest.raises(Cancelled):
        search(open_index(crowd), [Finder("one", stub)], stop_soon)
    found = missing_faces(open_index(crowd), ["one"])
    assert (found.searched, found.pictures, len(found.suggestions)) == (1, 2, 2)
    search(open_index(crowd), [Finder("one", stub)])
    assert stub.calls == 2


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        pytest.param(KNOWN, (14, 12, 56, 62), True, id="overlap"),
        pytest.param((0, 0, 100, 120), (35, 50, 75, 90), True, id="a head and its face"),
        pytest.param((0, 0, 100, 120), (70, 80, 90, 100), False, id="a small face before a large one"),
        pytest.param(KNOWN, LIKELY, False, id="side by side"),
    ],
)
def test_boxes_of_the_same_face(a, b, same):
    assert is_same_face([a], [b]).tolist() == is_same_face([b], [a]).tolist() == [[same]]
    assert is_same_face([], [a]).shape == (0, 1)


def test_a_completed_label_changes_what_evaluation_and_training_read(crowd):
    def score():
        photos = annotated_photos(read_pictures(crowd.folder), crowd.folder)
        return evaluate(photos, lambda frame: make_detections([KNOWN, LIKELY], [0, 1]))

    def scenes():
        split = load_scenes([str(crowd.folder)], None, (), 0.0, 0)
        return {scene.path.stem: scene for scene in split.train}

    before = score()
    assert (before.faces, before.found, before.false_alarms_per_photo) == (2, 1.0, 1.0)
    assert len(scenes()["a"].faces_xyxy) == 1
    edits = Edits.load(crowd.folder)
    edits.add_faces([NewFace("images/a.jpg", LIKELY, "without_mask"), NewFace("images/a.jpg", DOUBTFUL, "with_mask")])
    edits.add_faces([NewFace("images/b.jpg", LIKELY, "without_mask", excluded=True)])
    after = score()
    assert (after.faces, after.found, after.false_alarms_per_photo) == (4, 0.75, 0.0), "not sure: neither hit nor miss"
    found = scenes()
    assert found["a"].class_id.tolist() == [0, 1, 0] and found["b"].class_id.tolist() == [0]
    assert found["b"].ignored[:, :4].tolist() == [list(LIKELY)] and found["b"].ignored[0, 4] == 0
    while edits.undo():
        pass
    assert score().faces == 2 and len(scenes()["b"].ignored) == 0


def test_no_detector_makes_a_face_of_what_a_person_rejected(crowd, tmp_path):
    from core.io import write_json

    rows = [[*DOUBTFUL, 0.9], [*LIKELY, 0.9, 0.98, 0.01, 0.01]]
    write_json(tmp_path / "found.json", {"crowd/images/a.jpg": rows, "crowd/images/b.jpg": rows})
    edits = Edits.load(crowd.folder)
    edits.add_faces([NewFace("images/a.jpg", box, "with_mask", removed=True) for box in (LIKELY, DOUBTFUL)])
    split = load_scenes([str(crowd.folder)], str(tmp_path / "found.json"), (), 0.0, 0)
    by_name = {scene.path.stem: (len(scene.faces_xyxy), len(scene.ignored)) for scene in split.train}
    assert by_name == {"a": (1, 0), "b": (2, 1)}


def test_a_second_detector_that_is_none_gets_a_sentence(tmp_path):
    (tmp_path / "yunet.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded as a YuNet"):
        second_finder(tmp_path / "yunet.onnx")
