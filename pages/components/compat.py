"""What every page does first; so light that its title is on the screen at once."""

from functools import partial

import streamlit as st


def part_of_the_app() -> None:
    """Start over where Streamlit runs a page by itself; the first line of a page.

    It takes a folder named ``pages`` for its older kind of app until ``st.navigation`` was called once since the start
    of the server; a page that is opened before would come without our navigation.
    """
    from streamlit.runtime.pages_manager import PagesManager

    # Once per visitor: should another Streamlit work otherwise, no page goes round in circles.
    if getattr(PagesManager, "uses_pages_directory", False) and "part_of_the_app" not in st.session_state:
        st.session_state["part_of_the_app"] = True
        PagesManager.uses_pages_directory = False
        st.rerun()


def show_newest_frames() -> None:
    """Let a stream that cannot keep up leave frames out; call it before ``webrtc_streamer``.

    Streamlit-webrtc hands the processed frames to the encoder through aiortc's relay with a queue without end: where
    encoding takes longer than frames come, what the visitor sees falls behind by half a second for every second.
    """
    from streamlit_webrtc.relay import get_global_relay

    relay = get_global_relay()
    relay.subscribe = partial(  # type: ignore[method-assign]  # on this one object, meant
        type(relay).subscribe, relay, buffered=False
    )
