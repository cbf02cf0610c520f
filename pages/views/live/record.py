"""The switch that keeps a record of the counts, and what is kept."""

import streamlit as st

from core.config import OFF, ON, limits, settings
from core.language import mark, number, tr, trn
from core.video.cameras import SharedCamera
from core.video.live import LiveProcessor
from core.video.record import MAX_CAMERA, Keeper, RecordError, deletions
from pages.components.access import is_operator
from pages.components.clock import visitors_zone
from pages.components.messages import plain, tried
from pages.components.resources import server_recorder
from pages.components.state import kept, made_once

USUAL_NAME = "Webcam"
SWITCH = mark("Keep a record")
HELP = mark(
    "Writes down when each person came and left and what they wore, and how many there were in each minute: counts "
    "alone, no pictures. The History page shows them."
)


def record_switch(processor: LiveProcessor) -> str:
    """Keep a record or not, as the operator's settings say, or the operator on this page; visitors have no switch.

    Returns:
        What the camera is called.
    """
    fixed = settings().record
    camera = USUAL_NAME
    if is_operator():
        if fixed in (ON, OFF):
            keeps = _fixed_switch(fixed)
        else:
            keeps = st.toggle(tr(SWITCH), help=tr(HELP), **kept("live_record", False))
        if keeps:
            camera = st.text_input(tr("Name of this camera"), max_chars=MAX_CAMERA, **kept("live_camera", USUAL_NAME))
    else:
        keeps = fixed == ON
    zone = visitors_zone()
    try:
        processor.keep(
            made_once(
                "live_keeper",
                (keeps, camera, str(zone), deletions()),
                lambda: Keeper(server_recorder(), camera, zone) if keeps else None,
            )
        )
    except RecordError as error:
        processor.keep(None)
        st.error(plain(str(error)))
    return camera


def shared_record_switch(camera: SharedCamera) -> None:
    """The same for a network camera, whose record is one for all who watch it; for operators."""
    fixed = settings().record
    if fixed in (ON, OFF):
        _fixed_switch(fixed)
    else:
        key = f"live_record_{camera.name}"
        if camera.records:
            tried(camera.record)()  # anew, where rows were deleted
        st.session_state[key] = camera.records  # another operator may have switched it

        def switch() -> None:
            (camera.record if st.session_state[key] else camera.end_record)()

        st.toggle(tr(SWITCH), help=tr(HELP), key=key, on_change=tried(switch))
    if camera.record_problem:
        st.warning(plain(camera.record_problem))


def _fixed_switch(fixed: str) -> bool:
    words = tr("The settings of this server keep the record off.")
    if fixed == ON:
        words = tr("The settings of this server keep the record on.")
    st.toggle(tr(SWITCH), value=fixed == ON, disabled=True, help=words, key=f"live_record_{fixed}")
    return fixed == ON


def what_is_kept(blurred: bool, keeps: bool, collects: bool = False) -> str:
    """What happens with the pictures and the counts, in words."""
    if collects and blurred:
        pictures = tr(
            "Pictures are shown with blurred faces; the faces below wait for you, and only what you file is stored."
        )
    elif collects:
        pictures = tr("Pictures are shown as they are; the faces below wait for you, and only what you file is stored.")
    elif blurred:
        pictures = tr("Pictures are shown with blurred faces and never stored.")
    else:
        pictures = tr("Pictures are shown as they are and never stored.")
    record = tr("No record is kept.")
    if keeps:
        days = limits().record_days
        record = trn("Counts are on the record for {count} day.", "Counts are on the record for {count} days.", days)
        record = record.format(count=number(days, "g"))
    return f"{pictures} {record}"
