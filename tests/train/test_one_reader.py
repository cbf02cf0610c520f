"""Whatever trains or evaluates reads labels in one way: in any layout, as a person changed them on the data page."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import supervision as sv

from core.datasets.edits import Edits
from core.datasets.faces import DataError, plain_view, read_photos, read_samples
from core.vision.classes import CLASS_NAMES, WITH_MASK, WITHOUT_MASK
from core.vision.detections import make_detections
from core.vision.haar import HaarSettings
from tests.helpers import noise_picture, voc_xml, write_class_folders, write_voc
from train import evaluate, tune_haar
from train.compare import find_faces, read_crops
from train.detector.dataset import load_scenes
from train.detector.operating_points import read_validation
from train.detector.pseudo_boxes import find_all
from train.estimate import count_faces

LEFT, RIGHT = (11, 21, 60, 80), (91, 21, 140, 80)
LEFT_XYXY, RIGHT_XYXY = [10, 20, 60, 80], [90, 20, 140, 80]


def write_voc_set(folder):
    return write_voc(folder, {"a": [("with_mask", LEFT), ("without_mask", RIGHT)], "b": [("with_mask", LEFT)]})


def as_dataset(folder):
    """The same photos and boxes for supervision's writers."""
    source = write_voc_set(folder)
    return sv.DetectionDataset.from_pascal_voc(str(source / "images"), str(source / "annotations"))


def write_yolo_set(folder):
    as_dataset(folder.parent / "source").as_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml")
    )
    return folder


def write_coco_set(folder):
    as_dataset(folder.parent / "source").as_coco(str(folder / "images"), str(folder / "instances.json"))
    return folder


LAYOUTS = [
    pytest.param(write_voc_set, id="Pascal VOC"),
    pytest.param(write_yolo_set, id="YOLO"),
    pytest.param(write_coco_set, id="COCO"),
]


def scenes(folder, boxes=None, labels=None):
    split = load_scenes([str(folder)], boxes, (), 0.0, 0, labels=labels)
    return {scene.path.stem: scene for scene in [*split.train, *split.val]}


@pytest.fixture
def evaluated(monkeypatch):
    """``train.evaluate`` with a detector that says of every photo: one mask on the left, one bare face on the right."""
    said = make_detections([LEFT_XYXY, RIGHT_XYXY], [WITH_MASK, WITHOUT_MASK])
    monkeypatch.setattr(evaluate, "build_pipeline", lambda name, model: None)
    monkeypatch.setattr(evaluate, "detect_masks", lambda frame, pipeline, settings: said)
    monkeypatch.setattr(evaluate, "least_face_scores", lambda pipeline, settings, frame, xyxy: np.zeros(len(xyxy)))
    return lambda folder, *more: evaluate.main(["--data", str(folder), *map(str, more)])


@pytest.mark.parametrize("write", LAYOUTS)
def test_a_relabelled_face_counts_in_detector_training_and_evaluation(tmp_path, write, evaluated):
    folder = write(tmp_path / "set")
    before = evaluated(folder)
    assert (before.photos, before.faces, before.found_and_right) == (2, 3, 1.0)
    assert scenes(folder)["a"].class_id.tolist() == [WITH_MASK, WITHOUT_MASK]
    Edits.load(folder).change_label("images/a.jpg#1", "with_mask")
    assert scenes(folder)["a"].class_id.tolist() == [WITH_MASK, WITH_MASK]
    after = evaluated(folder)
    assert (after.faces, after.found, after.found_and_right) == (3, 1.0, pytest.approx(2 / 3))
    assert after.bare_found_and_right is None, "no bare face is left"
    assert read_photos(folder)[0].truth.class_id.tolist() == [WITH_MASK, WITH_MASK]
    assert [sample.label for sample in read_samples(folder, 0.15)] == ["with_mask"] * 3


@pytest.mark.parametrize("write", LAYOUTS)
def test_what_was_set_aside_is_neither_trained_on_nor_counted(tmp_path, write, evaluated):
    folder = write(tmp_path / "set")
    (tmp_path / "both.txt").write_text("a\nb\n")
    assert evaluated(folder, "--list", tmp_path / "both.txt").false_alarms_per_photo == 0.5
    Edits.load(folder).exclude("images/a.jpg#0")
    scene = scenes(folder)["a"]
    assert np.allclose(scene.faces_xyxy, [RIGHT_XYXY], atol=0.01)
    assert np.allclose(scene.ignored, [[*LEFT_XYXY, 0]], atol=0.01), "its place is no background either"
    result = evaluated(folder)
    assert (result.faces, result.false_alarms_per_photo) == (2, 0.5), "the box on it is no false alarm"
    Edits.load(folder).exclude("images/b.jpg")
    assert set(scenes(folder)) == {"a"}
    assert evaluated(folder, "--list", tmp_path / "both.txt").photos == 1
    (tmp_path / "both.txt").write_text("a\nnobody\n")
    with pytest.raises(DataError, match="nobody"):
        evaluated(folder, "--list", tmp_path / "both.txt")
    assert list(find_all([folder], lambda frame, side: np.empty((0, 5)))) == ["set/images/a.jpg"]


def test_a_persons_edit_is_newer_than_a_file_of_extra_faces(tmp_path, evaluated):
    folder = write_voc_set(tmp_path / "set")
    rows = [
        {"photo": "a", "xyxy": LEFT_XYXY, "name": "mask_weared_incorrect"},
        {"photo": "a", "xyxy": RIGHT_XYXY, "name": "mask_weared_incorrect"},
    ]
    (tmp_path / "set.json").write_text(json.dumps(rows))
    (tmp_path / "set-validation.txt").write_text("a\n")
    Edits.load(folder).change_label("images/a.jpg#1", "with_mask")
    (frame,) = read_validation([folder], tmp_path)
    assert [CLASS_NAMES[i] for i in frame.class_id] == ["with_mask", "mask_weared_incorrect"]
    Edits.load(folder).exclude("images/a.jpg#0")
    (frame,) = read_validation([folder], tmp_path)
    assert frame.xyxy.tolist() == [RIGHT_XYXY] and frame.ignored_xyxy.tolist() == [LEFT_XYXY]
    assert scenes(folder, labels=str(tmp_path))["a"].class_id.tolist() == [WITH_MASK]
    assert evaluated(folder, "--extra", tmp_path / "set.json").faces == 2


def mark_difficult(folder, name, number):
    path = folder / "annotations" / f"{name}.xml"
    parts = path.read_text().split("<object>")
    parts[number + 1] = "<difficult>1</difficult>" + parts[number + 1]
    path.write_text("<object>".join(parts))


def test_a_difficult_face_is_neither_hit_nor_miss(tmp_path, evaluated):
    folder = write_voc_set(tmp_path / "set")
    mark_difficult(folder, "a", 1)
    scene = scenes(folder)["a"]
    assert scene.faces_xyxy.tolist() == [LEFT_XYXY] and scene.ignored.tolist() == [[*RIGHT_XYXY, 0]]
    result = evaluated(folder)
    assert (result.faces, result.found_and_right, result.false_alarms_per_photo) == (2, 1.0, 0.5)
    assert [sample.key for sample in read_samples(folder, 0.15)] == ["images/a.jpg#0", "images/b.jpg#0"]
    assert count_faces(folder, 24) == {("with_mask", False): 2}
    # The same as an entry without a name in a file of extra faces.
    (tmp_path / "extra.json").write_text(json.dumps([{"photo": "a", "xyxy": RIGHT_XYXY, "name": None}]))
    other = write_voc_set(tmp_path / "other")
    same = evaluated(other, "--extra", tmp_path / "extra.json")
    assert (same.faces, same.found_and_right, same.false_alarms_per_photo) == (2, 1.0, 0.5)


def test_no_detector_makes_a_face_of_a_difficult_one(tmp_path):
    folder = write_voc_set(tmp_path / "set")
    mark_difficult(folder, "a", 1)
    own = [*RIGHT_XYXY, 0.99, 0.98, 0.01, 0.01]
    (tmp_path / "boxes.json").write_text(json.dumps({"set/images/a.jpg": [own], "set/images/b.jpg": [own]}))
    found = scenes(folder, str(tmp_path / "boxes.json"))
    assert found["a"].faces_xyxy.tolist() == [LEFT_XYXY]
    assert found["b"].faces_xyxy.tolist() == [LEFT_XYXY, RIGHT_XYXY], "where nobody said so, it is one"


def test_somebody_may_still_say_what_a_difficult_face_is(tmp_path):
    folder = write_voc_set(tmp_path / "set")
    mark_difficult(folder, "a", 1)
    (tmp_path / "set.json").write_text(json.dumps([{"photo": "a", "xyxy": RIGHT_XYXY, "name": "without_mask"}]))
    scene = scenes(folder, labels=str(tmp_path))["a"]
    assert scene.class_id.tolist() == [WITH_MASK, WITHOUT_MASK] and not len(scene.ignored)


def test_the_cascade_is_tuned_without_difficult_faces(tmp_path, monkeypatch):
    folder = write_voc_set(tmp_path / "set")
    two = np.array([LEFT_XYXY, RIGHT_XYXY], np.float32)
    monkeypatch.setattr(tune_haar, "HaarFaceFinder", lambda: lambda frame, settings, min_px: (two, None))
    score = lambda: tune_haar.score(HaarSettings(), [(None, photo) for photo in read_photos(folder)])  # noqa: E731
    assert (score().recall, score().precision) == (1.0, 0.75)
    mark_difficult(folder, "a", 1)
    assert (score().recall, score().precision) == (1.0, pytest.approx(2 / 3)), "three boxes count, two of them hit"


def test_edits_count_in_class_folders_too(tmp_path):
    folder = write_class_folders(tmp_path / "cut", 2)
    edits = Edits.load(folder)
    edits.change_label("with_mask/000.jpg", "without_mask")
    edits.change_label("with_mask/001.jpg", "hat")
    edits.exclude("without_mask/000.jpg")
    found = find_all([folder], lambda frame, side: np.array([[1, 2, 30, 40, 0.9]], np.float32))
    assert list(found) == ["cut/with_mask/000.jpg", "cut/without_mask/001.jpg"]
    rows = {f"cut/{name}/{i:03}.jpg": [[1, 2, 30, 40, 0.9]] for name in CLASS_NAMES for i in range(2)}
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    split = load_scenes([str(folder)], str(tmp_path / "boxes.json"), (), 0.0, 0)
    assert [(scene.path.stem, scene.class_id.tolist()) for scene in split.train] == [
        ("000", [WITHOUT_MASK]),
        ("001", [WITHOUT_MASK]),
    ]


def test_class_folders_cannot_be_evaluated_as_photos(tmp_path):
    with pytest.raises(DataError, match="has no boxes"):
        evaluate.main(["--data", str(write_class_folders(tmp_path / "cut", 1))])


def test_photos_that_the_set_keeps_for_its_test_are_held_out_in_any_layout(tmp_path):
    folder = tmp_path / "set"
    for i, part in enumerate(("train", "test")):
        (folder / part / "images").mkdir(parents=True)
        (folder / part / "annotations").mkdir()
        cv2.imwrite(str(folder / part / "images" / f"{part}.jpg"), noise_picture(i))
        (folder / part / "annotations" / f"{part}.xml").write_text(voc_xml([("with_mask", LEFT)], (80, 60)))
    assert set(scenes(folder)) == {"train"}
    assert [photo.held_out for photo in read_photos(folder)] == [True, False]


def test_the_faces_of_a_run_are_found_by_their_names(tmp_path):
    folder = write_voc(tmp_path / "set", {"a": [("with_mask", (500, 20, 560, 80)), ("without_mask", RIGHT)]})
    (sample,) = read_samples(folder, 0.15)
    (face,) = find_faces(SimpleNamespace(datasets=[str(folder)], keys=[sample.key]))
    assert face.xyxy.tolist() == RIGHT_XYXY


@pytest.mark.parametrize(
    "write", [write_voc_set, lambda folder: write_class_folders(folder, 1)], ids=["boxes", "whole"]
)
def test_a_comparison_sees_faces_as_training_saw_them(tmp_path, write):
    folder = write(tmp_path / "set")
    samples = read_samples(folder, 0.15)
    faces = find_faces(SimpleNamespace(datasets=[str(folder)] * len(samples), keys=[each.key for each in samples]))
    for sample, crop in zip(samples, read_crops(faces, 64, 0.15), strict=True):
        assert (crop == plain_view(sample, 64)).all()
