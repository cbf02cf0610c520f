from types import SimpleNamespace

import numpy as np
import pytest

from core.vision.detections import make_detections, no_detections
from core.vision.images import LoadedImage
from core.vision.upright import quarters_to_upright


class Detector:
    """Is as sure of a face as ``sure`` says by where the white corner lies: clockwise from the upper left."""

    def __init__(self, sure):
        self.sure, self.calls = sure, 0

    def find(self, frame_bgr, preset, min_score):
        self.calls += 1
        corners = frame_bgr[0, 0], frame_bgr[0, -1], frame_bgr[-1, -1], frame_bgr[-1, 0]
        score = self.sure[next(i for i, corner in enumerate(corners) if corner[0])]
        found = score >= min_score
        return np.zeros((int(found), 4)), np.full(int(found), score), np.tile([0.998, 0.002, 0], (int(found), 1))


@pytest.mark.parametrize(
    ("as_stored", "sure", "quarters", "tries"),
    [
        pytest.param(None, (0, 0.999, 0, 0), 1, 3, id="no face as stored"),
        pytest.param((0.99, 0.95), (0, 0.995, 0.999, 0.1), 2, 3, id="a face, but of which class is not sure"),
        pytest.param((0.99, 0.97), (0, 0.999, 0, 0), 0, 0, id="a sure face: nothing is tried"),
        pytest.param(None, (0, 0.97, 0, 0), 0, 3, id="a face that is not sure enough to turn the photo"),
        pytest.param(None, (0, 0, 0, 0), 0, 3, id="no face in any way"),
    ],
)
def test_a_photo_is_turned_to_where_a_face_is_sure(as_stored, sure, quarters, tries):
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[0, 0] = 255
    found = make_detections([[1, 1, 9, 9]], [1], [as_stored[1]], [as_stored[0]]) if as_stored else no_detections()
    detector = Detector(sure)
    turned = quarters_to_upright(SimpleNamespace(detector=detector), LoadedImage(frame, (60, 40), ""), found)
    assert turned == quarters and detector.calls == tries


def test_a_pipeline_without_a_detector_cannot_tell():
    image = LoadedImage(np.zeros((4, 6, 3), np.uint8), (6, 4), "")
    assert quarters_to_upright(SimpleNamespace(), image, no_detections()) == 0
