import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from core.config import models_dir
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.classifier import DEFAULT_CLASSIFIER, MaskClassifier, load_classifier
from core.vision.crops import resize
from core.vision.model_card import ModelError, load_card
from tests.helpers import ROOT


@pytest.fixture(scope="module")
def classifier():
    return load_classifier()


def test_the_sample_is_classified_right_bare_and_masked(classifier):
    for masked, class_id in ((False, 1), (True, 0)):
        ids, confidence = classifier.classify(sample_photo(masked), np.array([SAMPLE_FACE_XYXY], np.float32))
        assert ids.tolist() == [class_id]
        assert confidence[0] > 0.9


@pytest.mark.parametrize("side", [24, 40, 64, 128, 400])
def test_the_predicted_class_holds_at_every_size_of_face(classifier, side):
    scale = side / (SAMPLE_FACE_XYXY[2] - SAMPLE_FACE_XYXY[0])
    for masked, class_id in ((False, 1), (True, 0)):
        frame = resize(sample_photo(masked), (round(512 * scale), round(512 * scale)))
        ids, _ = classifier.classify(frame, np.array([SAMPLE_FACE_XYXY], np.float32) * scale)
        assert ids.tolist() == [class_id]


def test_tight_loose_and_square_boxes_give_the_same_prediction(classifier):
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    w, h = x2 - x1, y2 - y1
    boxes = np.array(
        [
            [x1 + w / 8, y1 + h / 8, x2 - w / 8, y2],
            [x1 - w / 4, y1 - h / 4, x2 + w / 4, y2 + h / 4],
            [x1, y1, x2, y1 + w],
        ]
    )
    for masked, class_id in ((False, 1), (True, 0)):
        assert classifier.classify(sample_photo(masked), boxes)[0].tolist() == [class_id] * 3


@pytest.mark.parametrize("n", [0, 1, 2, 7, 70, 1])
def test_a_batch_says_what_its_faces_say_one_by_one(classifier, n):
    crops = np.random.default_rng(n).integers(0, 256, (n, 224, 224, 3), dtype=np.uint8)
    together = classifier.probabilities(crops)
    assert together.shape == (n, 2) and together.dtype == np.float32
    assert np.allclose(together.sum(axis=1), 1, atol=1e-5)
    for crop, expected in zip(crops, together, strict=True):
        assert np.allclose(classifier.probabilities(crop[None])[0], expected, atol=1e-6)


def test_wrong_input_stops_at_once(classifier):
    with pytest.raises(ValueError, match=r"uint8 crops"):
        classifier.probabilities(np.zeros((1, 224, 224, 3), np.float32))
    with pytest.raises(ValueError, match=r"\(2, 100, 224, 3\)"):
        classifier.probabilities(np.zeros((2, 100, 224, 3), np.uint8))


def test_many_threads_share_one_model(classifier):
    crops = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)
    expected = classifier.probabilities(crops)
    wrong = []

    def work(n):
        for _ in range(10):
            if not np.allclose(classifier.probabilities(crops[:n]), expected[:n], atol=1e-6):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_class_ids_follow_the_card_not_the_order_of_outputs(classifier):
    path = models_dir() / classifier.card.file
    swapped = MaskClassifier(replace(classifier.card, classes=classifier.card.classes[::-1]), path)
    box = np.array([SAMPLE_FACE_XYXY], np.float32)
    assert swapped.classify(sample_photo(True), box)[0] != classifier.classify(sample_photo(True), box)[0]


def test_a_classifier_may_know_any_classes(classifier):
    path, box = models_dir() / classifier.card.file, np.array([SAMPLE_FACE_XYXY], np.float32)
    helmets = MaskClassifier(replace(classifier.card, classes=("helmet", "no_helmet")), path)
    assert helmets.classes == ("helmet", "no_helmet")
    assert helmets.classify(sample_photo(False), box)[0].tolist() == [1]
    classified = helmets.predict(sample_photo(False), np.vstack([box, box]))
    assert classified.shape == (2, 2)
    ours = classifier.predict(sample_photo(False), box)
    assert ours.shape == (1, 3) and ours[0, :2].tolist() == classified[0].tolist() and ours[0, 2] == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "missing", id="no file"),
        pytest.param(b"", "not a usable LiteRT model", id="empty"),
        pytest.param(b"\x1c\0\0\0TFL3" + b"\xff" * 400, "not a usable LiteRT model", id="broken"),
        pytest.param(b"\x80\x04\x95cos\nsystem\n", "not a usable LiteRT model", id="a pickle"),
    ],
)
def test_a_bad_model_file_gets_a_sentence(tmp_path, classifier, content, sentence):
    if content is not None:
        (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(ModelError, match=sentence):
        MaskClassifier(classifier.card, tmp_path / "model.tflite")


def test_a_model_that_does_not_fit_its_card_is_refused(classifier):
    path = models_dir() / classifier.card.file
    with pytest.raises(ModelError, match="its card says"):
        MaskClassifier(replace(classifier.card, input_size=96), path)


def test_a_changed_model_file_is_refused(tmp_path):
    card = load_card(models_dir() / f"{DEFAULT_CLASSIFIER}.json")
    shutil.copy(models_dir() / f"{DEFAULT_CLASSIFIER}.json", tmp_path)
    (tmp_path / card.file).write_bytes((models_dir() / card.file).read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="not the file that its card describes"):
        load_classifier(folder=tmp_path)


def test_logits_become_probabilities_face_by_face_however_large_they_are(classifier, monkeypatch):
    logits = np.array([[1000.0, 0.0], [0.0, 0.0]], np.float32)
    monkeypatch.setattr(classifier, "_network", lambda crops: [logits])
    probabilities = classifier.probabilities(np.zeros((2, 224, 224, 3), np.uint8))
    assert probabilities.tolist() == [[1.0, 0.0], [0.5, 0.5]] and probabilities.dtype == np.float32


def test_the_app_never_imports_tensorflow():
    code = (
        "import sys; from core.vision.pipeline import *; from core.synthetic.sample import sample_photo;"
        "import pages.components.settings, core.video.live;"
        "detect_masks(sample_photo(True), build_pipeline());"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras', 'sklearn', 'torch')];"
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
