import pytest

from core.vision.images import ImageError
from core.vision.photos import PhotoSet
from tests.helpers import StubPipeline, picture_bytes


def file(name, data=None, reads=None):
    def read():
        if reads is not None:
            reads.append(name)
        return picture_bytes(size_wh=(300, 300)) if data is None else data

    return name, f"{name}.png", read


def test_photos_are_judged_once_per_setting_and_forgotten_when_removed():
    photos, detect = PhotoSet(), StubPipeline()
    reads = []
    first, second = photos.show([file("a", reads=reads), file("b", reads=reads)])
    done = []
    photos.judge(detect, "settings", lambda *step: done.append(step))
    assert detect.calls == 2 and done == [(1, 2), (2, 2)]
    assert len(first.detections) == len(second.detections) == 1
    photos.judge(detect, "settings")
    assert detect.calls == 2
    photos.judge(detect, "other settings")
    assert detect.calls == 4 and reads == ["a", "b"], "decoded once"
    (again,) = photos.show([file("b", reads=reads)])
    assert again is second
    (new,) = photos.show([file("a", reads=reads)])
    assert new is not first and new.detections is None
    photos.judge(detect, "other settings")
    assert reads == ["a", "b", "a"], "the pixels of a removed photo were not kept"


def test_a_failure_costs_one_photo_alone(caplog):
    def detect(frame):
        if frame.shape[0] == 77:
            raise RuntimeError("out of luck")
        return StubPipeline()(frame)

    photos = PhotoSet()
    shown = photos.show(
        [file("broken", b"no"), file("bad", picture_bytes(size_wh=(300, 77))), file("good"), file("empty", b"")]
    )
    photos.judge(detect, 1)
    assert "not an image" in shown[0].problem and "could not be classified" in shown[1].problem
    assert not shown[2].problem and len(shown[2].detections) == 1
    assert "empty" in shown[3].problem
    assert "out of luck" in caplog.text and "luck" not in shown[1].problem
    photos.judge(detect, 1)  # what is broken is not tried again and again
    assert caplog.text.count("could not be judged") == 1
    with pytest.raises(ImageError):
        photos.frame(shown[0])


def test_another_way_of_judging_is_kept_beside_the_verdicts():
    photo_set = PhotoSet()
    (photo,) = photo_set.show([("a", "a.png", picture_bytes)])
    photo_set.judge(StubPipeline(0), "own")
    other = StubPipeline(1)
    found, elapsed_ms = photo_set.compare(photo, other, "other")
    assert found.class_id.tolist() == [1] and elapsed_ms >= 0
    photo_set.compare(photo, other, "other")
    assert other.calls == 1, "judged once"
    assert photo.detections.class_id.tolist() == [0], "its own verdicts stay"
    photo_set.compare(photo, other, "other settings")
    assert other.calls == 2
