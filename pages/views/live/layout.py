"""Where the picture, its numbers and its settings are on the live page."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.components.style import use_style


def columns() -> tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator]:
    """Where the picture, the numbers and the settings go: the numbers beside the picture, the settings below it.

    On a phone they are one below the other in this order. Streamlit's own columns would put the numbers last, or the
    settings far from the picture. By style alone: nothing is built anew when a phone is turned, and the video runs on.
    """
    use_style("live_page")
    with st.container(key="live_page"):
        picture, numbers, settings = (st.container(key=f"live_{part}") for part in ("picture", "numbers", "settings"))
    return picture, numbers, settings
