"""Start of the dashboard: ``streamlit run streamlit_app.py``. Page settings and navigation, nothing heavy."""

import logging

import streamlit as st

# The video libraries tell of every connection attempt; what matters is shown on the page.
for name in ("aioice", "aiortc", "libav"):
    logging.getLogger(name).setLevel(logging.WARNING)

st.set_page_config(page_title="Face masks", page_icon="😷", layout="wide")
page = st.navigation(
    [
        st.Page("pages/home.py", title="Start", icon=":material/home:", default=True),
        st.Page("pages/photo.py", title="Photo", icon=":material/photo_camera:"),
        st.Page("pages/live.py", title="Live webcam", icon=":material/videocam:"),
        st.Page("pages/model.py", title="Model", icon=":material/model_training:"),
    ]
)
# Pages keep what they need under keys that start with their name; pictures go when their page is left.
if page.url_path != "photo":
    st.session_state.pop("photo_set", None)
page.run()
