"""Make pictures to train with: masks drawn onto bare faces, and own pictures taken with the camera."""

import streamlit as st

from pages.components.compat import part_of_the_app

part_of_the_app()
st.title("Make pictures")
drawn_tab, own_tab = st.tabs(["Drawn masks", "Own samples"])

# Only now, with the words on the screen, is anything heavy imported.
from pages.views.synthetic import drawn, webcam  # noqa: E402

with drawn_tab:
    drawn.show()
with own_tab:
    webcam.show()
