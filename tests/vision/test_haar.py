import cv2
import numpy as np
import pytest

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.boxes import overlaps
from core.vision.haar import HaarFaceFinder, HaarSettings
from core.vision.model_card import ModelError


@pytest.fixture(scope="module")
def find():
    return HaarFaceFinder()


def best_overlap(boxes):
    return overlaps(boxes, [SAMPLE_FACE_XYXY]).max(initial=0)


@pytest.mark.parametrize("settings", [HaarSettings(), HaarSettings(cascade="default"), HaarSettings(cascade="alt2")])
def test_the_sample_face_is_found_in_pixels_of_the_frame(find, settings):
    xyxy, score = find(sample_photo(False), settings)
    assert best_overlap(xyxy) > 0.4
    assert score.shape == (len(xyxy),) and ((score >= 0) & (score <= 1)).all()


def test_boxes_come_back_in_pixels_of_a_large_frame_that_is_not_square(find):
    frame = np.full((1200, 2400, 3), 128, np.uint8)
    frame[500:1012, 1600:2112] = sample_photo(False)
    xyxy, _ = find(frame, HaarSettings(max_side=1600))
    assert overlaps(xyxy, [np.add(SAMPLE_FACE_XYXY, [1600, 500, 1600, 500])]).max(initial=0) > 0.4


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(np.full((480, 640, 3), 99, np.uint8), id="plain"),
        pytest.param(np.zeros((1, 1, 3), np.uint8), id="one pixel"),
        pytest.param(np.zeros((2, 3000, 3), np.uint8), id="a line"),
    ],
)
def test_no_face(find, frame):
    for profile in (False, True):
        xyxy, score = find(frame, HaarSettings(profile=profile), 24)
        assert xyxy.shape == (0, 4) and score.shape == (0,)


def test_smaller_faces_than_asked_for_are_not_looked_for(find):
    assert best_overlap(find(sample_photo(False), HaarSettings(), 200)[0]) < 0.4
    assert best_overlap(find(sample_photo(False), HaarSettings(min_face_px=200))[0]) < 0.4


def test_the_profile_cascade_adds_and_never_doubles(find):
    plain, _ = find(sample_photo(False), HaarSettings())
    more, score = find(sample_photo(False), HaarSettings(profile=True))
    assert len(more) >= len(plain) and len(score) == len(more)
    assert (overlaps(more, [SAMPLE_FACE_XYXY]) > 0.4).sum() == 1


@pytest.mark.parametrize(
    "wrong",
    [{"cascade": "cat"}, {"scale_factor": 1.0}, {"min_neighbors": -1}, {"max_side": 0}, {"min_face_px": -1}],
    ids=str,
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HaarSettings(**wrong)


def test_an_opencv_without_cascades_gets_a_sentence(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(ModelError, match=r"install opencv-python-headless>=4\.12,<5"):
        HaarFaceFinder()


def test_a_face_in_the_mirrored_profile_comes_back_on_its_own_side(find, monkeypatch):
    frame = np.zeros((100, 300, 3), np.uint8)
    frame[:, 250:] = 255  # light on the right; in the mirror on the left

    def search(cascade, grey, settings, min_side):
        seen = cascade == "profile" and grey[50, 10] > grey[50, 290]
        return np.array([[10, 20, 50, 60]] if seen else [], np.float32).reshape(-1, 4), np.ones(int(seen), np.float32)

    monkeypatch.setattr(find, "_search", search)
    (box,) = find(frame, HaarSettings(profile=True))[0]
    assert 250 <= box[0] < box[2] <= 290
