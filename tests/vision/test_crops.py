import numpy as np
import pytest

from core.vision.crops import crop_faces, cut, fit_within, resize


def test_plain_red_comes_out_red_in_rgb():
    red_bgr = np.zeros((30, 50, 3), np.uint8)
    red_bgr[..., 2] = 255
    crops = crop_faces(red_bgr, np.array([[10, 5, 20, 25]]), 16, 0.2)
    assert crops.shape == (1, 16, 16, 3)
    assert (crops == [255, 0, 0]).all()


def test_no_face_gives_an_empty_batch():
    assert crop_faces(np.zeros((30, 50, 3), np.uint8), np.empty((0, 4)), 24, 0.1).shape == (0, 24, 24, 3)


def test_crop_shows_the_box_and_not_its_transpose():
    frame = np.zeros((60, 120, 3), np.uint8)
    frame[20:40, 80:100] = 255
    assert (crop_faces(frame, np.array([[80, 20, 100, 40]]), 20, 0.0) == 255).all()
    assert (crop_faces(frame, np.array([[20, 20, 40, 40]]), 20, 0.0) == 0).all()


@pytest.mark.parametrize(
    ("xyxy", "expected_shape"),
    [
        pytest.param((2, 3, 10, 9), (6, 8, 3), id="inside"),
        pytest.param((-4, -5, 8, 9), (14, 12, 3), id="over the upper left corner"),
        pytest.param((30, 20, 60, 45), (25, 30, 3), id="over the lower right corner"),
        pytest.param((5, 5, 5, 5), (1, 1, 3), id="without area"),
    ],
)
def test_cut(xyxy, expected_shape):
    frame = np.arange(30 * 50 * 3).reshape(30, 50, 3).astype(np.uint8)
    assert cut(frame, xyxy).shape == expected_shape


@pytest.mark.parametrize("xyxy", [(-30, -30, -10, -10), (70, 5, 90, 25), (5, 70, 25, 90)], ids=str)
def test_a_box_outside_the_frame_gives_its_nearest_pixels(xyxy):
    assert (cut(np.full((30, 50, 3), 77, np.uint8), xyxy) == 77).all()


def test_outside_repeats_the_nearest_pixel():
    frame = np.zeros((10, 20, 3), np.uint8)
    frame[:, -1] = 200
    assert (cut(frame, (18, 2, 30, 8))[:, 1:] == 200).all()


@pytest.mark.parametrize(
    ("shape", "max_side", "expected_wh", "scale"),
    [
        pytest.param((100, 400), 200, (200, 50), 0.5, id="wide"),
        pytest.param((400, 100), 200, (50, 200), 0.5, id="high"),
        pytest.param((50, 60), 200, (60, 50), 1.0, id="small enough"),
        pytest.param((1, 4000), 100, (100, 1), 0.025, id="a line keeps one pixel"),
    ],
)
def test_fit_within(shape, max_side, expected_wh, scale):
    image, factor = fit_within(np.zeros((*shape, 3), np.uint8), max_side)
    assert image.shape[1::-1] == expected_wh
    assert factor == pytest.approx(scale)


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(int(resize(stripes, (8, 8)).mean()) - 127) <= 1
