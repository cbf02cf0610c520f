"""Zone, line and alerts on the live page, without a browser."""

import time
from types import SimpleNamespace

import av
import numpy as np
import pytest
import streamlit as st
import streamlit_webrtc
from streamlit.testing.v1 import AppTest

from core.access import Role
from core.synthetic.sample import sample_photo
from core.video.alerts import NO_MASK, OUTSIDE, Rules
from core.video.zones import Place
from core.vision.crops import resize
from pages.views.live.place import MAX_CORNERS, point_of, zone_of
from tests.helpers import ROOT, labelled, texts, wait_until


@pytest.fixture
def live(monkeypatch):
    asked = {}

    def streamer(key, **arguments):
        asked.update(arguments)
        st.session_state[key] = SimpleNamespace(state=SimpleNamespace(playing=True, signalling=False))

    monkeypatch.setattr(streamlit_webrtc, "webrtc_streamer", streamer)
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    app.switch_page("pages/live.py").run()
    assert not app.exception
    yield app, asked
    asked["on_video_ended"]()


def send(asked):
    frame = np.full((480, 640, 3), 40, np.uint8)
    frame[:, 80:560] = resize(sample_photo(False), (480, 480))
    return asked["video_frame_callback"](av.VideoFrame.from_ndarray(frame, format="bgr24")).to_ndarray(format="bgr24")


def test_a_place_is_drawn_on_the_cameras_picture_kept_turned_and_removed(live):
    app, asked = live
    labelled(app.button, "Draw").click().run()
    assert "Start the camera first" in texts(app)
    send(asked)
    labelled(app.button, "Draw").click().run()
    assert "Drag a rectangle" in texts(app) and len(app.get("plotly_chart")) >= 1
    place = Place(((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)), ((0.1, 0.5), (0.9, 0.5)))
    app.session_state["live_places"] = {"Webcam": place}
    app.run()
    processor = app.session_state["live_processor"]
    assert processor.place == place
    labelled(app.toggle, "Blur faces").set_value(True).run()
    assert "Drag a rectangle" not in texts(app), "what was taken without blur is gone"
    send(asked)
    labelled(app.button, "Draw").click().run()
    assert "Drag a rectangle" in texts(app)
    labelled(app.button, "Exchange in and out").click().run()
    assert processor.place == place.turned()
    labelled(app.button, "Done").click().run()
    assert "live_still" not in app.session_state and not app.exception

    def counted():
        send(asked)
        told = processor.moment()
        return told.place and told.place.inside == 1 and told.counts.now.counts == (0, 1, 0)

    wait_until(counted)
    app.run()
    assert "In the zone: 1." in texts(app) and "**0 in, 0 out**" in texts(app)
    labelled(app.button, "Remove zone and line").click().run()
    assert processor.place == Place() and "In the zone" not in texts(app)


def test_alerts_are_chosen_shown_heard_and_logged(live, monkeypatch):
    app, asked = live
    monkeypatch.setattr("pages.views.live.alerts.SHOWN_S", 300.0)  # a busy machine may come to look late
    watch = app.session_state["live_processor"].alerts
    assert watch.rules == Rules() and "Send alerts outside" not in [toggle.label for toggle in app.toggle]
    for label in ("Somebody without a mask in the zone", "The camera is lost", "Play a sound"):
        labelled(app.checkbox, label).check().run()
    labelled(app.slider, "For more than so many seconds").set_value(1).run()
    assert watch.rules == Rules(no_mask_s=1, camera_lost=True)
    wait_until(lambda: send(asked) is not None and watch.log(), 20)
    app.run()
    assert [error.value for error in app.error] == ["Somebody has had no mask in the zone for more than 1 second\\."]
    assert len(app.get("audio")) == 1 and "Alerts (1)" in [each.label for each in app.expander]
    watch._log.clear()
    watch.note(NO_MASK, "of *yesterday*", time.time() - 86400)
    watch.note(OUTSIDE, "An alert did not reach target 1.", time.time())
    app.run()
    assert not app.error and not app.get("audio"), "only what is new; what failed outside is in the log alone"
    assert "of *yesterday*" in texts(app) and "target 1" in texts(app)


def test_operators_alone_send_alerts_outside(live, monkeypatch):
    app, _ = live
    monkeypatch.setenv("MASK_ALERT_URLS", "json://127.0.0.1:9")
    sent = []
    monkeypatch.setattr("core.video.alerts._send", lambda urls, text, failed: sent.append((urls, text)))
    app.run()
    watch = app.session_state["live_processor"].alerts
    labelled(app.button, "Try it").click().run()
    wait_until(lambda: sent)
    assert sent[0][0] == ("json://127.0.0.1:9",) and "test" in sent[0][1] and watch.send is None
    labelled(app.toggle, "Send alerts outside").set_value(True).run()
    assert watch.send is not None
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    app.run()
    assert watch.send is None and "Try it" not in [button.label for button in app.button]


def test_what_is_drawn_on_a_board_becomes_a_zone_or_a_point():
    assert zone_of({"box": [], "lasso": []}) == () and point_of({"points": []}) is None
    assert zone_of({"box": [{"x": [0.5, 0.5], "y": [0.1, 0.9]}]}) == (), "no area"
    turn = np.linspace(0, 2 * np.pi, 300)
    circle = zone_of({"lasso": [{"x": list(0.5 + 0.6 * np.cos(turn)), "y": list(0.5 + 0.3 * np.sin(turn))}]})
    assert 8 <= len(circle) <= MAX_CORNERS and (min(circle)[0], max(circle)[0]) == pytest.approx((0, 1), abs=0.01)
    assert point_of({"points": [{"x": 0.25, "y": 1.01}]}) == (0.25, 1.0)
