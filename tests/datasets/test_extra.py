"""Faces that annotations lack, filled in by eye, and what training and evaluation make of them."""

import json

import numpy as np
import pytest

from core.datasets.extra import LABELS_DIR, add_extra, read_extra, read_labels
from core.datasets.faces import AnnotatedPhoto, DataError, read_photos
from core.vision.classes import WITH_MASK, WITHOUT_MASK
from core.vision.detections import make_detections
from tests.helpers import ROOT, write_voc
from train.detector.dataset import load_scenes

FACE = [("with_mask", (11, 21, 60, 80))]
FACE_XYXY = [10, 20, 60, 80]
ELSEWHERE = [90, 30, 140, 95]


def entry(xyxy, name, photo="a"):
    return {"photo": photo, "xyxy": xyxy, "name": name}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize(
    ("rows", "truth", "ignored"),
    [
        pytest.param([], [(FACE_XYXY, WITH_MASK)], [], id="nothing"),
        pytest.param(
            [entry(ELSEWHERE, "without_mask")],
            [(FACE_XYXY, WITH_MASK), (ELSEWHERE, WITHOUT_MASK)],
            [],
            id="a face more",
        ),
        pytest.param([entry(ELSEWHERE, None)], [(FACE_XYXY, WITH_MASK)], [ELSEWHERE], id="a place that does not count"),
        pytest.param([entry(FACE_XYXY, "without_mask")], [(FACE_XYXY, WITHOUT_MASK)], [], id="another class"),
        pytest.param([entry(FACE_XYXY, None)], [], [FACE_XYXY], id="a face that does not count"),
        pytest.param([entry(ELSEWHERE, "no_face")], [(FACE_XYXY, WITH_MASK)], [], id="a place without a face"),
        pytest.param([entry(FACE_XYXY, "no_face")], [], [], id="an annotation that is none"),
        pytest.param(
            [entry(ELSEWHERE, "with_mask") | {"was": FACE_XYXY}], [(ELSEWHERE, WITH_MASK)], [], id="a better box"
        ),
        pytest.param(
            [entry(ELSEWHERE, None) | {"was": FACE_XYXY}], [], [ELSEWHERE], id="a better box that does not count"
        ),
        pytest.param([entry(ELSEWHERE, "without_mask", "b")], [(FACE_XYXY, WITH_MASK)], [], id="of another photo"),
    ],
)
def test_annotations_are_completed(tmp_path, rows, truth, ignored):
    photo = AnnotatedPhoto(tmp_path / "a.jpg", make_detections([FACE_XYXY], [WITH_MASK]))
    done = add_extra(photo, read_extra(write(tmp_path / "extra.json", rows)).get("a"))
    assert list(zip(done.truth.xyxy.tolist(), done.truth.class_id.tolist(), strict=True)) == truth
    assert done.ignored_xyxy.tolist() == ignored
    assert photo.truth.class_id.tolist() == [WITH_MASK], "what was read is not changed"


def test_what_a_person_changed_is_newer_than_a_better_box(tmp_path):
    truth = make_detections([FACE_XYXY], [WITH_MASK])
    photo = AnnotatedPhoto(tmp_path / "a.jpg", truth, edited_xyxy=truth.xyxy)
    rows = [entry(ELSEWHERE, "without_mask") | {"was": FACE_XYXY}]
    done = add_extra(photo, read_extra(write(tmp_path / "extra.json", rows))["a"])
    assert done.truth.xyxy.tolist() == [FACE_XYXY] and done.truth.class_id.tolist() == [WITH_MASK]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param('[{"photo": "a"}]', id="no box"),
        pytest.param('[{"photo": "a", "xyxy": [1, 2, 3], "name": null}]', id="three numbers"),
        pytest.param('[{"photo": "a", "xyxy": [1, 2, NaN, 4], "name": null}]', id="no number"),
        pytest.param('[{"photo": "a", "xyxy": [5, 2, 3, 4], "name": null}]', id="inside out"),
        pytest.param('[{"photo": "a", "xyxy": [1, 2, 3, 4], "name": "helmet"}]', id="unknown class"),
        pytest.param('[{"photo": "a", "xyxy": [1, 2, 3, 4], "name": null, "was": [1]}]', id="no box before"),
    ],
)
def test_a_file_of_another_form_gets_one_sentence(tmp_path, text):
    (tmp_path / "extra.json").write_text(text)
    with pytest.raises(DataError, match=r"extra\.json cannot be read"):
        read_extra(tmp_path / "extra.json")


def test_training_reads_the_extra_faces_and_the_list_of_validation_photos(tmp_path):
    folder = write_voc(tmp_path / "voc", dict.fromkeys("abcd", FACE))
    labels = tmp_path / "labels"
    write(labels / "voc.json", [entry(ELSEWHERE, "without_mask"), entry(ELSEWHERE, None, "b")])
    (labels / "voc-validation.txt").write_text("b\nd.jpg\n")
    split = load_scenes([str(folder)], None, (), 0.5, 0, labels=str(labels))
    assert [scene.path.stem for scene in split.train] == ["a", "c"]
    assert [scene.path.stem for scene in split.val] == ["b", "d"]
    assert split.train[0].faces_xyxy.tolist() == [FACE_XYXY, ELSEWHERE]
    assert split.train[0].class_id.tolist() == [WITH_MASK, WITHOUT_MASK]
    assert split.val[0].ignored.tolist() == [[*ELSEWHERE, 0]], "its place counts for nothing in the loss"


def test_what_an_earlier_detector_found_helps_training_and_not_validation(tmp_path):
    folder = write_voc(tmp_path / "voc", dict.fromkeys("ab", FACE))
    labels, boxes = tmp_path / "labels", tmp_path / "boxes.json"
    labels.mkdir()
    (labels / "voc-validation.txt").write_text("b\n")
    sure, doubtful = [*ELSEWHERE, 0.8, 0.05, 0.93, 0.02], [90, 100, 110, 118, 0.2, 0.5, 0.4, 0.1]
    on_the_face = [*FACE_XYXY, 0.9, 0.1, 0.8, 0.1]
    boxes.write_text(json.dumps({f"voc/images/{stem}.jpg": [sure, doubtful, on_the_face] for stem in ("a", "b")}))
    split = load_scenes([str(folder)], str(boxes), (), 0.0, 0, labels=str(labels))
    (scene,), (val,) = split.train, split.val
    assert scene.faces_xyxy.tolist() == [FACE_XYXY, ELSEWHERE] and scene.class_id.tolist() == [WITH_MASK, WITHOUT_MASK]
    assert scene.ignored.tolist() == [[90, 100, 110, 118, 0.25]]
    assert val.faces_xyxy.tolist() == [FACE_XYXY] and not len(val.ignored)


def test_what_a_person_saw_outweighs_what_detectors_found(tmp_path):
    folder = write_voc(tmp_path / "voc", dict.fromkeys("abc", FACE))
    own, other = [*ELSEWHERE, 0.9, 0.05, 0.93, 0.02], [*ELSEWHERE, 0.8]
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({f"voc/images/{stem}.jpg": [own, other] for stem in "abc"}))
    labels = tmp_path / "labels"
    write(labels / "voc.json", [entry(ELSEWHERE, "no_face"), entry(ELSEWHERE, None, "b")])
    split = load_scenes([str(folder)], str(boxes), (), 0.0, 0, labels=str(labels))
    seen = {scene.path.stem: (scene.faces_xyxy.tolist(), scene.ignored[:, 4].tolist()) for scene in split.train}
    assert seen["a"] == ([FACE_XYXY], []), "background that counts in full"
    assert seen["b"][0] == [FACE_XYXY] and 0 in seen["b"][1], "a place that does not count"
    assert seen["c"] == ([FACE_XYXY, ELSEWHERE], []), "nobody looked: the earlier detector is believed"


def test_the_labels_of_the_public_sets_fit_their_photos(shared_data):
    for name in ("ilc2021", "safeyolo", "aizoo", "widerface"):
        known = read_labels(ROOT / LABELS_DIR, name)
        photos = {photo.path.stem: photo for photo in read_photos(shared_data / name)}
        assert known.validation and known.validation <= set(photos) and set(known.extra) <= set(photos)
        for stem, extra in known.extra.items():
            done = add_extra(photos[stem], extra)
            assert len(done.truth) + len(done.ignored_xyxy) >= len(photos[stem].truth)
            assert np.isfinite(extra.xyxy).all()
    held_out = set((shared_data / "ilc2021" / "test.txt").read_text().split())
    assert not held_out & read_labels(ROOT / LABELS_DIR, "ilc2021").validation
