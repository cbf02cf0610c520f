"""A network camera on the live page: who may see it, its picture, and what is told of it."""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from core.config import Camera, limits, settings
from core.language import in_this_language, mark, tr
from core.quota import Places
from core.registry.active import in_use
from core.video.alerts import OUTSIDE
from core.video.cameras import LIVE, OFFLINE, Cameras, SharedCamera
from core.video.zones import Place
from core.vision.images import encode_image
from core.vision.pipeline import Pipeline
from pages.components.access import is_operator
from pages.components.clock import visitors_zone
from pages.components.compat import page_part
from pages.components.messages import plain, show_problem, tried
from pages.components.resources import method_words, network_cameras, pipeline_or_stop, server_recorder
from pages.components.state import LIVE_STILL, kept
from pages.components.streams import new_ticket, renew, show_stream, withdraw
from pages.components.terms import BLUR_HELP
from pages.views.live.alerts import shared_alert_form, show_alerts, show_log, sound_switch
from pages.views.live.layout import columns
from pages.views.live.numbers import show_minutes, show_moment
from pages.views.live.place import place_editor
from pages.views.live.record import shared_record_switch, what_is_kept

OWN = mark("Your webcam")
TICKET, SOURCE = "live_ticket", "live_source"
NUMBERS_S = 0.5
NO_PICTURE = np.zeros((48, 64, 3), np.uint8)
ALT = mark("The picture of {name} as it is at this moment, with a box around every face that is found.")


def page_title() -> str:
    """What the page is about."""
    return tr("Live") if _visible() else tr("Live webcam")


def _visible() -> dict[str, Camera]:
    """The cameras that this visitor may see, by name: operators all, others those that are public."""
    return {camera.name: camera for camera in settings().cameras if camera.public or is_operator()}


def choose_camera() -> str | None:
    """Let the visitor choose; the name of a network camera, or ``None`` for their own webcam."""
    if names := list(_visible()):
        options = [OWN, *names]
        choice = st.selectbox(
            tr("Camera"),
            options,
            format_func=lambda name: tr(OWN) if name == OWN else name,
            width=320,
            on_change=_forget_still,
            **kept(SOURCE, OWN, options),
        )
        if choice != OWN:
            return choice
    withdraw(st.session_state.get(TICKET, ""))
    return None


def _forget_still() -> None:
    st.session_state.pop(LIVE_STILL, None)


@dataclass
class _Shown:
    """A camera as this visitor sees it."""

    camera: SharedCamera
    blur: bool
    mirror = False

    @property
    def place(self) -> Place:
        return self.camera.processor.place

    def snapshot(self) -> np.ndarray | None:
        return self.camera.snapshot(self.blur)


def show_network_camera(name: str, places: Places, viewer: str) -> None:
    """The camera of this name, which this visitor may see.

    Args:
        name: of one of the operator's settings.
        places: for live video.
        viewer: who takes one.
    """
    cameras = network_cameras()
    camera = cameras.watch(name)
    if camera is None:  # removed from the settings this moment
        st.rerun()
    stamp, method = in_use().stamp, in_use().method
    pipeline = pipeline_or_stop(method)
    ticket = st.session_state.setdefault(TICKET, new_ticket())

    def take_place() -> bool:
        if taken := places.take(viewer):
            renew(ticket, name, _blurred())
        else:
            withdraw(ticket)
        return taken

    @page_part(run_every=NUMBERS_S)
    def show_numbers() -> None:
        """Twice a second: what is told of the camera; the ticket lives for as long as this runs."""
        now = cameras.watch(name) if name in _visible() else None
        if now is not camera or in_use().stamp != stamp:
            withdraw(ticket)
            st.rerun(scope="app")
        if take_place():
            _show_numbers(camera, cameras, pipeline)
        else:
            st.info(limits().reached("live_viewers"))

    take_place()
    video, numbers, foot = columns()
    with video:
        show_stream(ticket, tr(ALT).format(name=name))
        shown = _Shown(camera, _blur_switch(camera))
        st.caption(plain(what_is_kept(shown.blur, camera.records)))
        words = tr("{method}, the active method of this server, for all who watch this camera.")
        st.caption(words.format(method=method_words(method)))
        st.download_button(
            *(tr("Snapshot"), in_this_language(lambda: _snapshot(shown)), "snapshot.jpg", "image/jpeg"),
            icon=":material/photo_camera:",
            on_click="ignore",
            help=tr("The picture as it is shown, with its boxes, blurred if the switch is on."),
        )
        show_problem()
    with foot:
        if is_operator():
            with st.expander(tr("Zone and line"), icon=":material/fence:"):
                st.caption(tr("For all who watch this camera, and for its record."))
                place_editor(shown, tried(lambda place: camera.choose(replace(camera.choices, place=place))))
            with st.expander(tr("Alerts"), icon=":material/notifications:"):
                st.caption(tr("For all who watch this camera, also while nobody looks."))
                shared_alert_form(camera, pipeline)
        else:
            sound_switch()
    with numbers:
        show_numbers()


def _blurred() -> bool:
    """Visitors see faces of others blurred, always."""
    return not is_operator() or st.session_state.get("live_blur", False)


def _blur_switch(camera: SharedCamera) -> bool:
    with st.container(horizontal=True, vertical_alignment="center"):
        if is_operator():
            st.toggle(tr("Blur faces"), help=tr(BLUR_HELP), **kept("live_blur", False))
            shared_record_switch(camera)
        else:
            words = tr("Only operators of this server see this camera without blur.")
            st.toggle(tr("Blur faces"), value=True, disabled=True, help=words, key="live_blur_fixed")
    return _blurred()


def _snapshot(shown: _Shown) -> bytes:
    picture = shown.snapshot()
    return encode_image(NO_PICTURE if picture is None else picture)


def _show_numbers(camera: SharedCamera, cameras: Cameras, pipeline: Pipeline) -> None:
    told, state = camera.processor.moment(), camera.state
    show_alerts(told)
    recording = server_recorder().problem if camera.records else ""
    for problem in (told.counts.error, cameras.problem, recording):
        if problem:
            st.error(plain(problem))
    words = tr("{name}: {problem}").format(name=camera.name, problem=state.in_words(visitors_zone()))
    if state.kind == OFFLINE:
        st.warning(plain(words), icon=":material/videocam_off:")
    elif state.kind != LIVE:
        st.info(plain(words))
    if state.kind != LIVE:  # nobody is counted now; the minutes before stay true
        show_minutes(told)
    elif told.counts.analysed_frames:
        show_moment(told, pipeline, bool(camera.processor.place.line), camera.processor.min_face_px, _blurred())
    else:
        st.info(tr("Waiting for the first result …"))
    show_log(tuple(alert for alert in told.alerts if is_operator() or alert.kind != OUTSIDE))
