"""Pictures of a model's inside show what is there, and where."""

import numpy as np
import pytest

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.boxes import overlaps
from core.vision.cascade import HaarFeature, Windows
from core.vision.detector import Preset, load_detector
from core.vision.detector_decode import MAX_OVERLAP, boxes_at, peaks, suppress
from core.vision.steps import (
    DIMMED,
    enlarged,
    farther,
    feature_on_window,
    in_rows,
    map_tiles,
    turned,
    unmatched,
    values_as_tiles,
    weights_picture,
    windows_left,
)


def test_the_heat_maps_maxima_are_the_detectors_boxes():
    detector, frame = load_detector(), sample_photo(masked=True)
    maps = detector.maps(frame, 640)
    rows, columns = peaks(maps.center, 0.05)
    assert maps.center[rows[0], columns[0]] == maps.center.max()
    xyxy = boxes_at(maps.log_edges, rows, columns)
    xyxy = xyxy[suppress(xyxy, MAX_OVERLAP)] / maps.zoom
    found, _, _ = detector.find(frame, Preset("One look", "", 640), 0.05)
    assert len(found) and xyxy[: len(found)] == pytest.approx(found, abs=0.01)
    assert overlaps(xyxy[:1], np.array([SAMPLE_FACE_XYXY]))[0, 0] > 0.6
    assert maps.center.shape == detector.center_map(frame, "balanced").shape


def test_a_feature_is_bright_where_it_counts_for_bright():
    feature = HaarFeature(((0, 0, 4, 8, -1.0), (2, 0, 2, 8, 2.0)))
    picture = feature_on_window(np.full((8, 8), 127, np.uint8), feature, 80)
    assert picture.shape == (80, 80, 3)
    assert picture[40, 10].mean() < 100 and picture[40, 30].mean() > 180 and picture[40, 60].tolist() == [127] * 3


def test_the_photo_is_bright_where_windows_are_left():
    frame = np.full((40, 60, 3), 200, np.uint8)
    boxes = np.array([[0, 0, 10, 10], [20, 10, 30, 20], [22, 10, 32, 20]], np.float32).repeat(40, axis=0)
    windows = Windows(boxes, np.array([0] * 40 + [2] * 80), np.ones(120, bool))
    picture = windows_left(frame, windows, 1, 1.0)
    assert picture[15, 25].tolist() == [200] * 3 and 100 < picture[15, 21, 0] < 150
    assert picture[5, 5].tolist() == [int(DIMMED * 200)] * 3
    assert (windows_left(frame, windows, 3, 1.0) == int(DIMMED * 200)).all()


def test_tiles_stand_in_rows_and_keep_their_values():
    maps = np.zeros((7, 7, 3), np.float32)
    maps[0, 0, 1] = 5
    picture = map_tiles(maps, np.array([0, 1, 2]), side=70, columns=2)
    assert picture.shape == (146, 146, 3)
    assert picture[5, 81].sum() > 2 * picture[60, 140].sum(), "the second tile is bright at its upper left"
    assert (picture[80:, 80:] == 255).all(), "no fourth tile"
    assert enlarged(np.eye(2, dtype=np.uint8), 9).shape == (8, 8)
    assert values_as_tiles(np.arange(5.0), columns=3, side=10).shape == (20, 30, 3)
    assert in_rows([np.zeros((4, 4, 3), np.uint8)] * 2, 2).shape == (4, 14, 3)


def test_weights_are_blue_for_and_orange_against():
    picture = weights_picture(np.array([1.0, -1.0, 0.0, 0.0]), 2)
    assert picture[0, 0, 0] > picture[0, 0, 2] and picture[0, 1, 0] < picture[0, 1, 2]
    assert picture[1].tolist() == [[255] * 3] * 2


def test_a_photo_made_harder_keeps_its_size():
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[:10, 20:40] = 255
    assert turned(frame, 180)[35, 30].tolist() == [255] * 3 and turned(frame, 0).tolist() == frame.tolist()
    small = farther(frame, 0.5)
    assert small.shape == frame.shape and small[12, 30].tolist() == [255] * 3 and small[0, 0].tolist() == [127] * 3


def test_unmatched_boxes_are_those_that_nothing_overlaps():
    boxes, others = np.array([[0, 0, 10, 10], [50, 50, 60, 60]]), np.array([[1, 1, 11, 11]])
    assert unmatched(boxes, others).tolist() == [1]
    assert unmatched(boxes, np.empty((0, 4))).tolist() == [0, 1]
