"""What makes a detector's numbers probabilities, fitted on validation photos; needs no TensorFlow."""

import numpy as np

from core.vision.calibration import best_offsets, platt_scaling
from core.vision.detections import PROBABILITIES
from core.vision.detector import DEFAULT_PRESET
from core.vision.detector_decode import finite_logit
from core.vision.metrics import calibration_error
from train.detector.operating_points import Seen
from train.detector.targets import UNKNOWN


def calibrate(by_preset: dict[str, list[Seen]]) -> dict:
    """A card's ``calibration``: what makes the centre's logit a probability, by preset, and what calibrates the states.

    Args:
        by_preset: what the detector says of the validation photos with a neutral calibration, ``DEFAULT_PRESET`` among
            the presets.
    """
    centers = {preset: center_calibration(seen) for preset, seen in by_preset.items()}
    logits, states = [], []
    for match in (s.match for photos in by_preset.values() for s in photos):
        known = match.true_class != UNKNOWN
        logits.append(np.log(np.maximum(match.detections.data[PROBABILITIES][match.detection[known]], 1e-9)))
        states.append(match.true_class[known])
    temperature, offsets = best_offsets(np.concatenate(logits), np.concatenate(states))
    return {
        "center_scale": centers[DEFAULT_PRESET][0],
        "center_offset": centers[DEFAULT_PRESET][1],
        "centers": centers,
        "temperature": round(temperature, 4),
        "state_offsets": [round(float(offset), 4) for offset in offsets],
    }


def center_calibration(seen: list[Seen]) -> list[float]:
    """Scale and offset of the centre's logit (``platt_scaling``); 1 and 0 where the photos cannot tell."""
    logits, is_face = [], []
    for s in seen:
        face = np.isin(np.arange(len(s.score)), s.match.detection)
        counts = face | s.match.is_false_alarm  # what nobody can tell says nothing
        logits.append(finite_logit(s.score[counts]))
        is_face.append(face[counts])
    targets = np.concatenate(is_face)
    if 0 < targets.sum() < len(targets):
        scale, offset = platt_scaling(np.concatenate(logits), targets)
        if scale > 0:
            return [round(scale, 4), round(offset, 4)]
    return [1.0, 0.0]


def prediction_calibration_error(seen: list[Seen]) -> float | None:
    """Calibration error of the predicted states, over the faces of all sizes that were found; 0..1."""
    return calibration_error(
        np.concatenate([s.match.detections.confidence[s.match.detection] for s in seen]),
        np.concatenate([s.match.is_right for s in seen]),
    )
