"""Start of the dashboard: ``streamlit run streamlit_app.py``. Page settings and navigation, nothing heavy."""

import logging

import streamlit as st

from pages.components.start import sweep_once
from pages.components.state import PHOTO_SET, SYNTHETIC_IMAGES, SYNTHETIC_PORTRAIT, WEBCAM_SHOT

# The video libraries tell of every connection attempt; what matters is shown on the page.
for name in ("aioice", "aiortc", "libav"):
    logging.getLogger(name).setLevel(logging.WARNING)

st.set_page_config(page_title="Face masks", page_icon="😷", layout="wide")
page = st.navigation(
    {
        "": [
            st.Page("pages/home.py", title="Start", icon=":material/home:", default=True),
            st.Page("pages/photo.py", title="Photo", icon=":material/photo_camera:"),
            st.Page("pages/live.py", title="Live webcam", icon=":material/videocam:"),
        ],
        "Data and training": [
            st.Page("pages/datasets.py", title="Data sets", icon=":material/photo_library:"),
            st.Page("pages/synthetic.py", title="Synthetic masks", icon=":material/draw:"),
            st.Page("pages/training.py", title="Training", icon=":material/model_training:"),
            st.Page("pages/model.py", title="Model", icon=":material/neurology:"),
        ],
    }
)
sweep_once()
# Images of people go from the server's memory when their page is left.
IMAGES = {"photo": (PHOTO_SET,), "synthetic": (SYNTHETIC_PORTRAIT, SYNTHETIC_IMAGES, WEBCAM_SHOT)}
for url_path, keys in IMAGES.items():
    if page.url_path != url_path:
        for key in keys:
            st.session_state.pop(key, None)
page.run()
