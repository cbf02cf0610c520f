"""Who wears a mask before the visitor's webcam, live."""

from functools import partial
from typing import TYPE_CHECKING

import av
import numpy as np
import streamlit as st
from streamlit_webrtc import WebRtcMode, webrtc_streamer

from core.config import ice_servers, limits
from core.video.live import LiveProcessor
from core.vision.classes import CLASS_NAMES, WITH_MASK, vocabulary
from core.vision.pipeline import LIVE_SETTINGS, detect_masks
from core.vision.stats import describe_people
from pages.components.camera import CAMERA_PROBLEMS, camera_problem
from pages.components.charts import share_over_time
from pages.components.compat import part_of_the_app, session_id, show_newest_frames
from pages.components.faces import show_class_counts, show_hidden_faces
from pages.components.messages import plain
from pages.components.resources import live_places, method_changed, pipeline_or_stop
from pages.components.settings import settings_form

if TYPE_CHECKING:
    from streamlit_webrtc.config import Translations

TEXTS: "Translations" = {
    "start": "Start",
    "stop": "Stop",
    "select_device": "Choose camera",
    "device_ask_permission": "Allow the camera when your browser asks.",
    "device_not_available": CAMERA_PROBLEMS["missing"],
    "device_access_denied": CAMERA_PROBLEMS["refused"],
    "media_api_not_available": CAMERA_PROBLEMS["insecure"],
}

STREAM = "live"
NUMBERS_S = 0.5
PEOPLE_HELP = (
    "Everybody is counted once, as they were last seen. Who is out of the picture for more than two seconds counts as "
    "another person when they return."
)

part_of_the_app()
st.title("Live webcam")
places, viewer = live_places(), session_id()


@st.fragment(run_every=2.0)
def wait_for_a_place() -> None:
    """Why there is no video, until there can be."""
    if places.take(viewer, only_ask=True):
        st.rerun(scope="app")
    st.info(limits().reached("live_viewers"))


if not places.take(viewer, only_ask=True):
    wait_for_a_place()
    st.stop()
method, settings = settings_form("live", LIVE_SETTINGS)
pipeline = pipeline_or_stop(method)  # loaded and warm before the first frame comes

if problem := camera_problem():
    st.warning(problem, icon=":material/videocam_off:")

processor: LiveProcessor = st.session_state.setdefault("live_processor", LiveProcessor())
if st.session_state.get("live_classes") != vocabulary(pipeline.classes):
    st.session_state["live_classes"] = vocabulary(pipeline.classes)
    processor.stats.reset()  # what was counted before were other things
processor.use(partial(detect_masks, pipeline=pipeline, settings=settings), (method, settings.min_confidence))
processor.mirror = st.sidebar.toggle("Mirror the video", key="live_mirror")


def on_frame(frame: av.VideoFrame) -> av.VideoFrame:
    """Runs in the video thread for every frame; no Streamlit here."""
    if not places.take(viewer):  # somebody pressed Start at the same moment
        return av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")
    return av.VideoFrame.from_ndarray(processor.recv(frame.to_ndarray(format="bgr24")), format="bgr24")


def end_video() -> None:
    """The place is free at once; also in a thread of the video."""
    places.leave(viewer)
    processor.close()


servers, warnings = ice_servers(st.secrets)
for warning in warnings:
    st.warning(warning)


# By itself, since the browser tells of every way to the server that it finds, a dozen at the start: each would run the
# whole page again.
@st.fragment
def show_video() -> None:
    """The video, with the button that starts and ends it."""
    webrtc_streamer(
        key=STREAM,
        mode=WebRtcMode.SENDRECV,
        rtc_configuration={"iceServers": servers},
        media_stream_constraints={"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}, "audio": False},
        video_frame_callback=on_frame,
        on_video_ended=end_video,
        video_html_attrs={"autoPlay": True, "controls": False, "muted": True, "style": {"width": "100%"}},
        translations=TEXTS,
    )


def is_playing() -> bool:
    """Whether the visitor's camera runs."""
    return STREAM in st.session_state and st.session_state[STREAM].state.playing


@st.fragment(run_every=NUMBERS_S)
def show_numbers() -> None:
    """The counters; this part of the page alone runs again, twice a second, and follows the active method."""
    if method_changed():
        st.rerun(scope="app")  # the stream goes on, and the new method gets its next frame
    seen = processor.stats.snapshot()
    if is_playing() and not places.take(viewer, only_ask=True):
        st.info(limits().reached("live_viewers"))
        return
    if seen.error:
        st.error(plain(seen.error))
    if not is_playing():
        st.info("Press **Start** and allow the camera. The video goes to this server only and is not stored.")
        return
    if not seen.analysed_frames:
        st.info("Waiting for the first frame …")
        return
    show_class_counts(seen.now, pipeline, seen.recent.mask_share, a_row=2)
    st.markdown(plain(describe_people(seen.people)), help=PEOPLE_HELP)
    if settings.min_face_px:  # with a limit its line is always there, so that nothing moves when a face comes or goes
        show_hidden_faces("live", seen.now, settings.min_face_px, narrow=True)
    if seen.analysis_ms is not None:
        share = ""
        if CLASS_NAMES[WITH_MASK] in pipeline.classes:
            st.plotly_chart(share_over_time(seen.share_by_second), key="live_share", config={"displayModeBar": False})
            share = "The share is over the last 10 seconds. "
        st.caption(f"{share}{seen.analyses_per_s:.0f} frames analysed per second, {seen.analysis_ms:.0f} ms each.")


video, numbers = st.columns([3, 2])
show_newest_frames()
with video:
    show_video()
with numbers:
    show_numbers()
