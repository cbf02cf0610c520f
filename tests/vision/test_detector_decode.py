import numpy as np
import pytest

from core.vision.boxes import overlaps
from core.vision.classes import CLASS_NAMES
from core.vision.crops import GREY, letterbox
from core.vision.detector_decode import MAX_OVERLAP, STRIDE, decode, finite_logit, suppress
from train.detector.targets import encode

BACKGROUND = -9.0


def logit(p):
    return np.log(p) - np.log1p(-p)


def maps_of(size_hw, peaks):
    """Maps of a silent picture with peaks: (row, column, logit, (left, top, right, bottom) in cells)."""
    center = np.full(size_hw, BACKGROUND, np.float32)
    log_edges = np.zeros((*size_hw, 4), np.float32)
    state = np.zeros((*size_hw, len(CLASS_NAMES)), np.float32)
    for i, (row, column, height, edges) in enumerate(peaks):
        center[row, column] = height
        log_edges[row, column] = np.log(edges)
        state[row, column] = (i, 10 + i, 20 + i)
    return center, log_edges, state


def test_an_empty_picture_gives_empty_arrays_of_the_right_form():
    xyxy, score, state = decode(*maps_of((6, 11), []), 0.3)
    assert xyxy.shape == (0, 4) and score.shape == (0,) and state.shape == (0, 3)
    assert xyxy.dtype == score.dtype == state.dtype == np.float32


def test_a_peak_becomes_a_box_in_pixels_of_a_map_that_is_wider_than_high():
    xyxy, score, state = decode(*maps_of((6, 11), [(2, 8, 1.5, (1, 2, 3, 1.5))]), 0.3)
    # The middle of the cell is at x 8.5, y 2.5; a cell is four pixels.
    assert np.allclose(xyxy, [[30, 2, 46, 16]], atol=1e-4)
    assert score.tolist() == [1.5] and state.tolist() == [[0, 10, 20]]


def test_likeliest_first_each_with_its_own_box_and_state():
    peaks = [(1, 1, 0.5, (1, 1, 1, 1)), (9, 2, 3.0, (1, 1, 1, 1)), (4, 6, 2.0, (1, 1, 1, 1))]
    xyxy, score, state = decode(*maps_of((12, 8), peaks), 0.3)
    assert score.tolist() == [3.0, 2.0, 0.5]
    assert ((xyxy[:, :2] + xyxy[:, 2:]) / 2 / STRIDE).tolist() == [[2.5, 9.5], [6.5, 4.5], [1.5, 1.5]]
    assert state[:, 0].tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("row", "column"),
    [pytest.param(0, 0, id="upper left"), pytest.param(4, 8, id="lower right"), pytest.param(0, 4, id="upper edge")],
)
def test_a_peak_on_the_rim_of_the_map_is_found(row, column):
    xyxy, _, _ = decode(*maps_of((5, 9), [(row, column, 2.0, (1, 1, 1, 1))]), 0.3)
    assert xyxy.tolist() == [[(column - 0.5) * 4, (row - 0.5) * 4, (column + 1.5) * 4, (row + 1.5) * 4]]


@pytest.mark.parametrize(("row", "column"), [(3, 5), (4, 4), (2, 3)], ids=["beside", "below", "diagonal"])
def test_the_slope_of_a_peak_is_no_face_of_its_own(row, column):
    # Boxes of half a cell do not overlap: only the comparison with the neighbours can reject the second one.
    half = (0.25, 0.25, 0.25, 0.25)
    _, score, _ = decode(*maps_of((7, 9), [(3, 4, 2.0, half), (row, column, 1.9, half)]), 0.3)
    assert score.tolist() == [2.0]


def test_two_equal_neighbours_with_one_box_are_one_face():
    peaks = [(3, 4, 2.0, (2, 2, 3, 3)), (3, 5, 2.0, (3, 2, 2, 3))]
    xyxy, _, _ = decode(*maps_of((7, 12), peaks), 0.3)
    assert np.allclose(xyxy, [[10, 6, 30, 26]], atol=1e-4)


def test_a_plateau_with_one_box_is_one_face():
    peaks = [(r, c, 2.0, (c - 1, r - 1, 8 - c, 6 - r)) for r in (2, 3, 4) for c in (3, 4, 5)]
    xyxy, _, _ = decode(*maps_of((8, 12), peaks), 0.3)
    assert len(xyxy) == 1


def test_two_equal_neighbours_with_boxes_apart_are_two_faces():
    half = (0.5, 0.5, 0.5, 0.5)
    xyxy, _, _ = decode(*maps_of((7, 12), [(3, 4, 2.0, half), (3, 5, 2.0, half)]), 0.3)
    assert xyxy[:, 0].tolist() == [16, 20]


@pytest.mark.parametrize(
    ("min_score", "found"),
    [
        pytest.param(0.29, 1, id="just below"),
        pytest.param(0.31, 0, id="just above"),
        pytest.param(0.0, 1, id="none asked for, and yet not the background"),
        pytest.param(1.0, 0, id="certainty asked for"),
    ],
)
def test_the_least_score_is_a_probability(min_score, found):
    center, log_edges, state = maps_of((6, 11), [(2, 8, logit(0.3), (1, 1, 1, 1))])
    center[center == BACKGROUND] = -20  # a probability of one in a billion
    assert len(decode(center, log_edges, state, min_score)[0]) == found


def test_a_certain_face_passes_even_when_certainty_is_asked_for():
    assert len(decode(*maps_of((6, 11), [(2, 8, 20.0, (1, 1, 1, 1))]), 1.0)[0]) == 1


def test_of_a_crowd_the_likeliest_are_kept():
    heights = np.random.default_rng(0).permutation(12) / 4
    peaks = [(2 * (i // 4), 2 * (i % 4), height, (0.5, 0.5, 0.5, 0.5)) for i, height in enumerate(heights)]
    _, score, _ = decode(*maps_of((6, 9), peaks), 0.1, max_faces=5)
    assert score.tolist() == [2.75, 2.5, 2.25, 2.0, 1.75]


def test_a_box_that_a_likelier_one_overlaps_is_dropped():
    # Three cells apart, so both are peaks; the boxes share four fifths of their width.
    peaks = [(5, 5, 1.0, (9, 5, 9, 5)), (5, 8, 2.0, (9, 5, 9, 5)), (5, 25, 0.5, (4, 5, 4, 5))]
    _, score, _ = decode(*maps_of((10, 32), peaks), 0.3)
    assert score.tolist() == [2.0, 0.5]


def test_an_absurd_distance_stays_a_number():
    center, log_edges, state = maps_of((6, 11), [(2, 8, 2.0, (1, 1, 1, 1))])
    log_edges[2, 8] = 1000
    assert np.isfinite(decode(center, log_edges, state, 0.3)[0]).all()


def test_slices_of_one_array_in_half_precision_will_do():
    center, log_edges, state = maps_of((6, 11), [(2, 8, 1.5, (1, 2, 4, 1))])
    together = np.concatenate([center[..., None], log_edges, state], axis=-1)
    expected = decode(center, log_edges, state, 0.3)
    given = decode(together[..., 0], together[..., 1:5], together[..., 5:], 0.3)
    assert all((a == b).all() for a, b in zip(given, expected, strict=True))
    half = together.astype(np.float16)
    given = decode(half[..., 0], half[..., 1:5], half[..., 5:], 0.3)
    assert all(a.dtype == np.float32 and np.allclose(a, b, rtol=2e-3) for a, b in zip(given, expected, strict=True))


@pytest.mark.parametrize(
    ("xyxy", "kept"),
    [
        pytest.param(np.empty((0, 4)), [], id="no box"),
        pytest.param([[0, 0, 10, 20]], [0], id="one box"),
        pytest.param([[0, 0, 10, 20], [0, 0, 10, 20]], [0], id="twice the same: the first"),
        pytest.param([[0, 0, 10, 20], [0, 10, 10, 30]], [0, 1], id="a third in common"),
        pytest.param([[0, 0, 10, 20], [0, 0, 10, 10]], [0, 1], id="exactly the limit is not more than it"),
        pytest.param([[0, 0, 10, 20], [0, 4, 10, 24], [0, 8, 10, 28]], [0, 2], id="a dropped box drops nobody"),
    ],
)
def test_suppress(xyxy, kept):
    assert suppress(np.array(xyxy, np.float32), MAX_OVERLAP).tolist() == kept


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        pytest.param(0.5, 0.0, id="as likely as not"),
        pytest.param(0.75, np.log(3), id="three to one"),
        pytest.param(0.0, -np.log(1e6 - 1), id="impossible is finite"),
        pytest.param(1.0, np.log(1e6 - 1), id="certain is finite, in 32 bits too"),
    ],
)
def test_finite_logit(probability, expected):
    assert finite_logit(probability) == pytest.approx(expected, abs=1e-9)
    assert finite_logit(np.full(2, probability, np.float32)) == pytest.approx([expected] * 2, abs=1e-6)


# What training asks for, read back


@pytest.mark.parametrize(
    "faces",
    [
        pytest.param([], id="no face"),
        pytest.param([[30.3, 12.6, 61.2, 55.5]], id="one face between the cells"),
        pytest.param([[3, 5, 20, 30], [100, 40, 150, 92], [60, 8, 70, 20]], id="three of different sizes"),
        pytest.param([[0, 0, 24, 40], [140, 70, 160, 96]], id="cut off by the window's corners"),
        pytest.param([[90, 30, 97, 38], [40, 60, 46, 69]], id="of seven pixels"),
        pytest.param([[8, 0, 152, 96], [60, 50, 80, 76]], id="one on another's chest"),
        pytest.param([[40, 40, 60, 66], [52, 42, 72, 68]], id="side by side, overlapping"),
    ],
)
def test_maps_made_from_boxes_give_these_boxes_back(faces):
    faces = np.array(faces, np.float32).reshape(-1, 4)
    class_id = np.arange(len(faces)) % 3
    target = encode(faces, class_id, np.empty((0, 5)), (160, 96))
    center = logit(np.clip(target[..., 0], 1e-4, 1 - 1e-4))
    log_edges = np.log(np.where(target[..., 2:3] > 0, target[..., 3:7], 1))
    xyxy, _, state = decode(center, log_edges, 10 * target[..., 7:], 0.9)
    assert len(xyxy) == len(faces)
    best = overlaps(faces, xyxy).argmax(axis=1) if len(faces) else np.empty(0, int)
    assert sorted(best.tolist()) == list(range(len(faces)))
    assert np.abs(xyxy[best] - faces).max(initial=0) < 1
    assert (state[best].argmax(axis=1) == class_id).all()


# Frames on their way in


@pytest.mark.parametrize(
    ("shape", "long_side", "canvas_shape", "shown_wh", "scale"),
    [
        pytest.param((100, 400), 200, (64, 224), (200, 50), 0.5, id="wide"),
        pytest.param((400, 100), 160, (160, 64), (40, 160), 0.4, id="tall"),
        pytest.param((30, 50), 320, (192, 320), (320, 192), 6.4, id="small, enlarged"),
        pytest.param((3000, 4000), 640, (480, 640), (640, 480), 0.16, id="large"),
        pytest.param((96, 160), 160, (96, 160), (160, 96), 1.0, id="fits as it is"),
        pytest.param((97, 161), 161, (128, 192), (161, 97), 1.0, id="one pixel too many"),
        pytest.param((2, 1000), 64, (32, 64), (64, 1), 0.064, id="a line keeps one pixel"),
    ],
)
def test_letterbox(shape, long_side, canvas_shape, shown_wh, scale):
    frame = np.full((*shape, 3), 250, np.uint8)
    canvas, factor = letterbox(frame, long_side)
    assert canvas.shape == (*canvas_shape, 3) and canvas.dtype == np.uint8
    assert factor == pytest.approx(scale)
    width, height = shown_wh
    assert (canvas[:height, :width] == 250).all()
    assert (canvas[height:] == GREY).all() and (canvas[:, width:] == GREY).all()


@pytest.mark.parametrize("long_side", [64, 96, 200], ids=["shrunk", "as it is", "enlarged"])
def test_plain_red_comes_out_red_in_rgb(long_side):
    red_bgr = np.zeros((64, 96, 3), np.uint8)
    red_bgr[..., 2] = 255
    canvas, scale = letterbox(red_bgr, long_side)
    assert (canvas[: round(64 * scale), :long_side] == [255, 0, 0]).all()


def test_the_frame_lies_upright_at_the_upper_left_and_is_not_changed():
    frame = np.zeros((60, 120, 3), np.uint8)
    frame[40:, 80:] = 255
    before = frame.copy()
    canvas, scale = letterbox(frame, 240)
    bright = np.argwhere(canvas.min(axis=-1) > 200)
    assert scale == 2
    assert np.abs(bright.min(axis=0) - [80, 160]).max() <= 1 and bright.max(axis=0).tolist() == [119, 239]
    assert (frame == before).all()
