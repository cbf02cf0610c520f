"""Start of the dashboard: ``streamlit run streamlit_app.py``. Page settings and navigation, nothing heavy."""

import logging

import streamlit as st

from core.language import tr
from pages.components import access, api, server, streams
from pages.components.language import choose_language
from pages.components.memory import return_memory
from pages.components.start import empty_trash_in_time, start_cameras, sweep_once
from pages.components.state import IMAGES
from pages.components.style import use_style
from pages.components.uploads import watch_uploads

# The video libraries tell of every connection attempt; what matters is shown on the page. Streamlit warns of threads
# that ask for something cached without a page, as cameras and programs do.
CONTEXT = "streamlit.runtime.scriptrunner_utils.script_run_context"
for name, level in (("aioice", "WARNING"), ("aiortc", "WARNING"), ("libav", "WARNING"), (CONTEXT, "ERROR")):
    logging.getLogger(name).setLevel(level)


def main() -> None:
    """One run of whatever page the visitor is on."""
    choose_language()
    st.set_page_config(page_title=tr("Face masks"), page_icon="😷", layout="wide")
    model = st.Page("pages/model.py", title=tr("Model"), icon=":material/neurology:")
    how = st.Page("pages/how_it_works.py", title=tr("How it works"), icon=":material/school:")
    pages = [
        st.Page("pages/home.py", title=tr("Start"), icon=":material/home:", default=True),
        st.Page("pages/photo.py", title=tr("Photo"), icon=":material/photo_camera:"),
        st.Page("pages/video.py", title=tr("Video"), icon=":material/movie:"),
        st.Page("pages/live.py", title=tr("Live webcam"), icon=":material/videocam:"),
    ]
    if access.is_operator():
        pages.append(st.Page("pages/history.py", title=tr("History"), icon=":material/event_note:"))
        more = [
            st.Page("pages/datasets.py", title=tr("Data sets"), icon=":material/photo_library:"),
            st.Page("pages/synthetic.py", title=tr("Synthetic masks"), icon=":material/draw:"),
            st.Page("pages/training.py", title=tr("Training"), icon=":material/model_training:"),
            model,
            how,
        ]
        page = st.navigation({"": pages, tr("Data and training"): more})
    else:
        page = st.navigation([*pages, model, how])
    sweep_once()
    return_memory()
    # Images of people go from the server's memory when their page is left.
    for url_path, keys in IMAGES.items():
        if page.url_path != url_path:
            for key in keys:
                st.session_state.pop(key, None)
    access.show_login()
    with st.sidebar:
        use_style("app")
    watch_uploads()
    page.run()


access.start()
if __name__ == "__main__":  # as Streamlit runs a page
    main()
else:  # as its server loads this file
    start_cameras()
    empty_trash_in_time()
    app = st.App(__file__, middleware=server.MIDDLEWARE, routes=[*api.ROUTES, *server.ROUTES, *streams.ROUTES])
