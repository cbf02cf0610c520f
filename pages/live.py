"""Who wears a mask before the visitor's webcam, live."""

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import av
import numpy as np
import streamlit as st
from streamlit_webrtc import WebRtcMode, webrtc_streamer

from core.config import ice_servers, limits
from core.language import current, mark, tr, trc
from core.video.live import PACE, LiveProcessor
from core.vision.classes import vocabulary
from core.vision.images import encode_image
from core.vision.pipeline import LIVE_SETTINGS, detect_masks
from pages.components.camera import CAMERA_PROBLEMS, camera_problem
from pages.components.compat import (
    ice_candidates,
    keep_stream,
    page_part,
    part_of_the_app,
    session_id,
    show_newest_frames,
)
from pages.components.messages import plain
from pages.components.resources import live_places, method_changed, pipeline_or_stop, server_recorder
from pages.components.settings import settings_form
from pages.components.state import LIVE_CONNECTION, LIVE_STREAM, LIVE_WANTED, kept
from pages.components.terms import BLUR_HELP
from pages.components.webcam import video_problem
from pages.views.live.alerts import alert_form, show_alerts, show_log
from pages.views.live.before import show_example, what_to_expect
from pages.views.live.connection import REASONS, Connection
from pages.views.live.layout import columns
from pages.views.live.network import choose_camera, page_title, show_network_camera
from pages.views.live.numbers import show_moment
from pages.views.live.place import place_editor, place_for_visit
from pages.views.live.recent import collect_switch, recent_faces
from pages.views.live.record import record_switch, what_is_kept
from pages.views.live.single import SINGLE, show_single, single_button

if TYPE_CHECKING:
    from streamlit_webrtc.config import Translations

TEXTS: "Translations" = {
    "start": trc("button", "Start"),
    "stop": tr("Stop"),
    "select_device": tr("Choose camera"),
    "device_ask_permission": tr("Allow the camera when your browser asks."),
    "device_not_available": tr("No camera can be used: connect one, or end other programs that use it."),
    "device_access_denied": tr(CAMERA_PROBLEMS["refused"]),
    "media_api_not_available": tr(CAMERA_PROBLEMS["insecure"]),
}

NUMBERS_S = 0.5
# Where more than so many watch, rarer counters leave the processor to their pictures: twice the frames with six.
MANY_VIEWERS, MANY_NUMBERS_S = 3, 2.0
# A lost connection is tried again for so long.
RECONNECT_S = 30.0
SIZES = ((640, 480), (1280, 720), (1920, 1080))
FACINGS = {"user": mark("Front camera"), "environment": mark("Rear camera")}
FACING, RESTART = "live_facing", "live_restart"
NO_PICTURE = np.zeros((48, 64, 3), np.uint8)

part_of_the_app()
st.title(page_title())
places, viewer = live_places(), session_id()


@page_part(run_every=2.0)
def wait_for_a_place() -> None:
    """Why there is no video, until there can be."""
    if places.take(viewer, only_ask=True):
        st.rerun(scope="app")
    st.info(limits().reached("live_viewers"))


def end_stream() -> None:
    """Forget the connection, whose video is no longer on the page."""
    for name in (LIVE_STREAM, LIVE_WANTED, LIVE_CONNECTION):
        st.session_state.pop(name, None)


if not places.take(viewer, only_ask=True):
    end_stream()
    wait_for_a_place()
    st.stop()
if network := choose_camera():
    end_stream()
    show_network_camera(network, places, viewer)
    st.stop()
head = st.container()  # a warning that comes or goes must not move the video, which would start anew
video, numbers, foot = columns()
method, settings, advanced = settings_form("live", LIVE_SETTINGS, foot)
with head:
    pipeline = pipeline_or_stop(method)  # loaded and warm before the first frame comes
    if problem := camera_problem():
        st.warning(tr(CAMERA_PROBLEMS[problem]), icon=":material/videocam_off:")
if st.session_state.get(SINGLE):
    end_stream()
    show_single(method, pipeline, settings, video, numbers)
    st.stop()

processor: LiveProcessor = st.session_state.setdefault("live_processor", LiveProcessor())
if st.session_state.get("live_classes") != vocabulary(pipeline.classes):
    st.session_state["live_classes"] = vocabulary(pipeline.classes)
    processor.stats.reset()  # what was counted before were other things
# The processor hides small faces itself: it must know them to blur them.
all_faces = partial(detect_masks, pipeline=pipeline, settings=replace(settings, min_face_px=0))
processor.use(all_faces, (method, settings.min_confidence))
processor.min_face_px = settings.min_face_px
processor.language = current()
facing = st.session_state.get(FACING, "user")
processor.mirror = advanced.toggle(
    tr("Mirror the video"),
    help=tr("As a mirror shows you; usual for the front camera alone."),
    **kept(f"live_mirror_{facing}", facing == "user"),
)
width, height = advanced.selectbox(
    tr("Picture size"),
    SIZES,
    format_func=lambda size: f"{size[0]} × {size[1]}",
    help=tr(
        "Of the camera, from its next start on. Larger is sharper, shows faces further away with the preset Thorough, "
        "and takes more of the server."
    ),
    **kept("live_size", SIZES[0], SIZES),
)


def on_frame(frame: av.VideoFrame) -> av.VideoFrame:
    """Runs in the video thread for every frame; no Streamlit here."""
    if not places.take(viewer):  # somebody pressed Start at the same moment
        return av.VideoFrame.from_ndarray(NO_PICTURE, format="bgr24")
    return av.VideoFrame.from_ndarray(processor.recv(frame.to_ndarray(format="bgr24")), format="bgr24")


def end_video() -> None:
    """The place is free at once; also in a thread of the video."""
    places.leave(viewer)
    processor.close()


def snapshot() -> bytes:
    """The picture as it is shown at this moment, as JPEG; black until there is one."""
    shown = processor.snapshot()
    return encode_image(NO_PICTURE if shown is None else shown)


servers, warnings = ice_servers(st.secrets)
for warning in warnings:
    head.warning(warning)


# By itself, since the browser tells of every way to the server that it finds, a dozen at the start: each would run the
# whole page again.
@page_part()
def show_video() -> None:
    """The video, with the buttons that start and end it."""
    if st.session_state.get(SINGLE):  # just asked for, by the button below
        st.rerun(scope="app")
    keep_stream(LIVE_STREAM)
    wanted = wanted_video()
    with st.container(key="live_stage"):
        show_example(method, pipeline, (width, height), hidden=is_playing())
        webrtc_streamer(
            key=LIVE_STREAM,
            mode=WebRtcMode.SENDRECV,
            rtc_configuration={"iceServers": servers},
            media_stream_constraints={
                "video": {"width": {"ideal": width}, "height": {"ideal": height}, "facingMode": {"ideal": facing}},
                "audio": False,
            },
            # Without a wish there is the button Start. With one, the browser connects anew when the connection is lost.
            desired_playing_state=wanted,
            video_frame_callback=on_frame,
            on_video_ended=end_video,
            video_html_attrs={"autoPlay": True, "controls": False, "muted": True, "style": {"width": "100%"}},
            translations=TEXTS,
        )
    with st.container(horizontal=True):
        if wanted:
            st.button(tr("Stop"), icon=":material/stop_circle:", on_click=want, args=(False,))
        st.download_button(
            *(tr("Snapshot"), snapshot, "snapshot.jpg", "image/jpeg"),
            icon=":material/photo_camera:",
            on_click="ignore",
            disabled=not is_playing(),
            help=tr("The picture as it is shown, with its boxes, blurred if the switch is on."),
        )
        trouble = video_problem()
        if not is_playing():
            single_button(single=False)
    if trouble and trouble != problem:
        st.warning(tr(CAMERA_PROBLEMS[trouble]), icon=":material/videocam_off:")
    if trouble and trouble != "silent" and wanted:  # or the browser would ask for the camera again and again
        want(False)
        st.rerun(scope="fragment")


def wanted_video() -> bool | None:
    """Whether there should be a video; ``None`` as long as nobody has pressed Start."""
    state = st.session_state[LIVE_STREAM].state if LIVE_STREAM in st.session_state else None
    wanted = st.session_state.get(LIVE_WANTED)
    if wanted is None and state and state.playing:
        want(True)
    elif wanted is False and not (state and (state.playing or state.signalling)):
        want(True if st.session_state.pop(RESTART, False) else None)
    return st.session_state.get(LIVE_WANTED)


def use_other_camera() -> None:
    """Start a running video again, with the camera that was just chosen."""
    if is_playing():
        st.session_state[RESTART] = True
        want(False)


def want(wanted: bool | None) -> None:
    """Set what ``wanted_video`` says."""
    st.session_state[LIVE_WANTED] = wanted


def connection_lost() -> bool:
    """Whether the video has ended though nobody pressed Stop, and is being started again; after a while it is not."""
    if is_playing() or not st.session_state.get(LIVE_WANTED):
        st.session_state.pop("live_lost_at", None)
        return False
    lost_at = st.session_state.setdefault("live_lost_at", time.monotonic())
    if time.monotonic() - lost_at > RECONNECT_S:
        want(False)
        st.rerun(scope="app")
    return True


def why_no_picture(frame_s: float | None) -> str:
    """One sentence, or nothing; the newest frame came at that time."""
    connection: Connection = st.session_state.setdefault(LIVE_CONNECTION, Connection())
    if LIVE_STREAM in st.session_state:
        state = st.session_state[LIVE_STREAM].state
        connection.update(state.playing, state.signalling, ice_candidates(LIVE_STREAM))
    turn = any(url.startswith("turn") for server in servers for url in server["urls"])
    reason = connection.reason(frame_s, turn)
    return tr(REASONS.get(reason) or CAMERA_PROBLEMS.get(reason, ""))


def is_playing() -> bool:
    """Whether the visitor's camera runs."""
    return LIVE_STREAM in st.session_state and st.session_state[LIVE_STREAM].state.playing


def numbers_every_s() -> float:
    """How often the counters are made anew; seldom where there is nothing to count, which spares the browser work."""
    waits = not is_playing() and not st.session_state.get(LIVE_WANTED)
    return MANY_NUMBERS_S if waits or places.held() > MANY_VIEWERS else NUMBERS_S


def show_numbers() -> None:
    """The counters; this part of the page alone runs again, twice a second, and follows the active method."""
    if method_changed() or numbers_every_s() != every_s:
        st.rerun(scope="app")  # the stream goes on, and the new method gets its next frame
    told = processor.moment()
    if is_playing() and not places.take(viewer, only_ask=True):
        st.info(limits().reached("live_viewers"))
        return
    show_alerts(told)
    for problem in (told.counts.error, server_recorder().problem if processor.keeps else ""):
        if problem:
            st.error(plain(problem))
    lost = connection_lost()
    if reason := why_no_picture(told.frame_s):
        st.warning(reason, icon=":material/videocam_off:")
    if lost:
        st.info(tr("The connection was lost; it is being made again …"))
        return
    if not is_playing():
        st.info(tr("Press **Start** and allow the camera. The video goes to this server only and is not stored."))
        what_to_expect(method, settings, width, kept_words)
        return
    if not told.counts.analysed_frames:
        st.info(tr("Waiting for the first frame …"))
        return
    show_moment(told, pipeline, bool(processor.place.line), settings.min_face_px, processor.blur)
    show_log(told.alerts)


show_newest_frames(PACE.frame)
with video:
    show_video()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control(
            tr("Camera of a phone"),
            list(FACINGS),
            format_func=lambda which: tr(FACINGS[which]),
            required=True,
            label_visibility="collapsed",
            on_change=use_other_camera,
            **kept(FACING, "user", FACINGS),
        )
        processor.blur = st.toggle(tr("Blur faces"), help=tr(BLUR_HELP), **kept("live_blur", False))
        collects = collect_switch(processor)
        camera = record_switch(processor)
    place = st.empty()
    collects = collects and recent_faces(processor, pipeline)
    kept_words = what_is_kept(processor.blur, processor.keeps, collects)
    place.caption(plain(kept_words))
with foot:
    with st.expander(tr("Zone and line"), icon=":material/fence:"):
        place_editor(processor, place_for_visit(processor, camera))
    with st.expander(tr("Alerts"), icon=":material/notifications:"):
        alert_form(processor.alerts, pipeline)
with numbers:
    every_s = numbers_every_s()  # after the video, which may have begun or ended in this run
    page_part(run_every=every_s)(show_numbers)()
