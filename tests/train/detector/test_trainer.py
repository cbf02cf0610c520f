"""What the trainer does between its steps; Keras runs in a process of its own."""

import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT

pytestmark = pytest.mark.slow

# A photo with one face whose class is known, one whose class is not, and a place that counts for nothing; maps that say
# "a mask" at all three.
VALIDATION = """
import json
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from train.detector.__main__ import choose_backend
choose_backend()
from train.detector.dataset import Scene
from train.detector.targets import UNKNOWN, encode
from train.detector.trainer import DetectorTrainer

def answer(class_id):
    places = np.array([[40, 40, 120, 140], [200, 40, 280, 140], [200, 240, 280, 340]], np.float32)
    ignored = np.array([[*places[2], 0]], np.float32)
    scene = Scene(Path("x.jpg"), "x", np.zeros((416, 416, 3), np.uint8), places[:2], np.array(class_id), ignored, True)
    target = encode(places, np.zeros(3, int), np.empty((0, 5)), (416, 416))
    bump, edges, state = target[..., :1], target[..., 3:7], target[..., 7:]
    maps = np.concatenate([12 * bump - 6, np.log(np.maximum(edges, 0.1)), 8 * state], axis=-1).astype(np.float32)
    trainer = SimpleNamespace(scenes=SimpleNamespace(val=[scene]), _maps=lambda canvas_rgb: maps)
    return DetectorTrainer._validate(trainer)

print(json.dumps([answer([0, UNKNOWN]), answer([0, 1])]))
"""


def test_faces_of_unknown_class_count_neither_as_right_nor_as_wrong_in_validation():
    done = subprocess.run([sys.executable, "-c", VALIDATION], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    unknown, wrong = json.loads(done.stdout.splitlines()[-1])
    assert unknown["val_map50_two_state"] == 1 and unknown["val_loss"] < wrong["val_loss"]
    assert wrong["val_map50_two_state"] < 0.9, "the same answer is wrong where the class is known"
