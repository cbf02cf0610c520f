"""The webcam on the live page, without a browser: before the start, what goes wrong, and faces for training."""

from types import SimpleNamespace

import av
import numpy as np
import pytest
import streamlit as st
import streamlit_webrtc
from streamlit.testing.v1 import AppTest

from core.access import Role
from core.datasets.sources.webcam import count_samples, sample_sets
from core.language import using
from core.synthetic.sample import sample_photo
from core.vision.crops import resize
from core.vision.images import decode_image, encode_image
from core.vision.pipeline import LIVE_SETTINGS, DetectionSettings, Method
from pages.components.camera import CAMERA_PROBLEMS
from pages.components.language import LANGUAGE
from pages.components.state import LIVE_RECENT
from pages.views.live.before import reach_m
from pages.views.live.connection import BLOCKED, CONNECT_S, NO_RELAY, REASONS, SILENT, SILENT_S, Connection
from tests.helpers import ROOT, labelled, texts, wait_until


class Browser:
    """Stands for the visitor's: what the page asked for, and how the video is."""

    def __init__(self, playing=True):
        self.playing, self.signalling, self.trouble, self.asked = playing, False, "", {}

    def streamer(self, key, **arguments):
        self.asked = arguments
        st.session_state[key] = SimpleNamespace(state=SimpleNamespace(playing=self.playing, signalling=self.signalling))

    def send(self, masked=False):
        frame = np.full((480, 640, 3), 40, np.uint8)
        frame[:, 80:560] = resize(sample_photo(masked), (480, 480))
        shown = self.asked["video_frame_callback"](av.VideoFrame.from_ndarray(frame, format="bgr24"))
        return frame, shown.to_ndarray(format="bgr24")


@pytest.fixture
def live(monkeypatch, tmp_path):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    browsers = []

    def open_live(language="en", **how):
        browser = Browser(**how)
        browsers.append(browser)
        monkeypatch.setattr(streamlit_webrtc, "webrtc_streamer", browser.streamer)
        monkeypatch.setattr("pages.components.webcam.video_problem", lambda: browser.trouble)
        app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
        app.session_state[LANGUAGE] = language
        app.run().switch_page("pages/live.py").run()
        assert not app.exception
        return app, browser

    yield open_live
    for browser in browsers:
        if browser.asked:
            browser.asked["on_video_ended"]()


def seen(app, browser, faces=1):
    """Until so many faces wait."""
    wait_until(lambda: browser.send() and len(app.session_state[LIVE_RECENT].all()) == faces)


def agree(app):
    labelled(app.toggle, "Collect faces for training").set_value(True).run()
    labelled(app.checkbox, "I agree, and so does everybody in front of the camera.").check().run()


def test_before_the_start_there_is_an_example_with_what_happens_how_far_and_what_is_kept(live):
    app, _ = live(playing=False)
    assert len(app.image) == 1, "the example"
    for words in ("Press **Start**", "**What happens.**", "up to about 4 metres away", "never stored"):
        assert words in texts(app)
    labelled(app.slider, "Smallest face").set_value(100).run()
    assert "up to about 1 metres away" in texts(app)


def test_how_far_faces_are_seen_follows_the_picture_and_how_closely_it_is_looked_at():
    def far(width, preset):
        return reach_m(Method("neural", "mask-detector"), DetectionSettings(preset=preset), width)

    assert far(640, "fast") < far(640, "balanced") < far(1280, "thorough")
    assert far(640, "balanced") == pytest.approx(far(1280, "balanced")), "it looks at 640 pixels of either"
    assert reach_m(Method("classic", "report"), LIVE_SETTINGS, 640) < far(640, "balanced")


def test_front_and_rear_camera_are_asked_for_and_a_running_video_starts_again(live):
    app, browser = live()
    assert browser.asked["media_stream_constraints"]["video"]["facingMode"] == {"ideal": "user"}
    mirror = lambda: labelled(app.toggle, "Mirror the video").value  # noqa: E731
    assert mirror(), "as in a mirror"
    app.run()
    labelled(app.segmented_control, "Camera of a phone").set_value("environment").run()
    assert browser.asked["media_stream_constraints"]["video"]["facingMode"] == {"ideal": "environment"}
    assert not mirror() and browser.asked["desired_playing_state"] is False
    browser.playing = False
    app.run()
    app.run()
    assert browser.asked["desired_playing_state"] is True
    labelled(app.toggle, "Mirror the video").set_value(True).run()
    labelled(app.segmented_control, "Camera of a phone").set_value("user").run()
    labelled(app.segmented_control, "Camera of a phone").set_value("environment").run()
    assert mirror(), "each camera keeps what was chosen for it"


@pytest.mark.parametrize("trouble", ["refused", "missing", "in_use", "ended", "failed"])
def test_a_camera_that_fails_gets_one_sentence_and_is_not_asked_for_again_and_again(live, trouble):
    app, browser = live()
    app.run()
    assert browser.asked["desired_playing_state"] is True
    browser.playing, browser.trouble = False, trouble
    app.run()
    app.run()
    assert browser.asked["desired_playing_state"] is None
    assert [warning.value for warning in app.warning] == [CAMERA_PROBLEMS[trouble]]


def test_a_missing_camera_is_told_once_though_the_check_and_the_video_both_find_it(live, monkeypatch):
    monkeypatch.setattr("pages.components.camera.camera_problem", lambda: "missing")
    app, browser = live(playing=False)
    browser.trouble = "missing"
    app.run()
    assert [warning.value for warning in app.warning] == [CAMERA_PROBLEMS["missing"]]
    browser.trouble = "failed"
    app.run()
    assert [warning.value for warning in app.warning] == [CAMERA_PROBLEMS[each] for each in ("missing", "failed")]


def test_why_no_picture_comes():
    blocked = Connection()
    blocked.update(playing=False, signalling=True, now=100)
    blocked.update(playing=False, signalling=True, now=101)
    assert blocked.reason(None, turn=False, now=101) == ""
    blocked.update(playing=False, signalling=True, now=100 + CONNECT_S + 1)
    assert blocked.reason(None, turn=False, now=112) == BLOCKED
    blocked.update(playing=False, signalling=False, now=130)
    assert blocked.reason(None, turn=True, now=130) == NO_RELAY, "the browser gave up; the reason stays"
    blocked.update(playing=False, signalling=True, candidates=["candidate:1 1 udp 1 192.0.2.1 9 typ relay"], now=131)
    assert blocked.reason(None, turn=True, now=131) == "", "a new try"
    blocked.update(playing=False, signalling=False, now=131 + CONNECT_S + 1)
    assert blocked.reason(None, turn=True, now=150) == BLOCKED

    stopped = Connection()
    stopped.update(playing=False, signalling=True, now=100)
    stopped.update(playing=False, signalling=False, now=102)
    assert stopped.reason(None, turn=False, now=102) == "", "somebody pressed Stop"

    silent = Connection()
    silent.update(playing=True, signalling=False, now=100)
    assert silent.reason(None, turn=False, now=101) == ""
    assert silent.reason(None, turn=False, now=101 + SILENT_S) == SILENT
    assert silent.reason(104.0, turn=False, now=101 + SILENT_S) == ""
    silent.update(playing=False, signalling=False, now=120)
    assert silent.reason(104.0, turn=False, now=120) == ""


def test_the_reason_is_on_the_page_with_a_way_out(live, monkeypatch):
    app, browser = live(playing=False)
    browser.signalling = True
    app.run()
    app.session_state["live_connection"].offered_s -= 2 * CONNECT_S
    app.run()
    assert REASONS[BLOCKED] in texts(app)
    labelled(app.button, "Take single pictures instead")
    browser.playing, browser.signalling = True, False
    app.run()
    assert REASONS[BLOCKED] not in texts(app)
    app.session_state["live_connection"].playing_s -= 2 * SILENT_S
    app.run()
    assert CAMERA_PROBLEMS["silent"] in texts(app)


def test_single_pictures_go_through_the_same_pipeline(live, monkeypatch):
    app, _ = live(playing=False)
    shot = SimpleNamespace(file_id="one", getvalue=lambda: encode_image(sample_photo(True)))
    monkeypatch.setattr(st, "camera_input", lambda *a, **k: shot)
    labelled(app.button, "Take single pictures instead").click().run()
    assert not app.exception and "never stored" in texts(app)
    assert {metric.label.split(": ")[-1]: metric.value for metric in app.metric}["Mask"] == "1"
    assert "live" not in app.session_state, "the video is over"
    shot.file_id, shot.getvalue = "two", lambda: b"no picture"
    app.run()
    assert "not an image" in texts(app)
    labelled(app.button, "Back to the video").click().run()
    assert "Press **Start**" in texts(app)


def test_faces_are_collected_after_consent_alone_and_gone_when_it_ends_or_the_page_is_left(live):
    app, browser = live()
    processor = app.session_state["live_processor"]
    labelled(app.toggle, "Collect faces for training").set_value(True).run()
    assert "stored on this server" in texts(app) and LIVE_RECENT not in app.session_state
    wait_until(lambda: browser.send() and processor.moment().counts.now.counts == (0, 1, 0))
    assert processor._recent() is None, "without consent nothing is kept"
    labelled(app.checkbox, "I agree, and so does everybody in front of the camera.").check().run()
    seen(app, browser)
    app.run()
    assert "only what you file is stored" in texts(app) and "File person" in texts(app)
    labelled(app.toggle, "Collect faces for training").set_value(False).run()
    assert LIVE_RECENT not in app.session_state and processor._recent() is None
    assert "File person" not in texts(app) and "never stored" in texts(app)
    labelled(app.toggle, "Collect faces for training").set_value(True).run()
    assert not app.checkbox[0].value, "consent is asked for anew"
    elsewhere = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    elsewhere.session_state[LIVE_RECENT] = "faces"
    elsewhere.run()  # the first page
    assert LIVE_RECENT not in elsewhere.session_state


def test_a_face_is_filed_with_one_click_into_the_set_of_ones_choice_or_thrown_away(live, monkeypatch):
    tiles = []
    monkeypatch.setattr("pages.views.live.recent.show_tiles", lambda key, sections, on_pick: tiles.append(sections))
    app, browser = live()
    agree(app)
    seen(app, browser)
    app.run()
    (face,) = app.session_state[LIVE_RECENT].all()
    shown = [decode_image(tile.jpeg) for tile in tiles[-1][0][1]]
    labelled(app.toggle, "Blur faces").set_value(True).run()
    blurred = [decode_image(tile.jpeg) for tile in tiles[-1][0][1]]
    x1, y1, x2, y2 = face.face_xyxy.astype(int)
    detail = [np.abs(np.diff(each[0][y1:y2, x1:x2].astype(int), axis=1)).mean() for each in (shown, blurred)]
    assert detail[1] < detail[0] / 2, "blurred until it is filed"
    labelled(app.button, "No mask").click().run()
    assert not app.exception and count_samples("webcam-samples") == {"without_mask": 1}
    assert sample_sets() == ["webcam-samples"] and not app.session_state[LIVE_RECENT].all()
    browser.asked["on_video_ended"]()
    seen(app, browser)
    app.run()
    labelled(app.button, "Throw away").click().run()
    assert not app.session_state[LIVE_RECENT].all() and count_samples("webcam-samples") == {"without_mask": 1}


def test_a_set_that_is_not_of_samples_is_left_alone_and_the_face_waits_on(live, tmp_path, monkeypatch):
    (tmp_path / "street").mkdir()
    monkeypatch.setattr("pages.views.live.recent.DEFAULT_NAME", "street")
    app, browser = live()
    agree(app)
    seen(app, browser)
    app.run()
    labelled(app.button, "Mask").click().run()
    assert "choose another name" in app.error[0].value and len(app.session_state[LIVE_RECENT].all()) == 1


def test_who_may_not_change_data_or_whose_operator_forbids_it_collects_nothing(live, monkeypatch):
    app, browser = live()
    agree(app)
    seen(app, browser)
    monkeypatch.setenv("MASK_COLLECT", "off")
    app.run()
    assert LIVE_RECENT not in app.session_state
    assert "Collect faces for training" not in [toggle.label for toggle in app.toggle]
    monkeypatch.delenv("MASK_COLLECT")
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    app.run()
    assert LIVE_RECENT not in app.session_state
    assert "Collect faces for training" not in [toggle.label for toggle in app.toggle]


def test_the_webcam_in_french(live):
    with using("fr"):  # also for what the test tool itself asks of options
        app, browser = live("fr", playing=False)
        assert app.title[0].value == "Webcam en direct" and not app.exception
        for words in (
            "Appuyez sur **Démarrer**",
            "**Ce qui se passe.**",
            "jusqu’à 4\u00a0m environ",
            "Aucun relevé n’est tenu.",
        ):
            assert words in texts(app)
        assert browser.asked["translations"]["start"] == "Démarrer", "not what the first page is called"
        assert browser.asked["translations"]["stop"] == "Arrêter"
        browser.playing = True
        processor = app.session_state["live_processor"]
        wait_until(lambda: browser.send() and processor.moment().counts.now.counts == (0, 1, 0))
        app.run()
        assert not app.exception and "| Maintenant | 1 | 0\u202f% | 0 |" in texts(app).replace("0\u00a0%", "0\u202f%")
        labelled(app.toggle, "Recueillir des visages pour l’entraînement").set_value(True).run()
        assert "enregistré sur ce serveur" in texts(app) and not app.exception
        charts = " ".join(chart.proto.spec for chart in app.get("plotly_chart"))
        assert "Personnes par minute" in charts and "People by minute" not in charts
