import threading
import time

import numpy as np
import pytest

from core.video import live
from core.video.live import LiveProcessor
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
    seen = []

    def slow(frame):
        seen.append(int(frame[0, 0, 0]))
        time.sleep(0.3)
        return StubPipeline()(frame)

    processor = LiveProcessor(slow)
    started = time.monotonic()
    for i in range(60):
        processor.recv(np.full((480, 640, 3), i, np.uint8))
        time.sleep(0.01)
    elapsed = time.monotonic() - started
    wait_until(lambda: seen and seen[-1] == 59)
    processor.close()
    assert elapsed < 2.5, "60 frames at 10 ms each are through, while the model managed a few"
    assert len(seen) <= elapsed / 0.3 + 3
    assert seen == sorted(seen), "always a newer frame"


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
