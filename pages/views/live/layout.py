"""Where the picture, its numbers and its settings are on the live page."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def columns() -> tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator]:
    """Where the picture, the numbers and the settings go: the numbers beside the picture, the settings below it.

    On a phone they are one below the other in this order. Streamlit's own columns would put the numbers last, or the
    settings far from the picture. By style alone: nothing is built anew when a phone is turned, and the video runs on.
    """
    st.html(
        """<span class="live_layout"></span><style>
        [data-testid=stElementContainer]:has(.live_layout) { display: none; }
        @media (min-width: 640px) {
          .st-key-live_page { display: grid; grid-template: auto 1fr / minmax(0, 3fr) minmax(0, 2fr); }
          .st-key-live_page > :has(> .st-key-live_picture) { grid-area: 1 / 1; }
    .st-key-live_page > :has(> .st-key-live_numbers) { grid-area: 1 / 2 / 3; }
    .st-key-live_page > :has(> .st-key-live_settings) { grid-area: 2 / 1; }
        }
        </style>"""
    )
    with st.container(key="live_page"):
        picture, numbers, settings = (st.container(key=f"live_{part}") for part in ("picture", "numbers", "settings"))
    return picture, numbers, settings
