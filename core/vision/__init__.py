"""From a frame to who wears a mask in it.

>>> from core.vision import annotate, detect_masks, load, read_image
>>> frame_bgr = read_image("core/synthetic/assets/astronaut.jpg")
>>> detections = detect_masks(frame_bgr, load())
>>> picture_bgr = annotate(frame_bgr, detections)
>>> detections.data["class_name"].tolist(), picture_bgr.shape
(['without_mask'], (512, 512, 3))

These names are found when they are asked for: who needs one module of this package loads no other.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.vision.annotate import annotate
    from core.vision.images import read_image
    from core.vision.pipeline import build_pipeline as load
    from core.vision.pipeline import detect_masks

__all__ = ["annotate", "detect_masks", "load", "read_image"]
_PLACES = {
    "annotate": ("core.vision.annotate", "annotate"),
    "detect_masks": ("core.vision.pipeline", "detect_masks"),
    "load": ("core.vision.pipeline", "build_pipeline"),
    "read_image": ("core.vision.images", "read_image"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, function = _PLACES[name]
    return getattr(importlib.import_module(module), function)
