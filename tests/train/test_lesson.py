"""The training that a page shows really learns, and really goes wrong."""

import numpy as np
import pytest

from train.lesson import HARD, SIDE, descend, made_faces, two_splits


@pytest.fixture(scope="module")
def faces():
    return made_faces(60, seed=1)


def test_made_faces_are_half_masked_and_the_same_for_a_seed(faces):
    assert faces.masked.mean() == 0.5 and faces.pixels.shape == (60, SIDE * SIDE)
    assert (made_faces(4, seed=1).pictures == faces.pictures[:4]).all()
    assert np.linalg.norm(faces.pixels, axis=1) == pytest.approx(1)


def test_one_step_goes_down_the_numerical_gradient(faces):
    step = descend(faces.pixels, faces.masked, 1e-3, 1)
    before, after = step.losses(faces.pixels, faces.masked)
    slope = np.sum(step.weights[1] ** 2) + step.bias[1] ** 2
    assert before == pytest.approx(np.log(2)) and before - after == pytest.approx(slope / 1e-3, rel=1e-3)


def test_learning_rates_are_too_small_right_and_too_large(faces):
    losses = {
        rate: descend(faces.pixels, faces.masked, rate, 100).losses(faces.pixels, faces.masked)
        for rate in (0.03, 3, 30)
    }
    assert losses[0.03][-1] > 0.65 and losses[3][-1] < 0.55 and losses[30].max() > 1
    assert (np.diff(losses[3]) < 0).all()


def test_near_duplicates_flatter():
    result = two_splits(made_faces(24, 4, HARD), steps=120, draws=2)
    assert result.training[-1] > 0.95 and result.leaked > 0.8
    assert result.flattered[-1] > result.honest[-1] + 0.15
