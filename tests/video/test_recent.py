import dataclasses
import time

import cv2
import numpy as np
import pytest

from core.video import recent
from core.video.live import LiveProcessor
from core.video.recent import RecentFaces, sharpness
from core.vision.classes import CLASS_NAMES
from core.vision.detections import make_detections
from tests.helpers import StubPipeline, wait_until

NOISE = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
BLURRED = cv2.GaussianBlur(NOISE, (0, 0), 4)


def people(*boxes, numbers=None, predicted=True, face_score=0.9):
    found = make_detections(
        boxes, [1] * len(boxes), [0.8] * len(boxes), [face_score] * len(boxes), predicted=[predicted] * len(boxes)
    )
    return dataclasses.replace(found, tracker_id=np.array(numbers or range(1, len(boxes) + 1)))


def box(left=100, size=100):
    return (left, 100, left + size, 100 + size)


@pytest.fixture
def faces():
    return RecentFaces()


@pytest.fixture
def now():
    return time.monotonic()


def test_the_largest_and_sharpest_picture_of_a_person_is_kept_with_what_they_wear_now(faces, now):
    faces.look(BLURRED, people(box()), now)
    blurred = faces.all()[0]
    faces.look(NOISE, people(box()), now)
    (sharp,) = faces.all()
    assert sharp.quality > blurred.quality and sharp.key == blurred.key
    assert sharpness(sharp.picture_bgr) > sharpness(blurred.picture_bgr)
    faces.look(NOISE, people(box(size=60), predicted=False), now)
    (same,) = faces.all()
    assert same.picture_bgr is sharp.picture_bgr, "a smaller face is no better picture"
    assert sharp.name == CLASS_NAMES[1] and same.name is None
    faces.look(NOISE, people(box(size=140)), now)
    (large,) = faces.all()
    x1, y1, x2, y2 = large.face_xyxy.round().astype(int)
    assert (x2 - x1, y2 - y1) == (140, 140)
    assert (large.picture_bgr[y1:y2, x1:x2] == NOISE[100:240, 100:240]).all(), "it lies where it says"


def test_a_face_at_the_edge_and_a_very_large_one_keep_their_place(faces, now):
    faces.look(NOISE, people((-20, 5, 80, 100), (150, 0, 630, 480)), now)
    edge, large = faces.all()
    assert edge.picture_bgr.shape[1] < 130 and edge.face_xyxy[0] == -20
    assert max(large.picture_bgr.shape) <= recent.MAX_SIDE and (large.face_xyxy <= recent.MAX_SIDE + 1).all()


def test_who_has_no_number_yet_or_is_far_away_is_left_out(faces, now):
    faces.look(NOISE, people(box(), box(300, 20), numbers=[-1, 2]), now)
    faces.look(NOISE, make_detections([box()], [0]), now)
    faces.look(NOISE, people(), now)
    assert not faces.all()


def test_of_many_people_those_seen_longest_ago_are_forgotten_and_all_after_a_while(faces, now, monkeypatch):
    for number in range(1, recent.MAX_FACES + 4):
        faces.look(NOISE, people(box(), numbers=[number]), now + number / 100)
    assert [face.key for face in faces.all()] == [str(k) for k in range(4, recent.MAX_FACES + 4)]
    monkeypatch.setattr(recent, "FORGET_S", -1.0)
    assert not faces.all()


def test_who_was_filed_or_thrown_away_does_not_come_back_before_the_next_video(faces, now):
    faces.look(NOISE, people(box(), box(300)), now)
    first, second = faces.all()
    assert faces.take(first.key) is first and faces.take(first.key) is None
    faces.look(NOISE, people(box(), box(300)), now)
    assert [face.key for face in faces.all()] == [second.key]
    faces.new_video()
    faces.look(NOISE, people(box()), now)
    assert len(faces.all()) == 2, "another person one; those of the video before wait on"


def test_live_video_collects_only_while_it_is_on_and_keeps_nothing_alive(faces):
    processor = LiveProcessor(StubPipeline())
    frame = np.full((480, 640, 3), 90, np.uint8)

    def counted():
        processor.recv(frame)
        return processor.moment().counts.now.counts == (1, 0, 0)

    wait_until(counted)
    assert not faces.all(), "off: nothing is kept"
    processor.collect(faces)
    wait_until(lambda: processor.recv(frame) is not None and faces.all())
    processor.close()
    assert len(faces.all()) == 1, "after Stop they wait"
    wait_until(lambda: counted() and len(faces.all()) == 2)  # the next video numbers people anew
    processor.collect(RecentFaces())
    assert processor._recent() is None, "gone with its owner"
    processor.close()


def test_the_moment_tells_when_the_newest_frame_came():
    processor = LiveProcessor()
    assert processor.moment().frame_s is None
    processor.recv(NOISE)
    assert processor.moment().frame_s <= time.monotonic()
    processor.close()
    assert processor.moment().frame_s is None
