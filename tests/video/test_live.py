import threading
import time
from datetime import timezone

import numpy as np
import pytest

from core.language import current, using
from core.synthetic.sample import SAMPLE_FACE_XYXY
from core.video import live, record
from core.video.live import LiveProcessor, Pace
from core.video.record import Keeper, Recorder
from core.vision.detections import no_detections
from core.vision.stats import FrameStats
from tests.helpers import StubPipeline, wait_until

FRAME = np.full((480, 640, 3), 90, np.uint8)


@pytest.fixture
def processor():
    made = LiveProcessor(StubPipeline())
    yield made
    made.close()


def test_boxes_appear_and_counters_move(processor):
    assert (processor.recv(FRAME) == FRAME).all(), "the first frame is shown at once, without boxes"
    wait_until(lambda: processor.stats.snapshot().analysed_frames)
    assert (processor.recv(FRAME) != FRAME).any()
    wait_until(lambda: processor.recv(FRAME) is not None and processor.stats.snapshot().now.counts == (1, 0, 0))


def test_the_picture_does_not_wait_for_a_slow_model_and_old_frames_are_dropped():
    seen, done = [], threading.Event()

    def slow(frame):
        seen.append(int(frame[0, 0, 0]))
        assert done.wait(60)
        return StubPipeline()(frame)

    processor = LiveProcessor(slow)
    for i in range(60):
        processor.recv(np.full((480, 640, 3), i, np.uint8))
        if i == 0:
            wait_until(lambda: seen)
    done.set()  # all frames are through, while the model looked at the first
    wait_until(lambda: seen[-1] == 59)
    processor.close()
    assert seen == [0, 59], "and the newest is next"


def test_an_error_leaves_the_picture_running_and_is_shown_until_it_is_over(monkeypatch, caplog):
    monkeypatch.setattr(live, "RETRY_S", 0.01)
    broken = threading.Event()
    broken.set()

    def detect(frame):
        if broken.is_set():
            raise RuntimeError("no model")
        return StubPipeline()(frame)

    processor = LiveProcessor(detect)
    for _ in range(20):
        assert (processor.recv(FRAME) == FRAME).all()
        time.sleep(0.005)
    wait_until(lambda: processor.stats.snapshot().error)
    time.sleep(0.1)
    assert "no model" not in processor.stats.snapshot().error, "a sentence for people"
    (record,) = (record for record in caplog.records if "failed" in record.message)
    assert "no model" in str(record.exc_info[1]), "the log says it, once"
    broken.clear()
    wait_until(lambda: processor.recv(FRAME) is not None and processor.stats.snapshot().error is None)
    wait_until(lambda: (processor.recv(FRAME) != FRAME).any())
    processor.close()


def test_labels_are_in_the_language_of_who_watches_and_so_are_errors(monkeypatch):
    drawn_in = set()
    monkeypatch.setattr(live, "annotate", lambda frame, detections: drawn_in.add(current()) or frame)
    with using("fr"):
        processor = LiveProcessor(StubPipeline())
    wait_until(lambda: processor.recv(FRAME) is not None and drawn_in)
    assert drawn_in == {"fr"}
    processor.language = "en"  # the visitor has chosen another one
    processor.recv(FRAME)
    processor.close()
    assert drawn_in == {"fr", "en"}
    processor.stats.fail("Mask")
    with using("fr"):
        assert processor.moment().counts.error == "Masque"


def test_a_new_detector_takes_effect_while_the_stream_runs(processor):
    wait_until(lambda: processor.recv(FRAME) is not None and processor.stats.snapshot().now.counts == (1, 0, 0))
    processor.detect = StubPipeline(class_id=1)

    def bare():
        processor.recv(FRAME)
        return processor.stats.snapshot().now.counts == (0, 1, 0)

    wait_until(bare)


def test_old_boxes_are_not_drawn(processor):
    processor.recv(FRAME)
    wait_until(lambda: processor.stats.snapshot().analysed_frames)
    processor._seen_at -= 100
    assert (processor.recv(FRAME) == FRAME).all()


def test_mirror_turns_the_picture():
    processor = LiveProcessor()
    frame = FRAME.copy()
    frame[:, :10] = 255
    processor.mirror = True
    shown = processor.recv(frame)
    assert (shown[:, -10:] == 255).all() and (shown[:, :10] == 90).all()


def test_the_thread_ends_with_the_stream_and_starts_again(processor):
    processor.recv(FRAME)
    wait_until(lambda: processor.stats.snapshot().analysed_frames)
    worker = processor._worker
    processor.close()
    worker.join(2)
    assert not worker.is_alive()
    assert processor.stats.snapshot().analysed_frames == 0, "the next start counts anew"
    wait_until(lambda: processor.recv(FRAME) is not None and processor.stats.snapshot().analysed_frames >= 1)


def test_a_detector_that_answers_nonsense_leaves_the_picture_running(monkeypatch):
    monkeypatch.setattr(live, "RETRY_S", 0.01)
    processor = LiveProcessor(lambda frame: None)
    processor.recv(FRAME)
    wait_until(lambda: processor.stats.snapshot().error)
    assert (processor.recv(FRAME) == FRAME).all()
    processor.close()


def test_the_thread_ends_when_frames_stop_coming(monkeypatch):
    monkeypatch.setattr(live, "IDLE_S", 0.05)
    processor = LiveProcessor(StubPipeline())
    processor.recv(FRAME)
    worker = processor._worker
    worker.join(2)
    assert not worker.is_alive()
    processor.recv(FRAME)
    wait_until(lambda: processor.stats.snapshot().analysed_frames >= 2)


def test_a_picture_that_stalls_for_some_seconds_counts_nobody_twice(processor):
    wait_until(lambda: processor.recv(FRAME) is not None and processor.stats.snapshot().people.faces == 1)
    processor._worker.join(3.2)
    looked = processor.stats.snapshot().analysed_frames
    wait_until(lambda: processor.recv(FRAME) is not None and processor.stats.snapshot().analysed_frames >= looked + 5)
    assert processor.stats.snapshot().people.faces == 1


def test_a_person_is_counted_once_and_what_they_wear_is_told_when_looks_agree(processor):
    processor.recv(FRAME)
    wait_until(lambda: processor.stats.snapshot().analysed_frames == 1)
    assert processor.stats.snapshot().now.unknown == 1, "one look is not enough"

    def seen():
        processor.recv(FRAME)
        return processor.stats.snapshot().analysed_frames >= 6

    wait_until(seen)
    snapshot = processor.stats.snapshot()
    assert snapshot.now.counts == snapshot.people.counts == (1, 0, 0)
    processor.use(lambda frame: StubPipeline(confidence=0.5)(frame), "another model")
    wait_until(lambda: processor.recv(FRAME) is not None and processor.stats.snapshot().now.unknown == 1)
    processor.close()
    assert processor.stats.snapshot().people.faces == 0


def test_boxes_lie_on_the_faces_in_the_mirror_too(processor, monkeypatch):
    wait_until(lambda: processor.recv(FRAME) is not None and processor.stats.snapshot().now.counts == (1, 0, 0))
    monkeypatch.setattr(live, "annotate", lambda frame, found: found.xyxy)
    (x1, y1, x2, y2), width = processor.recv(FRAME)[0], FRAME.shape[1]
    processor.mirror = True
    assert processor.recv(FRAME)[0].tolist() == pytest.approx([width - x2, y1, width - x1, y2], abs=1)


def hidden_at(shown, frame, box):
    x1, y1, x2, y2 = (round(v) for v in box)
    return len(np.unique(shown[y1 + 8 : y2 - 8, x1 + 8 : x2 - 8].reshape(-1, 3), axis=0)) <= 36


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


def test_blur_covers_all_until_faces_are_known_then_them_alone_also_small_and_unclear_ones(noise, monkeypatch):
    processor = LiveProcessor(StubPipeline(confidence=0.3))
    processor.blur, processor.min_face_px = True, 1000
    first = processor.recv(noise)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) <= 36, "a mosaic of the whole picture"
    assert processor.snapshot() is first

    def only_the_face():
        shown = processor.recv(noise)
        return (shown[-50:] == noise[-50:]).all() and hidden_at(shown, noise, SAMPLE_FACE_XYXY)

    wait_until(only_the_face)
    assert processor.stats.snapshot().now.hidden == 1 and processor.moment().covered
    # The switch works at once, both ways, and no snapshot is left without blur.
    processor.blur = False
    assert (processor.recv(noise) == noise).all() and processor.snapshot() is not None
    processor.blur = True
    assert processor.snapshot() is None
    processor.close()


def test_blur_covers_the_whole_picture_when_the_analysis_fails_or_is_too_old(noise, monkeypatch):
    monkeypatch.setattr(live, "RETRY_S", 0.01)
    processor = LiveProcessor(StubPipeline())
    processor.blur = True
    wait_until(lambda: (processor.recv(noise)[-50:] == noise[-50:]).all())

    def broken(frame):
        raise RuntimeError("no model")

    processor.detect = broken
    monkeypatch.setattr(live, "MAX_BLUR_AGE_S", 0.05)
    wait_until(lambda: processor.recv(noise) is not None and processor.stats.snapshot().error)
    time.sleep(0.06)
    assert len(np.unique(processor.recv(noise)[-50:].reshape(-1, 3), axis=0)) <= 36
    assert not processor.moment().covered
    processor.detect = None
    assert len(np.unique(processor.recv(noise).reshape(-1, 3), axis=0)) <= 36
    processor.close()


def test_blur_stays_on_a_face_that_one_look_misses_and_lies_on_it_in_the_mirror(noise):
    looks = iter([True] * 5 + [False] * 1000)
    processor = LiveProcessor(lambda frame: StubPipeline()(frame) if next(looks) else no_detections())
    processor.blur = processor.mirror = True

    def missed():
        processor.recv(noise)
        return processor.stats.snapshot().analysed_frames > 6

    wait_until(missed)
    shown = processor.recv(noise)
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    assert processor.stats.snapshot().now.faces == 0 and hidden_at(shown, noise, (640 - x2, y1, 640 - x1, y2))
    processor.close()


def test_counters_minutes_and_today_are_of_one_moment_and_the_record_has_everybody(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    recorder, processor = Recorder(), LiveProcessor(StubPipeline())
    processor.keep(Keeper(recorder, "Door", timezone.utc))
    wait_until(lambda: processor.recv(FRAME) is not None and processor.moment().counts.now.counts == (1, 0, 0))
    told = processor.moment()
    by_minute = sum((stats for _, stats in told.by_minute), FrameStats())
    assert told.counts.people.counts == by_minute.counts == told.today.counts == (1, 0, 0)
    processor.close()
    assert recorder.flush()
    assert sum(record.people_by_quarter(0, 1e10).values()) == 1 and record.cameras() == ["Door"]
    wait_until(lambda: processor.recv(FRAME) is not None and processor.moment().counts.now.counts == (1, 0, 0))
    assert processor.moment().counts.people.faces == 1 and processor.moment().today.counts == (2, 0, 0)
    processor.keep(None)
    processor.close()
    assert recorder.flush()
    assert sum(record.people_by_quarter(0, 1e10).values()) == 1, "switched off, nothing more is kept"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(live, "time", made)
    return made


def play(pace, clock, seconds, left_out):
    """Thirty frames a second, of which some are left out before each that is drawn."""
    for _ in range(seconds * 30 // (1 + left_out)):
        pace.frame(left_out)
        clock.now += (1 + left_out) / 30


def rest_after(pace, clock, took_s=0.05):
    with pace.turn():
        clock.now += took_s
    before = clock.now
    with pace.turn():
        return (clock.now - before) / took_s


def test_where_pictures_do_not_keep_up_looking_for_faces_gives_way_first_and_then_their_size(clock):
    pace = Pace()
    play(pace, clock, 10, left_out=0)
    assert rest_after(pace, clock) == pytest.approx(live.REST_SHARE, abs=0.01) and not pace.busy
    play(pace, clock, 5, left_out=1)
    assert rest_after(pace, clock) > 5 * live.REST_SHARE and pace.busy and not pace.smaller
    play(pace, clock, 10, left_out=1)
    assert pace.smaller
    play(pace, clock, 60, left_out=0)
    assert not pace.smaller and not pace.busy and rest_after(pace, clock) < 2 * live.REST_SHARE


def test_a_size_that_is_soon_too_much_again_waits_longer(clock):
    pace = Pace()
    play(pace, clock, 15, left_out=1)
    assert pace.smaller
    play(pace, clock, 40, left_out=1)  # as soon as it is large again
    clock.now = pace._small_until - live.SMALLER_S - 1
    assert pace.smaller


def test_a_smaller_picture_is_for_the_screen_alone():
    pace = Pace()
    pace._small_until = time.monotonic() + 100
    processor = LiveProcessor(pace=pace)
    assert processor.recv(FRAME).shape == (240, 320, 3)
    assert processor.snapshot().shape == FRAME.shape
    assert processor.recv(FRAME[:180, :320]).shape == (180, 320, 3), "what is small stays as it is"


def test_two_videos_take_turns():
    pace, seen = Pace(), []

    def look(name):
        def detect(frame):
            seen.append(name)
            time.sleep(0.02)
            return StubPipeline()(frame)

        return detect

    both = [LiveProcessor(look(name), pace=pace) for name in "ab"]
    wait_until(lambda: [each.recv(FRAME) for each in both] and len(seen) >= 12)
    for each in both:
        each.close()
    assert abs(seen.count("a") - seen.count("b")) <= 2
