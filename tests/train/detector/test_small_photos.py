"""Small photos of one person each, cut from validation photos."""

import numpy as np
import pytest

from core.datasets.faces import DataError, read_photos
from core.vision.images import read_image
from train.detector.operating_points import AnnotatedFrame, in_grids, scaled
from train.detector.small_photos import main, small_photos, write_voc

rng = np.random.default_rng(0)
PHOTO = AnnotatedFrame(
    rng.integers(0, 256, (300, 500, 3), np.uint8),
    np.array([[100, 50, 180, 150], [0, 200, 70, 290], [300, 10, 340, 60], [320, 80, 490, 280]], np.float32),
    np.array([0, 1, 2, 1]),
    np.array([[20, 20, 60, 80]], np.float32),
)


def test_faces_of_a_size_are_cut_with_a_margin_that_ends_at_the_edge():
    first, second = small_photos([PHOTO])
    assert first.frame_bgr.shape == (120, 100, 3) and first.xyxy.tolist() == [[10, 10, 90, 110]]
    assert (first.frame_bgr == PHOTO.frame_bgr[40:160, 90:190]).all()
    assert second.xyxy.tolist() == [[0, 9, 70, 99]] and second.frame_bgr.shape == (108, 79, 3)
    assert (first.class_id.tolist(), second.class_id.tolist()) == ([0], [1])


def test_no_more_than_asked_for_and_the_same_each_time():
    photos = [PHOTO] * 5
    assert len(small_photos(photos, count=4)) == 4
    first, again = ([photo.xyxy.tolist() for photo in small_photos(photos, 4, 1)] for _ in range(2))
    assert first == again


def test_what_is_written_is_read_again(tmp_path):
    photos = small_photos([PHOTO])
    write_voc(photos, tmp_path / "small")
    read = read_photos(tmp_path / "small")
    assert [photo.truth.class_id.tolist() for photo in read] == [[0], [1]]
    for before, after in zip(photos, read, strict=True):
        assert np.allclose(before.xyxy, after.truth.xyxy, atol=1)
        assert read_image(after.path).shape == before.frame_bgr.shape
    with pytest.raises(DataError, match="is not empty"):
        write_voc(photos, tmp_path / "small")


def test_the_command_needs_a_list_of_validation_photos(tmp_path):
    with pytest.raises(DataError, match="validation"):
        main(["--data", str(tmp_path), "--labels", str(tmp_path), "--out", str(tmp_path / "out")])


def test_other_sizes_and_many_photos_in_one():
    half = scaled(PHOTO, 250)
    assert half.frame_bgr.shape == (150, 250, 3) and np.allclose(half.xyxy, PHOTO.xyxy / 2)
    (grid,) = in_grids([PHOTO, half, PHOTO], 2, 1)
    assert grid.frame_bgr.shape == (500, 1000, 3) and len(grid.xyxy) == 8
    assert (grid.frame_bgr[:300, :500] == PHOTO.frame_bgr).all()
    assert np.allclose(grid.xyxy[4:], half.xyxy + [500, 0, 500, 0], atol=1e-3)
    assert np.allclose(grid.ignored_xyxy[1], half.ignored_xyxy[0] + [500, 0, 500, 0], atol=1e-3)
