"""The report of a training: what it says, in both languages, and from damaged figures."""

import json
from datetime import timezone

import numpy as np
import pytest

from core.language import using
from core.vision.classes import CLASS_NAMES
from core.vision.metrics import classification_scores
from pages.views.training.report import public_settings, run_report
from train.compare import PartComparison
from train.runs import Run
from train.statistics import Difference

CLASSES = CLASS_NAMES[:2]
UTC = timezone.utc


@pytest.fixture
def run(tmp_path):
    lines = [{"epoch": i, "loss": 0.5 / i, "accuracy": 0.9, "val_loss": 0.5, "val_accuracy": 0.8} for i in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"epochs": 2, "data": ["/srv/somewhere/heads"], "imagenet_weights": "/srv/somewhere/weights.h5"}
    return Run("1", tmp_path, "My <first>", "for the door", "done", settings)


def test_it_tells_what_came_of_it_and_no_path_of_the_server(run):
    scores = classification_scores(np.eye(2)[[0, 0, 1, 1]], np.array([0, 0, 1, 0]), CLASSES)
    found = PartComparison("", difference=Difference(4, 0.75, 0.5, 1, 0, -0.1, 0.6, 1.0, 0.8), faces=4)

    def made() -> str:
        return run_report(run, [found], ["A caution."], {"test": scores}, CLASSES, UTC).decode()

    text = made()
    for words in ("My &lt;first&gt;", "for the door", "A caution.", "75.0%", "✗ No mask", "Epochs"):
        assert words in text, words
    assert found.sentence.replace("'", "&#x27;") in text and "heads" in text and "/srv" not in text
    with using("fr"):
        text = made()
    assert "75,0\u202f%" in text and "Déroulement de l’entraînement" in text and "<html lang='fr'>" in text


def test_no_weights_are_told_as_none_and_not_as_a_file(run):
    run.settings["imagenet_weights"] = None
    assert public_settings(run)["imagenet_weights"] is None


def test_damaged_figures_are_named_and_the_rest_is_there(run):
    text = run_report(run, [], [], {"test": {"images": 4, "per_class": 3}}, CLASSES, UTC).decode()
    assert "are damaged" in text and "How the training went" in text
