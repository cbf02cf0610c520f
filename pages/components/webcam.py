"""The frame in which the webcam's video runs: what goes wrong in it, and full screen."""

from functools import cache
from pathlib import Path

import streamlit as st

from core.language import tr


@cache
def _part(suffix: str) -> str:
    return Path(__file__).with_suffix(suffix).read_text(encoding="utf-8")


def video_problem() -> str:
    """Full screen, and what is wrong with the camera since Start: a key of ``CAMERA_PROBLEMS``, or nothing.

    Whether the server is reached it tells the visitor itself.
    """
    html = "<p role='status'></p><button type='button' hidden></button>"
    watch = st.components.v2.component("webcam_frame", html=html, css=_part(".css"), js=_part(".js"))
    unreached = tr("The server is not reached: check your network; the video comes back by itself.")
    words = {"unreached": unreached, "full": tr("Full screen")}
    state = watch(key="webcam_frame", data=words, on_problem_change=lambda: None)
    return state.get("problem") or ""
