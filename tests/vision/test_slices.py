import numpy as np
import pytest

from core.vision.classes import WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY
from core.vision.detections import make_detections
from core.vision.metrics import match_photo
from core.vision.slices import Slices

A, B, C, SMALL = [0, 0, 40, 40], [100, 0, 140, 40], [200, 0, 240, 40], [300, 0, 320, 20]


def add(slices, shown, truth, slice_id):
    slices.add(match_photo(make_detections(*shown), *map(np.array, truth)), np.array(slice_id))


def test_each_slice_is_counted_on_its_own():
    slices = Slices(("frontal", "turned", "down"))
    add(slices, ([A, B], [WITH_MASK, WITH_MASK]), ([A, B, C], [WITH_MASK, WITHOUT_MASK, WITHOUT_MASK]), [0, 1, 1])
    add(slices, ([A], [WITHOUT_MASK]), ([A, B], [WITHOUT_MASK, WITH_MASK]), [1, -1])
    frontal, turned = slices.rows()
    assert (frontal["name"], frontal["faces"], frontal["found"], frontal["right"]) == ("frontal", 1, 1, 1)
    assert (turned["name"], turned["faces"], turned["found"], turned["right"]) == ("turned", 3, 2, 1)
    assert (turned["found_and_right_two_state"], turned["two_state_faces"]) == (pytest.approx(1 / 3), 3)
    assert (turned["bare_shown_as_masked"], turned["bare_faces"]) == (0.5, 2)
    assert frontal["bare_shown_as_masked"] is None and "bare_shown_as_masked" not in frontal["intervals"]
    low, high = turned["intervals"]["found"]
    assert (low, high) == (0.5, 1.0), "one photo's two faces alone, or the other's one"


def test_small_faces_and_masks_worn_incorrectly_count_as_elsewhere():
    slices = Slices(("down",), min_face_px=24)
    add(slices, ([A, SMALL], [WORN_INCORRECTLY, WITH_MASK]), ([A, SMALL], [WORN_INCORRECTLY, WITHOUT_MASK]), [0, 0])
    (down,) = slices.rows()
    assert (down["faces"], down["right"], down["two_state_faces"], down["bare_faces"]) == (1, 1, 0, 0)
    assert down["found_and_right_two_state"] is None


def test_without_photos_there_is_nothing():
    assert Slices(("down",)).rows() == []
