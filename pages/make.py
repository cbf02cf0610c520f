"""Make pictures to train with: masks drawn onto bare faces, and own pictures taken with the camera."""

import streamlit as st

from core.app_start import part_of_the_app

part_of_the_app()
st.title("Make pictures")
drawn_tab, own_tab = st.tabs(["Drawn masks", "Own samples"])

# Only now, with the words on the screen, is anything heavy imported.
from pages.views import make_drawn, make_own  # noqa: E402

with drawn_tab:
    make_drawn.show()
with own_tab:
    make_own.show()
