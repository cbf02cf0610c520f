"""Which way up a photo is, where its file does not say: asked only if no face is sure the way it is stored."""

import supervision as sv

from core.vision.detections import FACE_SCORE
from core.vision.images import LoadedImage, turn_frame
from core.vision.pipeline import Pipeline

# How sure a face must be, by its own probability times that of its class: as stored, for nothing else to be tried; and
# turned, for that to be right. Of 150 street photos and 92 without a face, these turned none that was upright, and put
# half of those upright that were on their side or upside down; one photo with faces in five is tried at all.
SURE, SURE_TURNED = 0.95, 0.985
PRESET = "fast"


def quarters_to_upright(pipeline: Pipeline, image: LoadedImage, found: sv.Detections) -> int:
    """By how many quarters a photo must be turned clockwise so that its faces are upright; 0 if that is not clear.

    Args:
        pipeline: what found the faces; one without a detector cannot tell.
        image: the photo as it is stored.
        found: what was found in it.
    """
    detector = getattr(pipeline, "detector", None)
    if detector is None or (found.data[FACE_SCORE] * found.confidence).max(initial=0) >= SURE:
        return 0
    sure = {}
    for quarters in (1, 2, 3):
        _, face_score, states = detector.find(turn_frame(image.frame_bgr, quarters), PRESET, SURE_TURNED)
        sure[quarters] = (face_score * states.max(axis=1)).max(initial=0)
    best = max(sure, key=lambda quarters: sure[quarters])
    return best if sure[best] >= SURE_TURNED else 0
