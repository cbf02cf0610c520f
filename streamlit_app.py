"""Start of the dashboard: ``streamlit run streamlit_app.py``. Page settings and navigation, nothing heavy."""

import logging

import streamlit as st

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
            st.Page("pages/synthetic.py", title="Make pictures", icon=":material/draw:"),
            st.Page("pages/training.py", title="Training", icon=":material/model_training:"),
            st.Page("pages/model.py", title="Model", icon=":material/neurology:"),
        ],
    }
)
# Pages keep what they need under keys that start with their name; pictures go when their page is left.
PICTURES = {"photo": ("photo_set",), "synthetic": ("make_portrait", "make_pictures", "make_shot")}
for url_path, keys in PICTURES.items():
    if page.url_path != url_path:
        for key in keys:
            st.session_state.pop(key, None)
page.run()
