"""Made tracks at a place."""

import numpy as np
import pytest

from core.video.tracker import NO_NUMBER
from core.video.zones import Place, PlaceCounter, draw_place
from core.vision.detections import make_detections

SIZE = (640, 480)
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
DOWN = ((0.5, 0.2), (0.5, 0.8))  # from top to bottom, so in is to the left of the picture


def look(*people, face_px=40):
    """``people``: (number, x, y)."""
    boxes = [[x - face_px / 2, y - face_px / 2, x + face_px / 2, y + face_px / 2] for _, x, y in people]
    found = make_detections(np.array(boxes).reshape(-1, 4), [0] * len(people))
    found.tracker_id = np.array([number for number, *_ in people], int)
    return found


def walk(counter, xs, number=1, y=240, start_s=0.0, step_s=0.1):
    for i, x in enumerate(xs):
        counter.update(look((number, x, y)), start_s + i * step_s, SIZE)
    return counter.counts(start_s + (len(xs) - 1) * step_s)


def test_who_crosses_the_line_counts_once_in_and_once_out():
    counter = PlaceCounter(Place(line=DOWN))
    counts = walk(counter, range(600, 40, -20))
    assert (counts.went_in, counts.went_out) == (1, 0)
    counts = walk(counter, range(40, 600, 20), start_s=10)
    assert (counts.went_in, counts.went_out) == (1, 1)
    counts = walk(PlaceCounter(Place(line=DOWN).turned()), range(600, 40, -20))
    assert (counts.went_in, counts.went_out) == (0, 1)


def test_nobody_counts_without_a_number_beside_the_line_or_for_trembling_on_it():
    counts = walk(PlaceCounter(Place(line=DOWN)), range(600, 40, -20), number=NO_NUMBER)
    assert (counts.went_in, counts.inside) == (0, 0)
    counts = walk(PlaceCounter(Place(line=DOWN)), range(600, 40, -20), y=440)
    assert counts.went_in == 0, "below its lower end"
    counts = walk(PlaceCounter(Place(line=DOWN)), [340, 326, 314, 327, 313, 340, 318, 322])
    assert (counts.went_in, counts.went_out) == (0, 0)


def test_one_who_jumps_over_the_line_between_two_looks_counts_and_two_are_told_apart():
    counter = PlaceCounter(Place(line=DOWN))
    counter.update(look((1, 500, 200), (2, 100, 300)), 0.0, SIZE)
    counter.update(look((1, 100, 200), (2, 500, 300)), 0.5, SIZE)
    counts = counter.counts(0.5)
    assert (counts.went_in, counts.went_out) == (1, 1)


def test_dwell_time_is_that_inside_the_zone():
    counter = PlaceCounter(Place(zone=LEFT_HALF))
    for tick in range(11):  # one stays for a second, another comes after half of it
        people = [(1, 100, 200)] + ([(2, 300, 200)] if tick >= 5 else [(2, 400, 200)])
        inside = counter.update(look(*people), tick / 10, SIZE)
    counts = counter.counts(1.0)
    assert inside == {1, 2} and counts.inside == 2
    assert counts.dwell_s == pytest.approx(0.75) and counts.longest_s == pytest.approx(1.0)
    counter.update(look((1, 500, 200)), 1.2, SIZE)
    assert counter.counts(1.2).inside == 1
    counter.update(look(), 4.0, SIZE)
    counts = counter.counts(4.0)
    assert counts.inside == 0 and counts.longest_s is None
    assert counts.dwell_s == pytest.approx((1.2 + 0.5) / 2), "the second left when last seen"


def test_without_a_zone_everybody_is_inside_and_a_place_fits_every_size():
    assert PlaceCounter(Place()).update(look((1, 639, 479)), 0.0, SIZE) == {1}
    counter = PlaceCounter(Place(zone=LEFT_HALF))
    assert counter.update(look((1, 500, 240)), 0.0, (1280, 720)) == {1}
    assert counter.update(look((1, 700, 240)), 0.1, (1280, 720)) == set()


def test_those_who_left_are_forgotten():
    counter = PlaceCounter(Place(LEFT_HALF, DOWN))
    for number in range(1, 50):
        counter.update(look((number, 100, 200)), number * 3.0, SIZE)
    assert len(counter._seen_s) == len(counter._sides) == len(counter._since_s) == 1
    assert counter.counts(150).dwell_s is not None


def test_a_place_is_drawn_on_a_copy_and_mirrored_with_the_picture():
    frame = np.full((480, 640, 3), 90, np.uint8)
    place = Place(LEFT_HALF, ((0.25, 0.2), (0.25, 0.8)))
    drawn = draw_place(frame, place)
    assert (frame == 90).all() and (drawn[240, 160] != 90).any() and (drawn[100, 480] == 90).all()
    arrow = np.argwhere(drawn[240, :, 0] == 255).ravel()
    assert arrow.min() < 130 and arrow[arrow < 300].max() < 165, "it points to the left, which is in"
    other = draw_place(frame, place.mirrored())
    arrow = np.argwhere(other[240, :, 0] == 255).ravel()
    assert arrow.max() > 510, "in the mirror to the right"
    assert (other[240, 480] != 90).any() and place.mirrored().mirrored() == place
