"""The cascade step by step comes to the same as OpenCV itself."""

import cv2
import numpy as np
import pytest

from core.synthetic.sample import sample_photo
from core.vision.cascade import (
    SHOWN_SIDE,
    SHOWN_STEP,
    answers,
    integral_image,
    prepare,
    read_cascade,
    rect_sums,
    scales,
    search,
)
from core.vision.haar import HaarFaceFinder, HaarSettings

FINDER = HaarFaceFinder()
# Smaller than on the page, which takes three times as long.
SIDE = 150


@pytest.fixture(scope="module")
def seen():
    """The bare sample, equalised, with every window of it."""
    grey = prepare(sample_photo(False), SIDE)[1]
    return grey, search(grey, read_cascade())


def test_the_integral_image_is_opencvs_and_gives_sums():
    grey = np.random.default_rng(0).integers(0, 256, (37, 53), np.uint8)
    table = integral_image(grey)
    assert (table == cv2.integral(grey)).all()
    corners = np.array([0, 5 * table.shape[1] + 7])
    assert rect_sums(table, corners, 11, 4).tolist() == [grey[:4, :11].sum(), grey[5:9, 7:18].sum()]


@pytest.mark.parametrize(("name", "masked"), [("alt2", False), ("alt2", True), ("default", False)])
def test_the_windows_left_at_the_end_are_those_of_opencv(name, masked):
    frame, cascade = sample_photo(masked), read_cascade(name)
    windows = search(prepare(frame, SIDE)[1], cascade)
    how = HaarSettings(name, scale_factor=SHOWN_STEP, min_neighbors=0, max_side=SIDE)
    ratio = frame.shape[1] / SIDE
    theirs = np.rint(FINDER.find_squares(frame, name, how)[0] / ratio)
    left = windows.left(len(cascade.stages))
    # OpenCV draws a window's corner and side rounded.
    corners = np.rint(windows.xyxy[left[windows.asked[left]], :2])
    assert len(theirs)
    assert sorted(corners.tolist()) == sorted(theirs[:, :2].tolist())


def test_each_stage_leaves_fewer_windows_and_a_plain_picture_none(seen):
    cascade, (_, windows) = read_cascade(), seen
    left = [len(windows.left(stage)) for stage in range(len(cascade.stages) + 1)]
    assert left[0] == len(windows.xyxy) and left == sorted(left, reverse=True) and left[-1] < left[3] / 100
    plain = search(np.full((60, 80), 127, np.uint8), cascade)
    assert len(plain.xyxy) and not len(plain.left(1))
    assert not len(search(np.zeros((10, 10), np.uint8), cascade).xyxy), "smaller than the window"


def test_the_answers_of_a_stage_decide_as_the_search_does(seen):
    cascade, (grey, windows) = read_cascade(), seen
    for place in (windows.left(len(cascade.stages))[0], np.flatnonzero(windows.passed == 0)[500]):
        window, said = answers(grey, cascade, windows.xyxy[place])
        assert window.shape == (20, 20) and len(said) == 3
        passes = sum(each.points for each in said) >= cascade.stages[0].threshold
        assert passes == (windows.passed[place] >= 1)
        feature, value = said[0].nodes[0][0].feature, said[0].nodes[0][1]
        inner = window[1:-1, 1:-1].astype(np.float64)
        by_hand = (feature.weights(20) * window).sum() / (inner.std() * inner.size)
        assert value == pytest.approx(by_hand, abs=1e-5)


def test_scales_go_up_to_the_picture_and_photos_are_reduced():
    assert scales((80, 60), 20, 2.0) == [1, 2]
    assert max(prepare(np.zeros((900, 1200, 3), np.uint8))[0].shape) == SHOWN_SIDE
