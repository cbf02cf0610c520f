"""The sample photo, for a first look without a network and for tests: one real face, bare and with a drawn mask.

``assets/astronaut.jpg`` is the portrait of Eileen Collins (NASA, public domain), as scikit-image carries it.
"""

from pathlib import Path

import numpy as np

from core.synthetic.simple import draw_mask
from core.vision.images import read_image

SAMPLE_PATH = Path(__file__).resolve().parent / "assets" / "astronaut.jpg"
# The face in the photo, hairline to chin and cheek to cheek, in pixels of its 512 × 512; the head leans a little.
SAMPLE_FACE_XYXY = (178, 60, 272, 190)
SAMPLE_TILT_DEG = -5.0


def sample_photo(masked: bool) -> np.ndarray:
    """The sample photo, (512, 512, 3) uint8 BGR, bare or with a surgical mask drawn on."""
    frame = read_image(SAMPLE_PATH)
    return draw_mask(frame, SAMPLE_FACE_XYXY, SAMPLE_TILT_DEG) if masked else frame
