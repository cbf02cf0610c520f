"""Is one model better than another? Numbers made up in the test, with answers known beforehand."""

import json

import numpy as np
import pytest

from core.datasets.faces import DataError
from core.vision.model_card import ModelCard
from train.compare import may_have_learnt, predicted_classes, unknown_classes
from train.config import RECIPE_PRESETS, TrainConfig, run_settings
from train.estimate import estimate_split, recipe_title
from train.statistics import (
    certainty_in_words,
    differing_settings,
    in_words,
    mcnemar,
    most_wrong,
    paired_difference,
    percent,
    points,
    read_predictions,
    share_interval,
)


def rights(both=0, only_new=0, only_old=0, none=0):
    """Answers of two models, right or not: how many faces both, one or none classify correctly."""
    new = [True] * both + [True] * only_new + [False] * only_old + [False] * none
    old = [True] * both + [False] * only_new + [True] * only_old + [False] * none
    return np.array(new), np.array(old)


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        pytest.param({"both": 250, "only_new": 20, "only_old": 2, "none": 4}, "better", id="clearly better"),
        pytest.param({"both": 250, "only_new": 2, "only_old": 20, "none": 4}, "worse", id="clearly worse"),
        pytest.param({"both": 270, "only_new": 4, "only_old": 2}, "unclear", id="two pictures more"),
        pytest.param({"both": 5, "only_new": 5}, "probably better", id="five of ten: only the interval tells"),
        pytest.param({"both": 8, "only_old": 2}, "probably worse", id="two mistakes more of ten"),
        pytest.param({"both": 9, "only_old": 1}, "unclear", id="one mistake more"),
        pytest.param({"both": 12}, "unclear", id="no difference at all"),
        pytest.param({"none": 1}, "unclear", id="one picture"),
    ],
)
def test_the_outcome_needs_evidence(counts, outcome):
    found = paired_difference(*rights(**counts))
    assert found.outcome == outcome
    assert found.low <= found.difference <= found.high
    assert found.faces == sum(counts.values())
    assert found.only_new == counts.get("only_new", 0) and found.only_old == counts.get("only_old", 0)


def test_the_interval_is_that_of_theory():
    new, old = rights(both=800, only_new=100, only_old=50, none=50)
    found = paired_difference(new, old)
    half = 1.96 * np.std(new.astype(int) - old) / np.sqrt(1000)
    assert found.low == pytest.approx(0.05 - half, abs=0.003) and found.high == pytest.approx(0.05 + half, abs=0.003)
    assert found == paired_difference(new, old), "the same faces give the same answer"


def test_many_faces_of_one_photo_are_less_evidence():
    new, old = rights(both=60, only_new=20)
    apart = paired_difference(new, old)
    together = paired_difference(new, old, ["crowd.jpg" if only else f"{i}" for i, only in enumerate(~old)])
    assert apart.low > 0 and together.low == 0 and together.outcome == "unclear"
    assert apart.likely > 0.99 and together.likely == 0.75, "one photo speaks for it, not twenty"


def test_no_difference_on_a_few_faces_is_no_proof_of_none():
    few, many = (paired_difference(*rights(both=count)) for count in (10, 300))
    assert (few.low, few.high) == (pytest.approx(-0.259, abs=1e-3), pytest.approx(0.259, abs=1e-3))
    assert many.high == pytest.approx(3 / 300, rel=0.01), "the rule of three"


def test_predictions_on_different_faces_are_not_compared():
    for new, old in ((np.array([True]), np.array([True, False])), (np.array([], bool), np.array([], bool))):
        with pytest.raises(ValueError, match="same faces"):
            paired_difference(new, old)


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        pytest.param((0, 0), 1.0, id="no difference"),
        pytest.param((3, 3), 1.0, id="even"),
        pytest.param((5, 0), 0.0625, id="five to nothing"),
        pytest.param((0, 10), 2 / 1024, id="nothing to ten"),
        pytest.param((1, 9), 22 / 1024, id="one to nine"),
    ],
)
def test_mcnemar(counts, p):
    assert mcnemar(*counts) == pytest.approx(p)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        pytest.param(
            {"both": 250, "only_new": 20, "only_old": 2, "none": 4},
            "Better than the active model by 6.5 points: of 276 test faces it classifies 97.8% correctly, the active "
            "model 91.3%.",
            id="better",
        ),
        pytest.param(
            {"both": 8, "only_old": 2},
            "Probably worse than the active model by 20.0 points: of 10 test faces it classifies 80% correctly, the "
            "active model 100%.",
            id="probably worse",
        ),
        pytest.param(
            {"both": 270, "only_new": 4, "only_old": 2},
            "Cannot tell whether it is better than the active model: of 276 test faces it classifies 99.3% correctly, "
            "the active model 98.6%.",
            id="unclear",
        ),
        pytest.param(
            {"both": 1},
            "Cannot tell which is better: this model and the active one both classify 100% of 1 test face correctly.",
            id="the same",
        ),
    ],
)
def test_the_outcome_is_one_sentence(counts, sentence):
    assert in_words(paired_difference(*rights(**counts))) == sentence


def test_the_figures_behind_it_are_told_too():
    told = certainty_in_words(paired_difference(*rights(both=250, only_new=20, only_old=2, none=4)))
    assert "+6.5 points, lies between" in told and "20 of the 276 faces only this" in told and "p = 0.0001" in told


@pytest.mark.parametrize(
    ("share", "faces", "text"),
    [
        pytest.param(1.0, 276, "100.0%", id="all"),
        pytest.param(0.9999, 20_000, "99.9%", id="nearly all is not all"),
        pytest.param(0.996, 50, "99.6%", id="nearly all, few faces"),
        pytest.param(0.5, 10, "50%", id="few faces, no decimal"),
    ],
)
def test_shares_are_not_rounded_up_to_all(share, faces, text):
    assert percent(share, faces) == text


def test_points_have_a_sign_and_zero_has_none():
    assert [points(value) for value in (0.015, -0.2, 0, -0.0001)] == [
        "+1.5 points",
        "-20.0 points",
        "0 points",
        "0 points",
    ]


def test_the_interval_of_a_share():
    assert share_interval(0, 0) == (0, 1)
    low, high = share_interval(95, 100)
    assert (low, high) == (pytest.approx(0.888, abs=1e-3), pytest.approx(0.978, abs=1e-3))
    assert share_interval(10, 10)[1] == 1 and share_interval(0, 10)[0] == 0


FACE = {"dataset": "/d/set", "label": "hat", "part": "test"}


def write_predictions(folder, faces, classes=("hat", "no_hat")):
    (folder / "predictions.json").write_text(json.dumps({"classes": list(classes), "faces": faces}))


def test_predictions_are_read_and_the_worst_come_first(tmp_path):
    write_predictions(
        tmp_path,
        [
            FACE | {"key": "a.jpg", "probabilities": [0.9, 0.1]},
            FACE | {"key": "b.jpg#0", "probabilities": [0.4, 0.6]},
            FACE | {"key": "b.jpg#1", "probabilities": [0.1, 0.9], "part": "held_out"},
        ],
    )
    predictions = read_predictions(tmp_path)
    assert predictions.predicted.tolist() == [0, 1, 1] and predictions.labels.tolist() == [0, 0, 0]
    assert most_wrong(predictions).tolist() == [2, 1] and most_wrong(predictions, 1).tolist() == [2]
    assert predictions.photos == ["/d/set/a.jpg", "/d/set/b.jpg", "/d/set/b.jpg"]
    held_out = predictions.at(predictions.places_of("held_out"))
    assert held_out.keys == ("b.jpg#1",) and held_out.probabilities.shape == (1, 2)
    assert predictions.places_of("test").tolist() == [0, 1]


@pytest.mark.parametrize(
    "faces",
    [
        pytest.param([FACE | {"key": "a", "probabilities": [0.9]}], id="a probability short"),
        pytest.param([FACE | {"key": "a", "probabilities": [0.9, None]}], id="no number"),
        pytest.param([FACE | {"key": "a", "probabilities": [0.9, 0.1], "label": "cap"}], id="an unknown class"),
        pytest.param([{"probabilities": [0.9, 0.1]}], id="no key"),
        pytest.param("none", id="no list"),
    ],
)
def test_damaged_predictions_get_a_sentence(tmp_path, faces):
    with pytest.raises(DataError, match="train it again"):
        read_predictions(tmp_path)
    write_predictions(tmp_path, faces)
    with pytest.raises(DataError, match="train it again"):
        read_predictions(tmp_path)


def test_no_test_faces_are_no_error(tmp_path):
    write_predictions(tmp_path, [])
    predictions = read_predictions(tmp_path)
    assert len(predictions) == 0 and predictions.probabilities.shape == (0, 2) and not len(most_wrong(predictions))


def test_only_settings_that_differ_are_told():
    runs = [{"epochs": 3, "seed": 1, "data": ["a"]}, {"epochs": 5, "seed": 1, "data": ["a"], "views": 4}]
    assert differing_settings(runs) == {"epochs": [3, 5], "views": [None, 4]}
    assert differing_settings(runs[:1]) == differing_settings([]) == {}


def test_a_model_is_asked_only_between_the_classes_of_the_test():
    said = np.array([[0.1, 0.3, 0.6], [0.5, 0.2, 0.3], [np.nan] * 3])
    assert predicted_classes(said, ("a", "b", "c"), ("b", "a")).tolist() == [0, 1, -1]
    assert unknown_classes(("a", "hat"), ("a", "b")) == ("hat",) and not unknown_classes(("a",), ("a", "b"))


@pytest.mark.parametrize(
    ("entry", "own_test", "count"),
    [
        pytest.param({"name": "set", "faces": {"train": {"hat": 5}, "test": {"hat": 1}}}, False, 2, id="learnt"),
        pytest.param({"name": "set", "faces": {"train": {"hat": 5}}}, True, 1, id="one was kept for its own test"),
        pytest.param({"name": "set", "faces": {"train": {"hat": 0}, "held_out": {"hat": 9}}}, False, 0, id="tested"),
        pytest.param({"name": "other", "faces": {"train": {"hat": 5}}}, False, 0, id="another set"),
        pytest.param({"name": "set"}, False, 2, id="parts unknown"),
    ],
)
def test_faces_that_the_other_model_may_know_are_counted(tmp_path, entry, own_test, count):
    faces = [FACE | {"key": key, "probabilities": [0.9, 0.1]} for key in ("a.jpg", "b.jpg")]
    write_predictions(tmp_path, faces)
    predictions = read_predictions(tmp_path)
    card = ModelCard("m", "m.tflite", "0", ("hat", "no_hat"), 224, 0.15, "logits", data=[entry])
    assert may_have_learnt(card, predictions, predictions.at(np.array([0])) if own_test else None) == count


def test_what_a_training_would_work_with():
    counts = [{("hat", False): 60, ("no_hat", False): 30, ("hat", True): 4}, {("no_hat", False): 10, ("cap", False): 2}]
    plan = estimate_split(counts, TrainConfig(data=("x",), out="", classes=("hat", "no_hat"), epochs=3))
    assert plan.counts == {
        "hat": {"train": 42, "val": 6, "test": 12, "held_out": 4},
        "no_hat": {"train": 28, "val": 4, "test": 8, "held_out": 0},
    }
    assert (plan.faces, plan.steps, plan.epochs, plan.exact) == (104, 3, 3, True) and plan.minutes > 0
    assert not estimate_split(counts, TrainConfig(data=("x",), out="", split="grouped")).exact
    for config, sentence in (({"classes": ("hat",)}, "two classes"), ({"test_share": 0.95}, "nothing to train on")):
        with pytest.raises(DataError, match=sentence):
            estimate_split(counts, TrainConfig(data=("x",), out="", **config))


@pytest.mark.parametrize("name", list(RECIPE_PRESETS))
def test_a_run_is_called_after_its_recipe(name):
    settings = run_settings(TrainConfig(data=("x",), out="", **RECIPE_PRESETS[name]["settings"]))
    assert recipe_title(settings | {"seed": 7, "split": "grouped"}) == RECIPE_PRESETS[name]["title"]
    assert recipe_title(settings | {"batch_size": 7}) == "Own settings"
