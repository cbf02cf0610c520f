"""What somebody wants to be told of, what they were told, and how."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import streamlit as st

from core.config import settings
from core.language import day, tr
from core.video.alerts import OUTSIDE, Alert, AlertWatch, Rules, alert_sound, outside
from core.video.cameras import SharedCamera
from core.video.live import Moment
from core.vision.classes import CLASS_NAMES, WITHOUT_MASK
from core.vision.pipeline import Pipeline
from pages.components.access import is_operator
from pages.components.clock import visitors_zone
from pages.components.messages import plain, show_problem, tried
from pages.components.state import choose_next, kept, made_once

SHOWN_S = 10.0
SHOWN_LINES = 20


def alert_form(watch: AlertWatch, pipeline: Pipeline) -> None:
    """Choose the alerts of this visitor's video."""
    watch.rules = _rules_form("live_alert", pipeline)
    sound_switch()
    watch.send = _outside_form(watch, "live_outside")


def shared_alert_form(camera: SharedCamera, pipeline: Pipeline) -> None:
    """Choose the alerts of a network camera, which are the same for all who watch it; for operators."""
    key, chosen = f"live_alert_{camera.name}", camera.choices
    known, shown = st.session_state.get(f"{key}_known", (None, None))
    if known != chosen:  # at first, or another operator has chosen
        rules = chosen.rules
        for name, value in {
            "bare": rules.no_mask_s is not None,
            "seconds": round(rules.no_mask_s or 5),
            "share": rules.share_below is not None,
            "below": round(100 * (rules.share_below or 0.8)),
            "minutes": rules.share_minutes,
            "lost": rules.camera_lost,
            "outside": chosen.outside,
        }.items():
            choose_next(f"{key}_{name}", value)
        shown = None
    rules = _rules_form(key, pipeline)
    sound_switch()
    now = rules, _outside_form(camera.processor.alerts, f"{key}_outside") is not None
    if shown is not None and now != shown:  # this operator has: an alert that cannot be shown here stays as it is
        tried(camera.choose)(replace(chosen, rules=now[0], outside=now[1]))
        show_problem()
    st.session_state[f"{key}_known"] = camera.choices, now


def sound_switch() -> None:
    """Whether this visitor hears alerts."""
    st.checkbox(tr("Play a sound"), **kept("live_alert_sound", False))


def _rules_form(key: str, pipeline: Pipeline) -> Rules:
    no_mask_s, share_below, minutes = None, None, 10
    if CLASS_NAMES[WITHOUT_MASK] in pipeline.classes:
        if st.checkbox(tr("Somebody without a mask in the zone"), **kept(f"{key}_bare", False)):
            words = tr("For more than so many seconds")
            no_mask_s = st.slider(words, 1, 60, format="%d s", **kept(f"{key}_seconds", 5))
        if st.checkbox(tr("Too few wear a mask well"), **kept(f"{key}_share", False)):
            share_below = st.slider(tr("Share below"), 10, 100, format=tr("%d%%"), **kept(f"{key}_below", 80)) / 100
            minutes = st.slider(tr("Of the people of the last minutes"), 1, 60, **kept(f"{key}_minutes", 10))
    lost = st.checkbox(tr("The camera is lost"), **kept(f"{key}_lost", False))
    return Rules(no_mask_s, share_below, minutes, lost)


def _outside_form(watch: AlertWatch, key: str) -> Callable[[str], None] | None:
    """What sends alerts outside, if somebody who may wants that."""
    if not (is_operator() and settings().alert_urls):
        return None
    send = made_once(
        "live_alert_send",
        (settings().alert_urls, id(watch)),
        lambda: outside(lambda text: watch.note(OUTSIDE, text, time.time())),
    )
    wanted = st.toggle(
        tr("Send alerts outside"), help=tr("To the targets in this server's settings."), **kept(key, False)
    )
    if st.button(tr("Try it"), icon=":material/send:"):
        send(tr("This is a test of the alerts of the face mask dashboard."))
        st.toast(tr("A test is on its way; should it fail, the log of alerts says so."))
    return send if wanted else None


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
    with st.expander(tr("Alerts ({count})").format(count=alerts[0].number), icon=":material/notifications:"):
        for alert in alerts[:SHOWN_LINES]:
            at = day(datetime.fromtimestamp(alert.at_s, zone), "HH:mm:ss")
            st.caption(f"{at} · {plain(alert.text)}")
