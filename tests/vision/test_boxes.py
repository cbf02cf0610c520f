import numpy as np
import pytest

from core.vision.boxes import clip_boxes, match_boxes, overlaps, shorter_sides, square_boxes


@pytest.mark.parametrize(
    ("xyxy", "expected"),
    [
        pytest.param(np.empty((0, 4)), [], id="no box"),
        pytest.param([[5, 6, 20, 30]], [[5, 6, 20, 30]], id="inside"),
        pytest.param([[-5, -6, 90, 70]], [[0, 0, 64, 48]], id="over every edge of a frame that is wider than high"),
        pytest.param([[70, 50, 80, 60]], [[64, 48, 64, 48]], id="outside: no area is left"),
    ],
)
def test_clip_boxes(xyxy, expected):
    clipped = clip_boxes(xyxy, (64, 48))
    assert clipped.dtype == np.float32
    assert clipped.tolist() == expected


@pytest.mark.parametrize(
    ("xyxy", "margin", "expected"),
    [
        pytest.param(np.empty((0, 4)), 0.2, [], id="no box"),
        pytest.param([[10, 20, 30, 60]], 0.0, [[0, 20, 40, 60]], id="high box, no margin"),
        pytest.param([[10, 20, 50, 30]], 0.25, [[0, -5, 60, 55]], id="wide box with margin"),
    ],
)
def test_square_boxes(xyxy, margin, expected):
    assert square_boxes(xyxy, margin).tolist() == expected


def test_shorter_sides():
    assert shorter_sides([[0, 0, 10, 20], [0, 0, 7, 3]]).tolist() == [10, 3]
    assert shorter_sides(np.empty((0, 4))).shape == (0,)


@pytest.mark.parametrize(
    ("predicted", "true", "pairs"),
    [
        pytest.param([], [], [], id="nothing anywhere"),
        pytest.param([[0, 0, 10, 10]], [], [], id="nothing true"),
        pytest.param([], [[0, 0, 10, 10]], [], id="nothing predicted"),
        pytest.param([[0, 0, 10, 10]], [[0, 0, 10, 10]], [(0, 0)], id="perfect"),
        pytest.param([[0, 0, 10, 10]], [[9, 9, 20, 20]], [], id="too little overlap"),
        pytest.param(
            [[0, 0, 10, 10], [0, 0, 10, 9]], [[0, 0, 10, 10]], [(0, 0)], id="two boxes on one face: the better one"
        ),
        pytest.param(
            [[0, 0, 10, 8], [0, 0, 10, 10]],
            [[0, 0, 10, 10], [0, 0, 10, 7]],
            [(0, 1), (1, 0)],
            id="best overlap first, whatever the order",
        ),
    ],
)
def test_match_boxes(predicted, true, pairs):
    found = match_boxes(predicted, true, 0.5)
    assert sorted(zip(*(side.tolist() for side in found), strict=True)) == pairs


def test_overlaps_of_no_boxes_have_a_shape():
    assert overlaps([], [[0, 0, 1, 1], [0, 0, 2, 2]]).shape == (0, 2)
    assert overlaps([[0, 0, 1, 1]], []).shape == (1, 0)
