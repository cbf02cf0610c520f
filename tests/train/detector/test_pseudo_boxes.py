import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.boxes import overlaps
from core.vision.crops import resize
from core.vision.model_card import ModelError
from tests.helpers import ROOT, SHARED, write_class_folders, write_voc
from train.detector.dataset import load_scenes
from train.detector.pseudo_boxes import FOLDER_SIDE, INPUT_SIDE, YuNet, find_all, picture_key

YUNET = SHARED / "weights" / "yunet_n_640_640.onnx"


@pytest.mark.parametrize(
    ("folder", "picture", "key"),
    [
        pytest.param("/data/ilc2021", "/data/ilc2021/images/a b.jpg", "ilc2021/images/a b.jpg", id="Pascal VOC"),
        pytest.param("/data/cut", "/data/cut/with_mask/1.png", "cut/with_mask/1.png", id="class folders"),
        pytest.param("/else/where/cut", "/else/where/cut/with_mask/1.png", "cut/with_mask/1.png", id="moved elsewhere"),
        pytest.param("cut", "cut/with_mask/1.png", "cut/with_mask/1.png", id="relative"),
    ],
)
def test_the_key_of_a_picture_is_the_same_wherever_the_data_lie(folder, picture, key):
    assert picture_key(Path(folder), Path(picture)) == key


class StubDetector:
    """Finds one face in every picture that is wider than high; remembers how it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, frame_bgr, shown_side):
        self.asked.append((frame_bgr.shape, shown_side))
        if frame_bgr.shape[1] <= frame_bgr.shape[0]:
            return np.empty((0, 5), np.float32)
        return np.array([[1.23456, 2, 30, 40, 0.87654]], np.float32)


@pytest.fixture
def two_sets(tmp_path):
    """A Pascal VOC set with one upright photo, and class folders; files that are no pictures lie about."""
    voc = write_voc(tmp_path / "street", {"a": [], "b": [], "c": []})
    cv2.imwrite(str(voc / "images" / "c.jpg"), np.zeros((50, 40, 3), np.uint8))
    (voc / "images" / "list.txt").write_text("a")
    cut = write_class_folders(tmp_path / "cut", 2)
    (cut / "other").mkdir()
    cv2.imwrite(str(cut / "other" / "x.jpg"), np.zeros((40, 50, 3), np.uint8))
    return [voc, cut]


def test_every_picture_of_every_set_is_looked_at(two_sets, capsys):
    detector = StubDetector()
    found = find_all(two_sets, detector)
    face = [[1.23, 2.0, 30.0, 40.0, 0.88]]
    assert {key: np.round(boxes, 4).tolist() for key, boxes in found.items()} == {
        "street/images/a.jpg": face,
        "street/images/b.jpg": face,
        "street/images/c.jpg": [],
        "cut/with_mask/000.jpg": face,
        "cut/with_mask/001.jpg": face,
        "cut/without_mask/000.jpg": face,
        "cut/without_mask/001.jpg": face,
    }
    # Photos fill the detector's picture; faces that were cut out are shown smaller, with room around them.
    assert [side for _, side in detector.asked] == [INPUT_SIDE] * 3 + [FOLDER_SIDE] * 4
    assert detector.asked[0][0] == (120, 160, 3)
    printed = capsys.readouterr().out
    assert "street: 3 pictures, 2 with a face" in printed and "cut: 4 pictures, 4 with a face" in printed


def test_what_is_written_is_what_training_reads(two_sets, tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps(find_all(two_sets, StubDetector())))
    split = load_scenes([str(folder) for folder in two_sets], str(tmp_path / "boxes.json"), (), 0.0, 0)
    cut_out = [scene for scene in split.train if not scene.whole]
    assert len(cut_out) == 4 and all(len(scene.faces_xyxy) == 1 for scene in cut_out)
    assert [len(scene.ignored) for scene in split.train if scene.whole] == [1, 1, 0]


@pytest.mark.parametrize(
    "content",
    [pytest.param(None, id="missing"), pytest.param(b"", id="empty"), pytest.param(b"no network" * 50, id="broken")],
)
def test_a_file_that_is_no_detector_gets_a_sentence(tmp_path, content):
    path = tmp_path / "yunet.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"yunet\.onnx cannot be loaded as a YuNet face detector"):
        YuNet(path)


def test_the_command_says_so_in_one_sentence_too(tmp_path):
    write_voc(tmp_path / "voc", {"a": []})
    done = subprocess.run(
        [
            *(sys.executable, "-m", "train.detector.pseudo_boxes", "--data", str(tmp_path / "voc")),
            *("--detector", str(tmp_path / "none.onnx"), "--out", str(tmp_path / "boxes.json")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"OPENCV_LOG_LEVEL": "SILENT"},
    )
    assert done.returncode != 0
    assert (
        "train.detector.pseudo_boxes: " in done.stderr and "none.onnx" in done.stderr and "Traceback" not in done.stderr
    )
    assert not (tmp_path / "boxes.json").exists()


# The real one


@pytest.fixture(scope="module")
def yunet():
    if not YUNET.is_file():
        pytest.skip(f"needs YuNet in {YUNET.relative_to(SHARED.parent)}, which is not part of the project")
    return YuNet(YUNET)


def on_canvas(size_wh, place_xy, scale):
    """The sample photo, smaller or larger, somewhere on a grey canvas, and where its face then is."""
    photo = resize(sample_photo(False), (round(512 * scale), round(512 * scale)))
    canvas = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
    x, y = place_xy
    canvas[y : y + photo.shape[0], x : x + photo.shape[1]] = photo
    return canvas, np.array(SAMPLE_FACE_XYXY, np.float32) * scale + [x, y, x, y]


@pytest.mark.parametrize(
    ("size_wh", "place_xy", "scale"),
    [
        pytest.param((512, 512), (0, 0), 1.0, id="square"),
        pytest.param((1300, 420), (800, 20), 0.75, id="wide"),
        pytest.param((420, 1100), (20, 700), 0.75, id="tall"),
        pytest.param((1400, 1100), (300, 50), 2.0, id="large"),
        pytest.param((300, 200), (100, 20), 0.3, id="small"),
    ],
)
def test_the_samples_face_is_found_where_it_is(yunet, size_wh, place_xy, scale):
    canvas, face = on_canvas(size_wh, place_xy, scale)
    before = canvas.copy()
    found = yunet(canvas)
    assert found.shape == (1, 5) and found.dtype == np.float32
    assert overlaps(found[:, :4], [face])[0, 0] >= 0.5
    assert 0.6 <= found[0, 4] <= 1
    assert (canvas == before).all()


def test_a_face_that_fills_its_picture_is_found_when_it_is_shown_smaller(yunet):
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    face = sample_photo(False)[y1:y2, x1:x2]
    found = yunet(face, FOLDER_SIDE)
    assert len(found) == 1
    assert overlaps(found[:, :4], [[0, 0, x2 - x1, y2 - y1]])[0, 0] >= 0.5
    assert (found[:, :4] >= 0).all() and (found[:, 2:4] <= [x2 - x1, y2 - y1]).all(), "boxes stay inside"


def test_two_faces_come_best_first_and_none_gives_an_empty_array(yunet):
    canvas, first = on_canvas((1200, 500), (0, 0), 0.9)
    other, second = on_canvas((1200, 500), (700, 100), 0.7)
    canvas[:, 600:] = cv2.GaussianBlur(other, (0, 0), 2.0)[:, 600:]
    found = yunet(canvas)
    assert len(found) == 2 and found[0, 4] >= found[1, 4]
    assert overlaps([first, second], found[:, :4]).max(axis=1).min() >= 0.5
    assert yunet(np.full((120, 300, 3), 90, np.uint8)).shape == (0, 5)
