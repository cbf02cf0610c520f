import numpy as np
import pytest

from train.detector.targets import CHANNELS, UNKNOWN, encode

NONE = np.empty((0, 5), np.float32)


def maps_of(faces, class_id=None, ignored=NONE, size_wh=(96, 64)):
    """The maps by name, of a window that is wider than high."""
    class_id = [0] * len(faces) if class_id is None else class_id
    target = encode(np.array(faces, np.float32).reshape(-1, 4), np.array(class_id, int), ignored, size_wh)
    assert target.dtype == np.float32
    return target[..., 0], target[..., 1], target[..., 2], target[..., 3:7], target[..., 7:]


def boxes_at(edges, cells):
    """The boxes in pixels that the given cells (rows, columns) speak of."""
    rows, columns = cells
    left, top, right, bottom = edges[rows, columns].T
    x, y = columns + 0.5, rows + 0.5
    return np.stack([x - left, y - top, x + right, y + bottom], axis=1) * 4


def test_without_faces_all_is_background_that_counts():
    target = encode(np.empty((0, 4)), np.empty(0, int), NONE, (96, 64))
    assert target.shape == (16, 24, CHANNELS)
    assert (target[..., 1] == 1).all()
    assert not np.delete(target, 1, axis=-1).any()


@pytest.mark.parametrize(
    ("box", "row", "column"),
    [
        pytest.param((20, 4, 36, 24), 3, 7, id="inside"),
        pytest.param((48, 30, 50, 33), 7, 12, id="smaller than a cell"),
        pytest.param((0, 0, 12, 30), 3, 1, id="cut off at the upper left"),
        pytest.param((85, 50, 96, 64), 14, 22, id="cut off at the lower right"),
        pytest.param((93, 61, 99, 67), 15, 23, id="centre on the lower right corner"),
        pytest.param((-20, -16, 3, 5), 0, 0, id="centre beyond the upper left corner"),
    ],
)
def test_the_bump_is_exactly_1_at_the_cell_of_the_centre_and_less_elsewhere(box, row, column):
    heat, counts, _, _, _ = maps_of([box])
    assert np.argwhere(heat == 1).tolist() == [[row, column]]
    assert heat.min() >= 0 and np.sort(heat.ravel())[-2] < 0.999, "the loss takes 0.999 and more for a centre"
    assert (counts == 1).all()


def test_a_larger_face_has_a_wider_bump_and_a_high_one_a_high_bump():
    small, large, high = (maps_of([box])[0] for box in ((40, 24, 56, 40), (16, 4, 80, 60), (40, 0, 56, 64)))
    assert (large > 0.2).sum() > (small > 0.2).sum()
    spread = [(high > 0.2).any(axis=axis).sum() for axis in (0, 1)]  # columns, rows
    assert spread[1] > spread[0]


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((17.3, 5.1, 50.9, 47.7), id="between the cells"),
        pytest.param((0, 10, 96, 60), id="as wide as the window"),
        pytest.param((70, 30, 96, 64), id="in the corner"),
    ],
)
def test_every_cell_that_learns_a_box_learns_this_one(box):
    _, _, weight, edges, label = maps_of([box], [2])
    cells = np.nonzero(weight)
    assert len(cells[0]) > 1
    assert np.allclose(boxes_at(edges, cells), box, atol=1e-3)
    assert (label[cells] == [0, 0, 1]).all()
    assert not edges[weight == 0].any() and not label[weight == 0].any()


def test_edges_beyond_a_tiny_face_stay_positive():
    # Its neighbours learn the box too, although they lie outside of it; the loss takes logarithms.
    _, _, weight, edges, _ = maps_of([(48, 32, 51, 35)])
    assert (weight > 0).sum() > 1
    assert edges[weight > 0].min() >= 0.05 - 1e-6


def test_the_weights_of_each_face_sum_to_1_whatever_its_size():
    faces = [(2, 2, 9, 10), (20, 4, 60, 60), (70, 30, 95, 62)]
    _, _, weight, edges, label = maps_of(faces, [0, 1, 2])
    for class_id, face in enumerate(faces):
        own = label[..., class_id] == 1
        assert np.allclose(boxes_at(edges, np.nonzero(own)), face, atol=3.5), "its cells lie on it"
        assert weight[own].sum() == pytest.approx(1, abs=1e-5)
    assert weight.sum() == pytest.approx(len(faces), abs=1e-4)


def test_a_centre_weighs_more_than_its_surroundings():
    heat, _, weight, _, _ = maps_of([(20, 4, 60, 60)])
    assert weight.argmax() == heat.argmax()


@pytest.mark.parametrize(
    ("ignored", "rows", "columns", "counts"),
    [
        pytest.param((8, 12, 24, 20, 0.25), slice(3, 6), slice(2, 7), 0.25, id="a quarter"),
        pytest.param((8, 12, 24, 20, 0.0), slice(3, 6), slice(2, 7), 0.0, id="not at all"),
        pytest.param((-20, -9, 8, 6, 0.5), slice(0, 3), slice(0, 3), 0.5, id="over the upper left corner"),
        pytest.param((84, 50, 130, 90, 0.5), slice(12, 16), slice(21, 24), 0.5, id="over the lower right corner"),
    ],
)
def test_an_ignored_area_counts_what_it_says_and_no_place_beyond_it(ignored, rows, columns, counts):
    heat, counted, weight, _, _ = maps_of([], ignored=np.array([ignored], np.float32))
    expected = np.ones((16, 24))
    expected[rows, columns] = counts
    assert (counted == expected).all()
    assert not heat.any() and not weight.any()


def test_a_true_face_inside_an_ignored_area_still_counts():
    heat, counts, weight, _, _ = maps_of([(40, 20, 56, 44)], ignored=np.array([[0, 0, 96, 64, 0]], np.float32))
    assert counts[heat == 1].tolist() == [1]
    assert (counts[weight > 0] == 1).all()
    assert (counts[weight == 0] == 0).all()


def test_of_an_unknown_face_the_place_is_learnt_and_the_state_is_not():
    heat, counts, weight, edges, label = maps_of([(40, 20, 56, 44), (8, 8, 24, 30)], [UNKNOWN, 1])
    place = (8, 12)
    assert heat[place] == 1 and counts[place] == 1
    assert np.allclose(boxes_at(edges, tuple(np.array(place)[:, None])), [(40, 20, 56, 44)])
    assert weight.sum() == pytest.approx(2, abs=1e-4)
    assert label.sum(axis=(0, 1))[0] == label.sum(axis=(0, 1))[2] == 0
    assert not label[place].any() and label[4, 4].tolist() == [0, 1, 0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["large one named first", "small one named first"])
@pytest.mark.parametrize(
    "small",
    [pytest.param((44, 28, 52, 36), id="the same centre"), pytest.param((52, 28, 60, 36), id="a little aside")],
)
def test_a_small_face_keeps_its_cells_inside_a_large_one(order, small):
    large = (0, 0, 96, 64)
    faces, class_id = [large, small], [0, 2]
    heat, _, weight, edges, label = maps_of([faces[i] for i in order], [class_id[i] for i in order])
    middle = (int((small[1] + small[3]) / 8), int((small[0] + small[2]) / 8))
    assert heat[middle] == 1 and label[middle].tolist() == [0, 0, 1]
    assert np.allclose(boxes_at(edges, tuple(np.array(middle)[:, None])), small)
    # The large one keeps what lies around, and neither weighs less for it.
    for i, face in enumerate(faces):
        own = label[..., class_id[i]] == 1
        assert own.any() and weight[own].sum() == pytest.approx(1, abs=1e-5)
        if i == 0:
            assert np.allclose(boxes_at(edges, np.nonzero(own)), face, atol=1e-3)


def test_two_faces_of_one_size_share_the_cells_between_them():
    _, _, weight, _, label = maps_of([(20, 16, 44, 48), (44, 16, 68, 48)], [0, 1])
    first, second = (np.nonzero(label[..., i])[1] for i in (0, 1))
    assert first.max() < 11 <= second.min(), "the border between them is at x = 44, column 11"
    assert weight.sum() == pytest.approx(2, abs=1e-4)


def test_one_face_taken_twice_leaves_no_hole():
    # The second takes all cells of the first; a face without cells must not divide by zero.
    _, _, weight, edges, _ = maps_of([(20, 16, 44, 48), (20, 16, 44, 48)], [0, 1])
    assert np.isfinite(weight).all() and np.isfinite(edges).all()
    assert weight.sum() == pytest.approx(1, abs=1e-5)
