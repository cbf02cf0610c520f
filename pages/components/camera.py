"""What is wrong with the visitor's camera."""

from functools import cache
from pathlib import Path

import streamlit as st

from core.language import mark

CAMERA_PROBLEMS = {
    "refused": mark(
        "The camera was refused: allow it beside the address at the top of your browser, then reload this page."
    ),
    "missing": mark("No camera was found: connect one, or open this page on a device that has one."),
    "in_use": mark("The camera is in use: end the other programs or tabs that show it, then press Start again."),
    "ended": mark("The camera has gone: it was unplugged or taken by another program; press Start when it is back."),
    "silent": mark(
        "The camera gives no picture: uncover it, end other programs that use it, or choose another camera."
    ),
    "failed": mark("The camera could not be started: choose another one, or reload this page."),
    "insecure": mark(
        "Your browser gives its camera only to secure pages: open this one as https, or on the server itself."
    ),
}


@cache
def _script() -> str:
    return Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def camera_problem() -> str:
    """Why the visitor's browser would give no image: a key of ``CAMERA_PROBLEMS``, or nothing; follows every change."""
    check = st.components.v2.component("camera_check", js=_script())
    state = check(key="camera_check", on_problem_change=lambda: None)
    return state.get("problem") or ""
