"""Weights side by side before they are exported; Keras runs in a process of its own."""

import re
import subprocess
import sys

import pytest

from core.synthetic.sample import sample_photo
from core.vision.detector import load_detector
from core.vision.images import encode_image
from tests.helpers import ROOT, write_voc

pytestmark = pytest.mark.slow
WEIGHTS = "models/mask-detector-weights.npz"


def compare(*arguments):
    command = [sys.executable, "-m", "train.detector.compare", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


def test_shipped_weights_find_a_face_before_they_are_exported(tmp_path):
    photo = sample_photo(masked=False)
    (box,) = load_detector().find(photo, "fast", 0.8)[0]
    faces = {"a": [("without_mask", tuple(box.round().astype(int).tolist()))]}
    folder = write_voc(tmp_path / "voc", faces, photo.shape[1::-1])
    (folder / "images" / "a.jpg").write_bytes(encode_image(photo))
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "voc-validation.txt").write_text("a\n")
    chosen = ("--data", folder, "--labels", labels, "--preset", "fast", "--weights", WEIGHTS)
    done = compare(*chosen, "--mix-with", WEIGHTS)
    assert done.returncode == 0, done.stderr
    shipped, mean = re.findall(r"^\| (?!weights)(\S.*?) \| (\S.*?) \| (\S.*?) \|", done.stdout, re.MULTILINE)
    assert shipped[0] == WEIGHTS and shipped[1].startswith("100.0%") and mean[1:] == shipped[1:]


def test_weights_that_are_none_get_one_sentence(tmp_path):
    broken = tmp_path / "weights.npz"
    broken.write_bytes(b"nothing")
    folder = write_voc(tmp_path / "voc", {"a": []})
    (tmp_path / "voc-validation.txt").write_text("a\n")
    done = compare("--data", folder, "--labels", tmp_path, "--weights", broken)
    assert done.returncode == 1 and done.stderr.strip().splitlines()[-1].startswith("train.detector.compare: ")
    assert "Traceback" not in done.stderr
