"""The shipped detector exported anew, without training."""

import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from core.config import models_dir
from core.synthetic.sample import sample_photo
from core.vision.boxes import overlaps
from core.vision.detector import MaskDetector, load_detector
from core.vision.model_card import file_sha256, load_card
from tests.helpers import ROOT
from tests.train.detector.test_train_detector import write_street
from train.detector.reexport import main

WEIGHTS = ROOT / "models" / "mask-detector-weights.npz"


def computes_in(path, layer: str) -> set[type]:
    """Kind of number of the maps that come out of a layer."""
    tensors = Interpreter(str(path)).get_tensor_details()
    return {tensor["dtype"] for tensor in tensors if layer in tensor["name"] and tensor["name"].endswith("/sub1")}


@pytest.mark.slow
def test_an_export_anew_finds_the_same_and_keeps_what_the_card_says_of_training(tmp_path):
    street, out = write_street(tmp_path / "street", 4), tmp_path / "again"
    settings = ["--data", str(street), "--val-share", "0.25", "--start", str(WEIGHTS), "--out", str(out)]
    command = [sys.executable, "-m", "train.detector.reexport", *settings]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    before, card = load_card(models_dir() / "mask-detector.json"), load_card(out / "card.json")
    assert (card.training, card.data, card.failures) == (before.training, before.data, before.failures)
    assert card.sha256 == file_sha256(out / "model.tflite") and card.scores["validation"]["photos"] == 1
    photo = sample_photo(masked=True)
    (expected,), *_ = load_detector().find(photo, "balanced", 0.9)
    (found,), _, states = MaskDetector(card, out / "model.tflite").find(photo, "balanced", 0.9)
    assert overlaps(found[None], expected[None])[0, 0] > 0.9 and states.argmax() == 0


def test_layers_that_lose_most_in_8_bits_compute_in_32():
    path = models_dir() / load_card(models_dir() / "mask-detector.json").file
    assert computes_in(path, "/bn_Conv1") == computes_in(path, "/block_2_depthwise_BN") == {np.float32}
    assert computes_in(path, "/block_10_expand_BN") == computes_in(path, "/block_3_depthwise_BN") == {np.int8}


def test_weights_that_are_not_there_are_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    with pytest.raises(ValueError, match="There are no weights"):
        main(["--data", str(tmp_path), "--start", str(tmp_path / "none.npz"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
