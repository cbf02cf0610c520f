"""Images to train with: masks drawn onto bare faces, and samples taken with the webcam."""

import streamlit as st

from core.language import tr
from pages.components.access import operators_only
from pages.components.compat import part_of_the_app

part_of_the_app()
operators_only()
st.title(tr("Synthetic masks"))
drawn_tab, webcam_tab = st.tabs([tr("Synthetic masks"), tr("Webcam samples")])

# Only now, with the words on the screen, is anything heavy imported.
from pages.views.synthetic import drawn, webcam  # noqa: E402

with drawn_tab:
    drawn.show()
with webcam_tab:
    webcam.show()
