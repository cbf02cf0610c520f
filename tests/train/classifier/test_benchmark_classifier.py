"""The comparison of plain and cached training: what it writes, and what it says where it cannot work."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from core.datasets.faces import DataError
from core.synthetic.sample import sample_photo
from tests.helpers import ROOT
from train.classifier.benchmark import parse_arguments

pytestmark = pytest.mark.slow


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "train.classifier.benchmark", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def make_pictures(folder):
    """Non-square pieces of the sample photo, dark and light: two classes that any network tells apart."""
    rng = np.random.default_rng(0)
    for label, factor in (("bright", 1.0), ("dark", 0.3)):
        (folder / label).mkdir(parents=True)
        for i in range(10):
            x, y = rng.integers(0, 200, 2)
            piece = cv2.convertScaleAbs(sample_photo(False)[y : y + 90, x : x + 70], alpha=factor)
            cv2.imwrite(str(folder / label / f"{i}.png"), piece)
    return folder


@pytest.mark.long
def test_both_sides_are_timed_and_classified_for_every_seed(tmp_path):
    folder, file = make_pictures(tmp_path / "lights"), tmp_path / "result.json"
    done = run(
        *("--data", str(folder), "--imagenet-weights", "none", "--seeds", "2", "--epochs", "1", "--views", "1"),
        *("--json", str(file)),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(file.read_text())
    assert result["plain_s"] > 0 and result["cached_s"] > 0
    assert 0 <= result["plain_accuracy"] <= 1 and 0 <= result["cached_accuracy"] <= 1
    assert [row["seed"] for row in result["seeds"]] == [1, 2]
    for key in ("plain_s", "cached_s", "plain_accuracy", "cached_accuracy"):
        assert result[key] == pytest.approx(np.mean([row[key] for row in result["seeds"]]), abs=1e-3)
    assert (result["train_faces"], result["test_faces"], result["classes"]) == (16, 4, ["bright", "dark"])
    assert (result["epochs"], result["views"]) == (1, 1)
    for words in ("seed 1, plain:", "seed 2, cached:", "times as fast"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--data", "/nowhere"], "no data folder", id="missing data"),
        pytest.param(["--data", "a", "--seeds", "0"], "--seeds", id="no seeds"),
        pytest.param(["--data", "a", "--epochs", "0"], "at least 1", id="no epochs"),
        pytest.param(["--date", "a"], "unrecognized", id="a mistyped option"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments, sentence):
    done = run(*arguments)
    assert done.returncode != 0
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_without_data_the_reports_set_is_taken_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="--data"):
        parse_arguments([])
    for label in ("with_mask", "without_mask"):
        (tmp_path / "prajnasb" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "prajnasb" / label / "1.png"), np.zeros((9, 7, 3), np.uint8))
    config, seeds, file = parse_arguments([])
    assert config.data == (str(tmp_path / "prajnasb"),)
    assert (config.epochs, config.val_share, config.fine_tune_blocks, seeds, file) == (20, 0, 0, 5, None)
