"""Small things that many tests need. Nothing here imports TensorFlow."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.classes import CLASS_NAMES
from core.detections import make_detections
from core.sample import SAMPLE_FACE_XYXY

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets, where there is one."""
    folder = SHARED / "datasets"
    if not folder.is_dir():
        pytest.skip("needs the data sets in ../shared/datasets, which are not part of the project")
    return folder


@pytest.fixture(scope="session")
def imagenet_weights() -> Path:
    """ImageNet weights of MobileNetV2, where they are at hand."""
    found = sorted((SHARED / "weights").glob("mobilenet_v2*_no_top.h5"))
    if not found:
        pytest.skip("needs the ImageNet weights in ../shared/weights, which are not part of the project")
    return found[0]


def picture_bytes(mode: str = "RGB", size_wh: tuple[int, int] = (40, 30), format: str = "PNG", **options) -> bytes:
    """A picture file with a gradient, encoded by Pillow."""
    width, height = size_wh
    ramp = np.linspace(0, 255, width * height).reshape(height, width).astype(np.uint8)
    data = io.BytesIO()
    image = Image.fromarray(ramp)
    (image if mode == "L" else image.convert(mode)).save(data, format, **options)
    return data.getvalue()


class StubPipeline:
    """Finds the sample's face wherever it is asked, with a verdict of the test's choice; no model needed."""

    classes = CLASS_NAMES

    def __init__(self, class_id: int = 0, confidence: float = 0.9):
        self.face_scores: dict[str, float] = {}
        self.class_id, self.confidence = class_id, confidence
        self.calls = 0

    def __call__(self, frame_bgr, settings=None):
        self.calls += 1
        return make_detections([SAMPLE_FACE_XYXY], [self.class_id], [self.confidence], [0.8])
