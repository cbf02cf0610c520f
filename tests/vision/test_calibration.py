import numpy as np
import pytest
from scipy.special import expit, softmax

from core.vision.calibration import best_offsets, best_temperature, platt_scaling
from core.vision.metrics import balanced_accuracy, calibration_error, classification_scores

NAMES = ("with_mask", "without_mask")


def test_a_perfect_prediction():
    scores = classification_scores(np.eye(2)[[0, 1, 1]], np.array([0, 1, 1]), NAMES)
    assert scores["accuracy"] == scores["balanced_accuracy"] == 1.0
    assert scores["confusion_matrix"] == [[1, 0], [0, 2]]
    assert scores["expected_calibration_error"] == 0.0
    assert scores["per_class"]["without_mask"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2}


def test_balanced_accuracy_is_the_mean_recall_of_all_classes():
    predicted, labels = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 0, 0, 2, 1])
    assert balanced_accuracy(predicted, labels, 3) == pytest.approx((3 / 4 + 0 + 1) / 3)
    assert balanced_accuracy(predicted[:4], labels[:4], 2) is None, "nobody knows the recall of a class without faces"


def test_balanced_accuracy_is_not_fooled_by_the_commoner_class():
    scores = classification_scores(np.eye(2)[[0] * 10], np.array([0] * 9 + [1]), NAMES)
    assert scores["accuracy"] == 0.9 and scores["balanced_accuracy"] == 0.5
    assert scores["confusion_matrix"] == [[9, 0], [1, 0]]


def test_where_a_class_does_not_occur_there_is_no_balanced_accuracy():
    scores = classification_scores(np.eye(2)[[0, 0]], np.array([0, 0]), NAMES)
    assert scores["accuracy"] == 1.0 and scores["balanced_accuracy"] is None
    assert scores["per_class"]["without_mask"]["support"] == 0


def test_no_images():
    assert classification_scores(np.empty((0, 2)), np.empty(0, int), NAMES)["accuracy"] is None


def test_lengths_that_differ_stop_at_once():
    with pytest.raises(ValueError, match=r"\(2, 2\), expected \(3, 2\)"):
        classification_scores(np.eye(2), np.array([0, 1, 1]), NAMES)


@pytest.mark.parametrize(
    ("confidence", "right", "error"),
    [
        pytest.param(1.0, 1.0, 0.0, id="sure and right"),
        pytest.param(1.0, 0.75, 0.25, id="sure, right three times of four"),
        pytest.param(0.75, 0.75, 0.0, id="knows it"),
        pytest.param(0.6, 1.0, 0.4, id="too modest"),
    ],
)
def test_expected_calibration_error(confidence, right, error):
    probabilities = np.tile([confidence, 1 - confidence], (100, 1))
    labels = np.where(np.arange(100) < 100 * right, 0, 1)
    assert calibration_error(probabilities[:, 0], labels == 0) == pytest.approx(error, abs=1e-9)


def test_calibration_error_of_nothing_is_unknown():
    assert calibration_error(np.empty(0), np.empty(0, bool)) is None


def test_temperature_repairs_overconfidence():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    true_logits = np.stack([np.zeros(4000), rng.normal(np.where(labels, 1.0, -1.0), 1) * 2], axis=1)
    overconfident = true_logits * 3
    temperature = best_temperature(overconfident, labels)
    assert temperature == pytest.approx(3, rel=0.15)

    def error(logits):
        probabilities = softmax(logits, axis=1)
        return calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)

    before, after = error(overconfident), error(overconfident / temperature)
    assert after < before / 3
    assert best_temperature(np.empty((0, 2)), np.empty(0, int)) == 1.0


def test_offsets_give_a_class_drawn_too_often_its_likelihood_back():
    rng = np.random.default_rng(3)
    labels = rng.choice(3, 3000, p=[0.6, 0.3, 0.1])
    logits = rng.normal(0, 1, (3000, 3)) + 2 * np.eye(3)[labels]  # as of a model that takes all classes for as likely
    temperature, offsets = best_offsets(logits, labels)
    # The likelihood of these logits is that of normal numbers around 2: exp(2 x); the share of each class is the rest.
    assert temperature == pytest.approx(0.5, rel=0.1)
    assert offsets == pytest.approx(np.log([0.6, 0.3, 0.1]) - np.log([0.6, 0.3, 0.1]).mean(), abs=0.2)
    assert best_offsets(np.empty((0, 3)), np.empty(0, int))[0] == 1.0
    one, few = best_offsets(logits[:1], labels[:1])
    assert 0.5 < one < 1.5 and np.abs(few).max() < 0.5, "one face says little"


def test_platt_scaling_finds_the_curve_that_made_the_scores():
    rng = np.random.default_rng(2)
    scores = rng.normal(1, 2, 20_000)
    is_true = rng.random(len(scores)) < expit(0.7 * scores - 1.2)
    scale, offset = platt_scaling(scores, is_true)
    assert scale == pytest.approx(0.7, rel=0.05) and offset == pytest.approx(-1.2, rel=0.05)
    with pytest.raises(ValueError, match="class"):
        platt_scaling(scores, np.ones(len(scores), bool))
