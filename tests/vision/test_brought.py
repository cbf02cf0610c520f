"""Models from elsewhere at work: in a process of their own, within a time limit, whatever scale and head they have.

``trap.tflite`` (96 × 96, two logits: mean of all values / 255, and 1 less that, times 3) loops for ever where the first
value is 77, and gives NaN where it is 78; TensorFlow made it of a ``tf.while_loop`` and a ``tf.where``.
"""

import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from core.config import models_dir
from core.vision import brought
from core.vision.brought import AnyClassifier, BroughtNetwork, ModelFailure, per_class
from core.vision.classifier import MaskClassifier
from core.vision.model_card import ModelCard, ModelError, load_card

TRAP = Path(__file__).with_name("trap.tflite")
LOOPS, NAN = 77, 78


def card(**more):
    facts = {"name": "mine", "file": TRAP.name, "sha256": "", "classes": ("a", "b"), "input_size": 96, "margin": 0.15}
    return ModelCard(**facts | {"output": "logits"} | more)


def faces(*firsts, value=255):
    crops = np.full((len(firsts), 96, 96, 3), value, np.uint8)
    crops[:, 0, 0, 0] = firsts
    return crops


def workers():
    alive = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in alive if "core.vision.brought" in " ".join(p.cmdline())]


@pytest.fixture(scope="module")
def classifier():
    made = MaskClassifier(card(), TRAP, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(brought, "CALL_S", 0.9)
        patch.setattr(brought, "FACE_S", 0.1)
        yield made
    made._network._end()


def test_models_that_came_with_the_app_run_in_its_own_process(classifier):
    for name in ("mask-classifier", "mask-detector"):
        assert load_card(models_dir() / f"{name}.json").trained_here
    assert not card().trained_here
    assert isinstance(classifier._network, BroughtNetwork)


def test_a_model_from_elsewhere_classifies_many_faces_at_once(classifier):
    rows = classifier.probabilities(faces(*[255] * 70))
    assert rows.shape == (70, 2) and rows.dtype == np.float32
    assert np.allclose(rows, [[1 / (1 + np.exp(-3)), 1 / (1 + np.exp(3))]], atol=1e-3)
    assert classifier.probabilities(faces()).shape == (0, 2)


def test_one_that_loops_is_stopped_and_its_next_call_works(classifier):
    told = []
    classifier.on_failure = told.append
    classifier.probabilities(faces(255))
    old = workers()
    with pytest.raises(ModelFailure, match="The model mine did not answer within 1 seconds and was stopped"):
        classifier.probabilities(faces(255, LOOPS))
    assert len(told) == 1
    assert not any(process.is_running() for process in old)
    assert len(classifier.probabilities(faces(255))) == 1, "another process took its place"


def test_who_waited_for_a_model_that_fails_waits_no_longer(classifier):
    refused = []

    def ask():
        try:
            classifier.probabilities(faces(LOOPS))
        except ModelFailure as error:
            refused.append(str(error))

    classifier.probabilities(faces(255))
    before = classifier._network._failures
    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 20
    assert classifier._network._failures - before < 10, "those who wait end with the one that was stopped"


def test_one_that_gives_no_numbers_gets_a_sentence(classifier):
    with pytest.raises(ModelFailure, match="no usable numbers"):
        classifier.probabilities(faces(255, NAN))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        pytest.param({"classes": ("a", "b", "c")}, "broke down", id="more classes than outputs"),
        pytest.param({"input_size": 64}, "broke down", id="another size"),
    ],
)
def test_a_file_that_does_not_fit_its_card_is_refused_when_it_is_loaded(wrong, sentence):
    with pytest.raises(ModelError, match=sentence):
        MaskClassifier(card(**wrong), TRAP, 1)
    assert len(workers()) <= 1, "only the other tests' own"


def test_the_process_ends_with_its_classifier():
    before = len(workers())
    other = MaskClassifier(card(), TRAP, 1)
    assert len(workers()) == before + 1
    del other
    assert len(workers()) == before


@pytest.mark.parametrize(
    ("outputs", "kind", "classes"),
    [
        pytest.param([[0.25, 0.75]], "probabilities", [[0.25, 0.75]], id="softmax"),
        pytest.param([[0.3, 0.9]], "probabilities", [[0.25, 0.75]], id="a sigmoid for each class"),
        pytest.param([[0.9]], "probabilities", [[0.1, 0.9]], id="one sigmoid is the second class"),
        pytest.param([[-2.0]], "logits", [[0, -2]], id="one logit"),
        pytest.param([[1.0, 3.0]], "logits", [[1, 3]], id="logits"),
        pytest.param([[0.0, 0.0]], "probabilities", [[0.5, 0.5]], id="nothing at all"),
    ],
)
def test_every_usual_head_is_understood(outputs, kind, classes):
    assert np.allclose(per_class(np.array(outputs, np.float32), kind), classes)


@pytest.mark.parametrize(("pixels", "mean"), [("0..255", 255), ("0..1", 1), ("-1..1", 1)])
def test_pixels_are_scaled_as_the_card_says(pixels, mean):
    logits = AnyClassifier(TRAP, 1)(faces(255)[0], pixels)
    assert logits == pytest.approx([3 * mean / 255, 3 - 3 * mean / 255], abs=1e-3)
