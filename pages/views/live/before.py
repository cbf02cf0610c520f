"""What stands in the place of the webcam's video before it starts, and what there is to expect of it."""

import math

import numpy as np
import streamlit as st

from core.language import current, mark, number, tr
from core.synthetic.examples import webcam_view
from core.vision.annotate import annotate
from core.vision.detector import enlargement
from core.vision.pipeline import (
    LIVE_SETTINGS,
    PIPELINES,
    DetectionSettings,
    Method,
    Pipeline,
    detect_masks,
    method_version,
)
from pages.components.messages import plain
from pages.components.state import made_once
from pages.components.style import use_style

ALT = mark("An example: a woman without a mask near the camera, two more with masks further away, each face in a box.")
# A face is so wide, and a usual webcam sees so much from left to right.
FACE_M, VIEW_DEG = 0.15, 65
SEEN_PX = 20
"""Shorter side that a face must have in what the network sees, for a result to be relied on (docs/detector.md)."""


def show_example(method: Method, pipeline: Pipeline, size_wh: tuple[int, int], hidden: bool) -> None:
    """The example, with what this method finds in it, exactly where the video will be.

    Call it in the container with the key ``live_stage``, before the video.

    Args:
        method: that is chosen.
        pipeline: its pipeline.
        size_wh: of the video.
        hidden: keep its place, but show nothing.
    """
    width, height = size_wh
    use_style(
        "live_example",
        {
            "example-ratio": f"{width} / {height}",
            "example-turned": f"{height} / {width}",
            "example-visibility": "hidden" if hidden else "visible",
        },
    )

    def make() -> np.ndarray:
        example = webcam_view((640, 640 * height // width))
        return annotate(example, detect_masks(example, pipeline, LIVE_SETTINGS))

    example = made_once("live_example", (method, method_version(method), width / height, current()), make)
    st.image(example, channels="BGR", width="stretch", output_format="JPEG", alt=tr(ALT))


def reach_m(method: Method, settings: DetectionSettings, width: int) -> float:
    """How far away a face may be to be seen well, in metres.

    Args:
        method: that looks for it.
        settings: with which it looks.
        width: of the webcam's picture, in pixels.
    """
    if PIPELINES[method.pipeline].uses_preset:
        least_px = SEEN_PX / enlargement(width, settings.preset)
    else:
        least_px = settings.haar.min_face_px * max(1.0, width / settings.haar.max_side)
    pixels_at_1_m = width / 2 / math.tan(math.radians(VIEW_DEG / 2)) * FACE_M
    return pixels_at_1_m / max(least_px, settings.min_face_px)


def what_to_expect(method: Method, settings: DetectionSettings, width: int, kept: str) -> None:
    """What will happen, how far away faces are seen, and what is kept.

    Args:
        method: that is chosen.
        settings: with which it looks.
        width: of the webcam's picture, in pixels.
        kept: sentences on what is kept.
    """
    lines = (
        tr(
            "**What happens.** Your browser asks for the camera. Every face gets a box, and a result once three looks "
            "agree; everybody is counted once."
        ),
        tr(
            "**How far.** Faces are seen well up to about {metres} metres away, with a usual webcam and enough light."
        ).format(metres=number(reach_m(method, settings, width), ".0f")),
        tr("**What is kept.** {sentences}").format(sentences=plain(kept)),
    )
    st.markdown("\n".join(f"- {line}" for line in lines))
