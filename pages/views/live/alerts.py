"""What somebody wants to be told of, what they were told, and how."""

import time
from datetime import datetime

import streamlit as st

from core.config import settings
from core.video.alerts import OUTSIDE, Alert, AlertWatch, Rules, alert_sound, outside
from core.video.live import Moment
from core.vision.classes import CLASS_NAMES, WITHOUT_MASK
from core.vision.pipeline import Pipeline
from pages.components.access import is_operator
from pages.components.clock import visitors_zone
from pages.components.messages import plain
from pages.components.state import kept, made_once

SHOWN_S = 10.0
SHOWN_LINES = 20


def alert_form(watch: AlertWatch, pipeline: Pipeline) -> None:
    """Choose the alerts."""
    no_mask_s, share_below, minutes = None, None, 10
    if CLASS_NAMES[WITHOUT_MASK] in pipeline.classes:
        if st.checkbox("Somebody without a mask in the zone", **kept("live_alert_bare", False)):
            words = "For more than so many seconds"
            no_mask_s = st.slider(words, 1, 60, format="%d s", **kept("live_alert_seconds", 5))
        if st.checkbox("Too few wear a mask well", **kept("live_alert_share", False)):
            share_below = st.slider("Share below", 10, 100, format="%d%%", **kept("live_alert_below", 80)) / 100
            minutes = st.slider("Of the people of the last minutes", 1, 60, **kept("live_alert_minutes", 10))
    lost = st.checkbox("The camera is lost", **kept("live_alert_lost", False))
    watch.rules = Rules(no_mask_s, share_below, minutes, lost)
    st.checkbox("Play a sound", **kept("live_alert_sound", False))
    watch.send = None
    if is_operator() and settings().alert_urls:
        send = made_once(
            "live_alert_send",
            (settings().alert_urls, id(watch)),
            lambda: outside(lambda text: watch.note(OUTSIDE, text, time.time())),
        )
        if st.toggle(
            "Send alerts outside", help="To the targets in this server's settings.", **kept("live_outside", False)
        ):
            watch.send = send
        if st.button("Try it", icon=":material/send:"):
            send("This is a test of the alerts of the face mask dashboard.")
            st.toast("A test is on its way; should it fail, the log of alerts says so.")


def show_alerts(told: Moment) -> None:
    """Alerts of the last seconds, read out by screen readers, with a sound if wanted."""
    now = time.time()
    newest = [alert for alert in told.alerts if alert.kind != OUTSIDE and now - alert.at_s < SHOWN_S]
    for alert in newest[:2]:
        st.error(plain(alert.text), icon=":material/notifications_active:")
    if newest and st.session_state.get("live_alert_sound"):
        sound = made_once("live_alert_wav", newest[0].number, lambda: alert_sound(newest[0].number))
        st.audio(sound, format="audio/wav", autoplay=True)


def show_log(alerts: tuple[Alert, ...]) -> None:
    """The log of this visit, the newest first."""
    if not alerts:
        return
    zone = visitors_zone()
    with st.expander(f"Alerts ({alerts[0].number})", icon=":material/notifications:"):
        for alert in alerts[:SHOWN_LINES]:
            st.caption(f"{datetime.fromtimestamp(alert.at_s, zone):%H:%M:%S} · {plain(alert.text)}")
