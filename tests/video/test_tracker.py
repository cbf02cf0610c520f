"""People in made sequences, whose truth is known."""

import time

import numpy as np
import pytest

from core.video.tracker import MAX_GONE_S, NO_NUMBER, PersonTracker
from core.vision.detections import PREDICTED, make_detections

FPS = 10


def frame(faces, size=60):
    """``faces``: (x, y, probability of a mask), or (x, y, probability, face score)."""
    xyxy = [[x - size / 2, y - size / 2, x + size / 2, y + size / 2] for x, y, *_ in faces]
    mask = np.array([face[2] for face in faces], float)
    probabilities = np.stack([mask, 1 - mask, 0 * mask], axis=1).reshape(-1, 3)
    class_id = probabilities.argmax(axis=1)
    scores = [face[3] if len(face) > 3 else 0.9 for face in faces]
    return make_detections(xyxy, class_id, probabilities.max(axis=1, initial=0), scores, probabilities=probabilities)


def follow(frames, tracker=None, start_s=0.0, fps=FPS):
    tracker = tracker or PersonTracker()
    return tracker, [tracker.update(frame(faces), start_s + i / fps) for i, faces in enumerate(frames)]


def test_a_person_who_walks_by_is_counted_once_and_has_a_state_from_the_third_look():
    tracker, seen = follow([[(50 + 15 * i, 200, 0.9)] for i in range(30)])
    assert [found.tracker_id[0] for found in seen] == [NO_NUMBER] * 2 + [1] * 28
    assert [bool(found.data[PREDICTED][0]) for found in seen] == [False] * 2 + [True] * 28
    assert tracker.people().counts == (1, 0, 0)


def test_one_bad_look_changes_nothing_and_a_mask_taken_off_is_noticed():
    tracker, seen = follow([[(100, 100, 0.05 if i == 10 else 0.95)] for i in range(20)])
    assert all(found.class_id[0] == 0 for found in seen), "no flicker"
    _, later = follow([[(100, 100, 0.05)] for _ in range(20)], tracker, start_s=2.0)
    changed = [found.class_id[0] for found in later].index(1)
    assert 2 <= changed <= 10, "within a second, but not at once"
    assert tracker.people().counts == (0, 1, 0), "still one person"


def test_two_people_who_cross_keep_their_numbers_and_states():
    frames = [[(50 + 20 * i, 200, 0.95), (650 - 20 * i, 215, 0.05)] for i in range(30)]
    # Where they hide each other, one of them is not found.
    for i in (14, 15, 16):
        frames[i] = frames[i][:1]
    tracker, seen = follow(frames)
    first, last = seen[5], seen[-1]
    assert first.tracker_id.tolist() == last.tracker_id.tolist() == [1, 2]
    assert last.class_id.tolist() == [0, 1]
    assert tracker.people().counts == (1, 1, 0)


@pytest.mark.parametrize(("gone_s", "people"), [(MAX_GONE_S - 0.3, 1), (MAX_GONE_S + 0.5, 2)])
def test_who_returns_soon_is_the_same_person_and_later_another_one(gone_s, people):
    tracker, _ = follow([[(300, 200, 0.9)] for _ in range(10)])
    follow([[] for _ in range(3)], tracker, start_s=1.0)
    follow([[(310, 205, 0.9)] for _ in range(10)], tracker, start_s=0.9 + gone_s)
    assert tracker.people().counts == (people, 0, 0)


def test_on_a_busy_machine_nobody_leaves_between_two_looks():
    """Three seconds apart; who is not there at a look has left by the next."""
    tracker, _ = follow([[(300, 200, 0.9)] for _ in range(8)], fps=1 / 3)
    assert tracker.people().counts == (1, 0, 0)
    follow([[], [(300, 200, 0.9)], [(300, 200, 0.9)], [(300, 200, 0.9)]], tracker, start_s=24, fps=1 / 3)
    assert tracker.people().counts == (2, 0, 0)
    follow([[(300, 200, 0.9)] for _ in range(3)], tracker, start_s=100)
    assert tracker.people().counts == (3, 0, 0), "after long it may be somebody else"


def test_what_is_hardly_a_face_begins_nobody_but_continues_somebody():
    tracker, _ = follow([[(100, 100, 0.9, 0.3)] for _ in range(10)])
    assert tracker.people().faces == 0
    tracker, seen = follow([[(100, 100, 0.9, 0.9 if i < 4 else 0.3)] for i in range(20)])
    assert seen[-1].tracker_id[0] == 1 and tracker.people().faces == 1


def test_a_flash_is_no_person():
    tracker, seen = follow([[(100, 100, 0.9)], [], [(500, 100, 0.9)], [], [(300, 300, 0.9)]] * 3, fps=2)
    assert all((found.tracker_id == NO_NUMBER).all() for found in seen)
    assert tracker.people().faces == 0


def test_boxes_move_on_between_two_looks_but_not_for_ever():
    tracker, seen = follow([[(100 + 20 * i, 100, 0.9)] for i in range(10)])
    moved = tracker.shown(0.9 + 0.1).xyxy[0] - seen[-1].xyxy[0]
    assert moved == pytest.approx([20, 0, 20, 0], abs=3)
    assert tracker.shown(60).xyxy[0][0] - seen[-1].xyxy[0][0] < 120
    assert seen[-1].xyxy[0].tolist() == frame([(280, 100, 0.9)]).xyxy[0].tolist(), "what was found stays as it is"


def test_unclear_faces_stay_without_a_state_and_are_counted_as_such():
    tracker, seen = follow([[(100, 100, 0.5 + 0.04 * (-1) ** i)] for i in range(30)])
    assert not any(found.data[PREDICTED][0] for found in seen)
    assert tracker.people().unknown == 1 and sum(tracker.people().counts) == 0


def test_other_classes_start_anew():
    tracker, _ = follow([[(100, 100, 0.9)] for _ in range(5)])
    other = make_detections([[70, 70, 130, 130]], [1], classes=("helmet", "cap"))
    assert tracker.update(other, 1.0).tracker_id.tolist() == [NO_NUMBER]
    assert tracker.people().faces == 0 and tracker.people().classes == ("helmet", "cap")


def test_a_crowd_walks_in_lines_and_is_counted_within_five_percent():
    """Twenty people, two looks in ten missed, boxes that tremble, wrong answers now and then."""
    rng = np.random.default_rng(3)
    lanes = [
        (60 + 75 * (k // 4), (1 if k % 2 else -1) * (60 + 20 * (k % 4)), 3.0 * (k % 4), k % 3 != 0) for k in range(20)
    ]
    frames = []
    for i in range(12 * FPS):
        now, faces = i / FPS, []
        for y, speed, start_s, masked in lanes:
            x = (0 if speed > 0 else 640) + speed * (now - start_s)
            if now >= start_s and 0 <= x <= 640 and rng.random() > 0.2:
                right = rng.random() > 0.1
                faces.append((x + rng.normal(0, 2), y + rng.normal(0, 2), 0.9 if masked == right else 0.1))
        frames.append(faces)
    tracker, _ = follow(frames)
    seen = tracker.people()
    assert abs(seen.faces - 20) <= 1, seen
    truth = sum(masked for *_, masked in lanes)
    assert abs(seen.counts[0] - truth) <= 1 and seen.unknown == 0


def test_twenty_faces_cost_little():
    tracker = PersonTracker()
    faces = [(40 + 60 * (k % 10), 100 + 150 * (k // 10), 0.9) for k in range(20)]
    times = []
    for i in range(60):
        found = frame([(x + i % 3, y, p) for x, y, p in faces])
        started = time.process_time()
        tracker.update(found, i / FPS)
        tracker.shown(i / FPS + 0.05)
        times.append(time.process_time() - started)
    assert np.median(times) < 0.006, "1.5 ms on a free machine; tests may share theirs"
