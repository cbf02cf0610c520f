"""What every page does first; so light that its title is on the screen at once."""

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
