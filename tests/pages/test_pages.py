"""Every page, run as Streamlit runs it, without a browser."""

import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import av
import numpy as np
import pytest
import streamlit as st
import streamlit_webrtc
from PIL import Image, ImageOps
from streamlit.testing.v1 import AppTest

from core.config import models_dir
from core.registry.active import SHIPPED, in_use, use
from core.registry.leaderboard import load_scoreboards
from core.registry.store import list_models
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.video.record import cameras
from core.vision.brought import BroughtNetwork, ModelFailure
from core.vision.classifier import DEFAULT_CLASSIFIER
from core.vision.crops import resize
from core.vision.detections import make_detections
from core.vision.detector import DEFAULT_DETECTOR, PRESETS
from core.vision.images import encode_image
from core.vision.model_card import file_sha256, load_card
from core.vision.pipeline import DEFAULT_PIPELINE, PHOTO_SETTINGS, PIPELINES, Method, PipelineSpec
from pages.components.resources import server_recorder
from tests.helpers import (
    JPEG,
    ROOT,
    StubPipeline,
    labelled,
    numbers,
    picture_bytes,
    png_header_bomb,
    texts,
    unescaped,
    wait_until,
)

BARE, MASKED = (encode_image(sample_photo(masked)) for masked in (False, True))


def as_gif(data):
    gif, frame = io.BytesIO(), Image.open(io.BytesIO(data))
    frame.save(gif, "GIF", save_all=True, append_images=[ImageOps.mirror(frame)])
    return gif.getvalue()


def open_page(page: str | None = None) -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    if page:
        app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    return app


def test_start_page_classifies_the_sample_and_leads_on():
    app = open_page()
    assert app.title[0].value == "Who wears a face mask?"
    assert [numbers(app)[name] for name in ("Mask", "No mask", "Worn incorrectly")] == ["2", "2", "1"]
    assert len(app.get("page_link")) == 7
    assert "Nothing is kept or sent on" in texts(app)


@pytest.fixture
def photo_page():
    return open_page("photo")


def upload(app, *files):
    app.file_uploader[0].set_value([(name, data, "image/jpeg") for name, data in files]).run()
    assert not app.exception
    return app


def test_photo_page_waits_for_a_photo(photo_page):
    assert not photo_page.metric and not photo_page.error


def test_a_photo_is_classified_without_a_button(photo_page):
    upload(photo_page, ("door.jpg", MASKED))
    assert "1 face: 1 with a mask." in texts(photo_page)
    assert numbers(photo_page) == {
        **{"Mask": "1", "No mask": "0", "Worn incorrectly": "0", "Not sure": "0"},
        "Wear a mask well": "100%",
    }
    row = photo_page.dataframe[0].value.iloc[0]
    assert row["Result"] == "✓ Mask" and row["Confidence"].endswith("%") and " × " in row["Size"] and row["No."] == 1
    assert row["Face"].startswith("data:image/jpeg;base64,")
    assert [button.label for button in photo_page.download_button] == [
        "Annotated photo",
        "Results of this photo (CSV)",
        "Results of this photo (JSON)",
        "Report of this photo (HTML)",
    ]


def test_several_photos_add_up_and_one_is_shown(photo_page):
    upload(photo_page, ("a.jpg", MASKED), ("b.jpg", BARE))
    assert numbers(photo_page)["Wear a mask well"] == "50%"
    labelled(photo_page.button, "Next").click().run()
    assert photo_page.dataframe[0].value.iloc[0]["Result"] == "✗ No mask"
    labelled(photo_page.slider, "Smallest face").set_value(30).run()
    assert photo_page.dataframe[0].value.iloc[0]["Result"] == "✗ No mask", (
        "the chosen photo stays when a setting changes"
    )


def test_results_stay_and_follow_the_settings(photo_page):
    upload(photo_page, ("a.jpg", MASKED))
    labelled(photo_page.slider, "Smallest face").set_value(200).run()
    assert "1 face found, but smaller than your limit of 200 px." in texts(photo_page)
    assert "No face" not in texts(photo_page) and not photo_page.dataframe
    labelled(photo_page.slider, "Smallest face").set_value(24).run()
    assert "1 face: 1 with a mask." in texts(photo_page)


class Crowd(StubPipeline):
    """Finds a face of 40 px, and one of 90 px that may have a mask."""

    def __call__(self, frame_bgr, settings=None):
        return make_detections([[0, 0, 90, 120], [100, 0, 140, 50]], [0, 1], [0.55, 0.9])


@pytest.fixture
def crowd(monkeypatch):
    monkeypatch.setitem(PIPELINES, DEFAULT_PIPELINE, stub_spec(Crowd))
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def show_them(app: AppTest) -> AppTest:
    labelled(app.button, "Show them").click().run()
    assert not app.exception
    return app


def test_smaller_faces_are_hidden_by_a_limit_and_shown_at_a_click(crowd):
    page = upload(open_page("photo"), ("x.png", picture_bytes(size_wh=(300, 200))))
    slider = labelled(page.slider, "Smallest face")
    assert (slider.value, slider.min, slider.max) == (0, 0, 200) and "every face is shown" in slider.help
    buttons = [button.label for button in page.button]
    assert "2 faces: 1 with a mask, 1 without a mask." in texts(page) and "Show them" not in buttons
    for limit, words in (
        (50, "1 smaller face is hidden by your limit of 50 px."),
        (100, "2 faces found, but smaller than your limit of 100 px."),
    ):
        labelled(page.slider, "Smallest face").set_value(limit).run()
        assert words in texts(page)
        assert ("1 face: 1 with a mask." in texts(page)) == (limit == 50)
        assert "hidden by your limit." not in texts(page), "said once"
        show_them(page)
        assert "2 faces: 1 with a mask, 1 without a mask." in texts(page)
        assert [button.label for button in page.button] == buttons
        assert labelled(page.slider, "Smallest face").value == 0
    page.switch_page("pages/home.py").run()
    page.switch_page("pages/photo.py").run()
    assert labelled(page.slider, "Smallest face").value == 0, "kept like any other setting"


def test_other_ways_to_look_tell_of_hidden_faces_too(crowd):
    page = upload(open_page("photo"), ("x.png", picture_bytes(size_wh=(300, 200))))
    labelled(page.slider, "Smallest face").set_value(50).run()
    show_as(page, "All methods")
    assert "1 face: 1 with a mask. 1 smaller face is hidden by your limit." in texts(page)


def test_a_face_whose_class_is_not_sure_is_shown_without_a_result(crowd):
    page = upload(open_page("photo"), ("x.png", picture_bytes(size_wh=(300, 200))))
    labelled(page.slider, "Minimum confidence").set_value(60).run()
    assert "2 faces: 1 without a mask, 1 not clear enough to tell." in texts(page)
    assert numbers(page) == {
        **{"Mask": "0", "No mask": "1", "Worn incorrectly": "0", "Not sure": "1"},
        "Wear a mask well": "0%",
    }
    table = page.dataframe[0].value
    assert list(table["Result"]) == ["? Not sure", "✗ No mask"] and list(table["Confidence"]) == ["–", "90%"]
    labelled(page.slider, "Minimum confidence").set_value(95).run()
    assert numbers(page)["Wear a mask well"] == "–" and numbers(page)["Not sure"] == "2"


def test_pictures_are_forgotten_when_another_page_is_shown():
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.session_state["photo_set"] = "pictures"
    app.run()  # the first page
    assert "photo_set" not in app.session_state


def stub_spec(make=StubPipeline) -> PipelineSpec:
    """An entry of the registry that needs no model."""
    return PipelineSpec("Stub", "As told.", build=lambda model: make(), default_model="", model_kind="stub")


def test_a_photo_that_breaks_the_analysis_does_not_cost_the_others(monkeypatch):
    class Fragile(StubPipeline):
        def __call__(self, frame_bgr, settings=None):
            if frame_bgr.shape[0] == 77:
                raise RuntimeError("out of luck")
            return super().__call__(frame_bgr, settings)

    monkeypatch.setitem(PIPELINES, DEFAULT_PIPELINE, stub_spec(Fragile))
    st.cache_resource.clear()
    page = upload(open_page("photo"), ("bad.png", picture_bytes(size_wh=(300, 77))), ("good.jpg", MASKED))
    st.cache_resource.clear()
    (error,) = page.error
    assert "could not be classified" in error.value and "luck" not in error.value
    assert "1 face: 1 with a mask." in texts(page)


@pytest.mark.skipif(not hasattr(AppTest, "camera_input"), reason="needs Streamlit 1.66: AppTest without a camera")
def test_a_photo_that_cannot_be_shown_does_not_cost_the_others(photo_page, monkeypatch):
    monkeypatch.setattr("core.vision.photos.annotate", lambda *_, **__: 1 / 0)
    upload(photo_page, ("a.jpg", MASKED), ("b.jpg", BARE))
    (error,) = photo_page.error
    assert unescaped(error.value) == "a.jpg: This photo cannot be shown; try it in another format or size."
    assert numbers(photo_page)["Wear a mask well"] == "50%" and len(photo_page.download_button) == 3


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        pytest.param("photo.jfif", MASKED, "1 face", id="JPEG as Chrome saves it"),
        pytest.param("photo", MASKED, "1 face", id="a name without an ending"),
        pytest.param("moving.gif", as_gif(MASKED), "the first frame is used", id="animation"),
        pytest.param("letter.docx", b"PK\3\4", "not an image", id="not a photo: in our words"),
    ],
)
def test_a_file_of_any_ending_is_answered(photo_page, name, data, sentence):
    assert not photo_page.file_uploader[0].proto.type, "Streamlit refuses nothing by its ending"
    upload(photo_page, (name, data))
    assert sentence in texts(photo_page)


def test_a_photo_on_its_head_is_turned_and_can_be_turned_on(photo_page):
    upside_down = encode_image(sample_photo(True)[::-1, ::-1])
    upload(photo_page, ("a.jpg", upside_down))
    assert "1 face: 1 with a mask." in texts(photo_page) and "so it was turned" in texts(photo_page)
    labelled(photo_page.button, "Turn").click().run()
    assert not photo_page.exception and "so it was turned" not in texts(photo_page)


def test_the_camera_takes_a_picture(photo_page):
    photo_page.segmented_control[0].set_value("Camera").run()
    photo_page.camera_input[0].set_value(("camera.jpg", MASKED, "image/jpeg")).run()
    assert not photo_page.exception
    assert "1 face: 1 with a mask." in texts(photo_page)


def test_settings_survive_a_change_of_page(photo_page):
    labelled(photo_page.slider, "Smallest face").set_value(77).run()
    photo_page.switch_page("pages/home.py").run()
    photo_page.switch_page("pages/photo.py").run()
    assert labelled(photo_page.slider, "Smallest face").value == 77


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "empty", id="zero bytes"),
        pytest.param(b"just words", "not an image", id="text named jpg"),
        pytest.param(JPEG[:900], "damaged or incomplete", id="truncated"),
        pytest.param(png_header_bomb(30000, 30000), "megapixels", id="header bomb"),
    ],
)
def test_a_bad_file_gets_one_sentence_and_the_good_ones_are_classified(photo_page, data, sentence):
    upload(photo_page, ("bad*_name.jpg", data), ("good.jpg", MASKED))
    (error,) = photo_page.error
    assert error.value.startswith(r"bad\*\_name\.jpg: ") and sentence in error.value
    assert "1 face: 1 with a mask." in texts(photo_page)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(picture_bytes(size_wh=(1, 1)), id="one pixel"),
        pytest.param(picture_bytes("L", (60, 40)), id="grey"),
        pytest.param(picture_bytes("CMYK", (60, 40), "JPEG"), id="CMYK"),
        pytest.param(picture_bytes("RGBA", (60, 40)), id="transparent"),
        pytest.param(picture_bytes(size_wh=(3000, 1)), id="a line"),
    ],
)
def test_a_picture_without_a_face_is_no_error(photo_page, data):
    upload(photo_page, ("x.png", data))
    assert not photo_page.error
    assert "No face found." in texts(photo_page)


def test_each_method_shows_its_own_settings(monkeypatch):
    monkeypatch.setitem(PIPELINES, "stub", stub_spec())
    page = open_page("photo")
    assert [box.label for box in page.selectbox] == ["Method", "Preset"]
    assert labelled(page.selectbox, "Preset").value == PHOTO_SETTINGS.preset
    labelled(page.selectbox, "Method").select("classic").run()
    assert [box.label for box in page.selectbox] == ["Method", "Cascade"]
    labelled(page.selectbox, "Method").select("stub").run()
    assert [box.label for box in page.selectbox] == ["Method"]
    upload(page, ("x.png", picture_bytes(size_wh=(300, 300))))
    assert "1 face: 1 with a mask." in texts(page), "the chosen pipeline was asked"
    st.cache_resource.clear()


def test_the_model_can_be_chosen_where_there_are_several(photo_page, monkeypatch):
    assert "Model" not in [box.label for box in photo_page.selectbox]
    monkeypatch.setattr("pages.components.settings.list_models", lambda kind: [DEFAULT_DETECTOR, "other"])
    page = open_page("photo")
    labelled(page.selectbox, "Model").select("other").run()
    assert "no model card" in page.error[0].value, "the chosen model was asked for"


def test_a_photo_is_classified_by_every_method(photo_page):
    upload(photo_page, ("door.jpg", MASKED))
    show_as(photo_page, "All methods")
    assert {spec.title for spec in PIPELINES.values()} <= {header.value for header in photo_page.header}
    results = [unescaped(text.value) for text in photo_page.markdown if text.value.endswith("ms.")]
    assert len(results) == len(PIPELINES)
    assert all(result.startswith("1 face: 1 with a mask.") for result in results)
    assert len(photo_page.image) == len(PIPELINES)


def show_as(page, view):
    next(control for control in page.segmented_control if control.key == "photo_view").set_value(view).run()
    assert not page.exception


def test_the_face_heat_map_is_shown_for_the_network_alone(photo_page):
    upload(photo_page, ("door.jpg", MASKED))
    show_as(photo_page, "Face heat map")
    assert "centre of a face" in texts(photo_page) and len(photo_page.image) == 1
    labelled(photo_page.selectbox, "Method").select("classic").run()
    views = next(control for control in photo_page.segmented_control if control.key == "photo_view").options
    assert [view if isinstance(view, str) else view.content for view in views] == ["Results", "All methods"]


def test_a_face_is_explained_on_request(photo_page):
    upload(photo_page, ("door.jpg", MASKED))
    assert len(photo_page.image) == 1
    photo_page.toggle[0].set_value(True).run()
    assert not photo_page.exception
    assert "speaks for a mask" in texts(photo_page) and len(photo_page.image) == 2


def test_the_model_page_shows_the_card_the_figures_and_the_limits():
    app = open_page("model")
    card = load_card(models_dir() / f"{DEFAULT_DETECTOR}.json")
    assert card.limits in texts(app) and numbers(app)["Classes"] == "3"
    own, *tables = [frame.value for frame in app.dataframe]
    points = [f"{use}, {preset}" for use in ("photo", "live") for preset in PRESETS]
    assert list(own["Tested on"]) == [f"Validation: settings for {point}" for point in points]
    boards = load_scoreboards()
    assert boards and [len(table) for table in tables][: len(boards)] == [len(board.rows) for board in boards]
    charts = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    shown = {chart["layout"]["title"]["text"]: chart["data"][0]["x"] for chart in charts}
    assert shown["Errors by pose"] == ["frontal", "turned", "looking down"]
    assert shown["Errors on faces without a mask"][:2] == ["nothing", "hand"] and "a helmet or another" in texts(app)
    labelled(app.selectbox, "Method").select("classic").run()
    assert not app.exception and numbers(app)["Classes"] == "2"
    assert len(app.dataframe[0].value) == 2, "its own test part and the street photos"
    assert app.dataframe[0].value["Accuracy"].min() > 0.98


@pytest.mark.slow
def test_the_model_page_measures_this_computer():
    app = open_page("model")
    before = len(app.get("plotly_chart"))
    app.button(key="model_measure").click().run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == before + 1


def test_a_missing_model_gets_a_sentence(monkeypatch):
    from core.vision.model_card import ModelError

    def missing(pipeline, model):
        raise ModelError("There is no model card models/x.json; train one.")

    monkeypatch.setattr("pages.components.resources.build_pipeline", missing)
    st.cache_resource.clear()
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    app.switch_page("pages/live.py").run()
    assert not app.exception
    assert "train one" in app.error[0].value
    st.cache_resource.clear()


class FakeStreamer:
    """Stands for the browser: keeps what the page asked for, and its state where the real one has it."""

    def __init__(self, playing):
        self.playing, self.signalling, self.arguments = playing, False, {}

    def __call__(self, key, **arguments):
        self.arguments = arguments
        st.session_state[key] = SimpleNamespace(state=SimpleNamespace(playing=self.playing, signalling=self.signalling))


@pytest.fixture
def live_page(monkeypatch):
    def open_live(playing):
        streamer = FakeStreamer(playing)
        monkeypatch.setattr(streamlit_webrtc, "webrtc_streamer", streamer)
        return open_page("live"), streamer

    return open_live


def send(streamer, masked):
    frame = np.full((480, 640, 3), 40, np.uint8)
    frame[:, 80:560] = resize(sample_photo(masked), (480, 480))
    shown = streamer.arguments["video_frame_callback"](av.VideoFrame.from_ndarray(frame, format="bgr24"))
    return frame, shown.to_ndarray(format="bgr24")


def test_live_page_says_what_to_do_and_asks_no_other_machine(live_page):
    app, streamer = live_page(playing=False)
    assert "Press **Start**" in texts(app)
    assert streamer.arguments["rtc_configuration"] == {"iceServers": []}
    assert streamer.arguments["media_stream_constraints"]["audio"] is False
    assert "refused" in streamer.arguments["translations"]["device_access_denied"]


def test_a_lost_connection_is_made_again_until_somebody_presses_stop(live_page):
    app, streamer = live_page(playing=True)
    assert streamer.arguments["desired_playing_state"] is None, "the visitor presses Start"
    app.run()
    assert streamer.arguments["desired_playing_state"] is True
    streamer.playing = False  # and nobody pressed Stop
    app.run()
    app.run()
    assert streamer.arguments["desired_playing_state"] is True and "connection was lost" in texts(app)
    streamer.playing = True
    app.run()
    labelled(app.button, "Stop").click().run()
    assert streamer.arguments["desired_playing_state"] is False
    streamer.playing = False
    app.run()
    app.run()
    assert streamer.arguments["desired_playing_state"] is None and "Press **Start**" in texts(app)


def test_a_connection_that_stays_lost_is_given_up(live_page):
    app, streamer = live_page(playing=True)
    app.run()
    streamer.playing = False
    app.run()
    app.run()
    app.session_state["live_lost_at"] -= 100
    app.run()
    app.run()
    assert streamer.arguments["desired_playing_state"] is None and "Press **Start**" in texts(app)


def test_the_size_of_the_live_picture_is_a_choice(live_page):
    app, streamer = live_page(playing=False)
    assert streamer.arguments["media_stream_constraints"]["video"]["width"] == {"ideal": 640}
    labelled(app.selectbox, "Picture size").select((1920, 1080)).run()
    assert streamer.arguments["media_stream_constraints"]["video"]["height"] == {"ideal": 1080}


def test_live_page_counts_what_the_camera_shows(live_page):
    app, streamer = live_page(playing=True)
    frame, shown = send(streamer, masked=True)
    assert shown.shape == frame.shape
    processor = app.session_state["live_processor"]
    wait_until(lambda: processor.stats.snapshot().now.faces == 1)
    _, shown = send(streamer, masked=True)
    assert (shown != frame).any(), "the box is drawn"
    wait_until(lambda: send(streamer, masked=True) and processor.stats.snapshot().now.counts == (1, 0, 0))
    app.run()
    assert numbers(app)["Mask"] == "1"
    assert "| Session | 1 | 100% | 0 |" in texts(app)
    assert "ms each" in texts(app)
    # A setting changes while the stream runs: the same processor follows.
    labelled(app.slider, "Smallest face").set_value(200).run()
    wait_until(lambda: send(streamer, masked=True) and processor.stats.snapshot().now.hidden == 1)
    assert processor.stats.snapshot().now.faces == 0
    app.run()
    assert "1 face found, but smaller than your limit of 200 px." in texts(app)
    show_them(app)
    assert labelled(app.slider, "Smallest face").value == 0
    wait_until(lambda: send(streamer, masked=True) and processor.stats.snapshot().now.faces == 1)
    app.run()
    assert "your limit" not in texts(app), "without a limit there is nothing to say"
    streamer.arguments["on_video_ended"]()


def test_live_counters_do_not_move_when_a_face_is_unsure_or_hidden(live_page, crowd):
    app, streamer = live_page(playing=True)
    processor = app.session_state["live_processor"]
    send(streamer, masked=True)
    wait_until(lambda: processor.stats.snapshot().now.faces == 2)
    shown = []
    for confidence in (50, 60):
        labelled(app.slider, "Minimum confidence").set_value(confidence).run()
        wait_until(lambda c=confidence: send(streamer, True) and processor.stats.snapshot().now.unknown == (c == 60))
        app.run()
        shown.append(numbers(app))
    assert [seen["Not sure"] for seen in shown] == ["0", "1"] and shown[0].keys() == shown[1].keys()
    for limit, hidden in ((30, 0), (50, 1)):
        labelled(app.slider, "Smallest face").set_value(limit).run()
        wait_until(lambda h=hidden: send(streamer, True) and processor.stats.snapshot().now.hidden == h)
        app.run()
        assert f"{hidden} smaller face{' is' if hidden else 's are'} hidden by your limit of {limit} px." in texts(app)
        assert labelled(app.button, "Show them").disabled == (not hidden)
    streamer.arguments["on_video_ended"]()


def test_live_page_shows_an_error_and_keeps_the_picture(live_page):
    app, streamer = live_page(playing=True)
    processor = app.session_state["live_processor"]

    def broken(frame):
        raise RuntimeError("the *model* is gone")

    processor.detect = broken
    frame, shown = send(streamer, masked=False)
    assert (shown == frame[:, ::-1]).all(), "as in a mirror"
    wait_until(lambda: processor.stats.snapshot().error)
    processor.detect = None  # so that no good frame comes in between
    app.run()
    assert any("cannot be classified at the moment" in error.value for error in app.error)
    streamer.arguments["on_video_ended"]()


def test_live_page_blurs_keeps_a_record_and_says_so(live_page, tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    app, streamer = live_page(playing=True)
    assert "as they are and never stored" in texts(app) and "No record is kept" in texts(app)
    labelled(app.toggle, "Blur faces").set_value(True).run()
    labelled(app.toggle, "Keep a record").set_value(True).run()
    labelled(app.text_input, "Name of this camera").set_value("Front *door*").run()
    assert "with blurred faces" in texts(app) and "Counts are on the record for 90 days" in texts(app)
    processor = app.session_state["live_processor"]
    wait_until(lambda: send(streamer, masked=True) and processor.moment().counts.now.counts == (1, 0, 0))
    _, shown = send(streamer, masked=True)
    x1, y1, x2, y2 = (round(side * 480 / 512) for side in SAMPLE_FACE_XYXY)
    face = shown[:, ::-1][y1 + 20 : y2 - 20, x1 + 100 : x2 + 60]
    assert len(np.unique(face.reshape(-1, 3), axis=0)) <= 36, "a mosaic"
    app.run()
    assert "| Today | 1 | 100% | 0 |" in texts(app) and "| Session | 1 |" in texts(app)
    streamer.arguments["on_video_ended"]()
    assert server_recorder().flush() and cameras() == ["Front *door*"]
    monkeypatch.setenv("MASK_RECORD", "off")
    app.run()
    assert labelled(app.toggle, "Keep a record").disabled and not processor.keeps


def test_live_page_records_visitors_only_where_the_settings_say_so(live_page, tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MASK_ACCESS", "public")
    app, _ = live_page(playing=False)
    assert [toggle.label for toggle in app.toggle] == ["Blur faces", "Mirror the video"]
    assert not app.session_state["live_processor"].keeps
    monkeypatch.setenv("MASK_RECORD", "on")
    app.run()
    assert not app.exception and app.session_state["live_processor"].keeps and "on the record" in texts(app)


def test_live_page_tells_of_a_bad_ice_server(live_page, monkeypatch):
    monkeypatch.setenv("ICE_SERVERS", '[{"urls": "turn:turn.example.org"}]')
    app, streamer = live_page(playing=False)
    assert "`username` and `credential`" in app.warning[0].value
    assert streamer.arguments["rtc_configuration"] == {"iceServers": []}


@pytest.fixture
def install():
    """Puts copies of the shipped classifier into ``models/``, under other names and with other names of classes."""

    def put(name: str, classes: tuple[str, ...], ending: bytes = b"", **more) -> Method:
        card = load_card(models_dir() / f"{DEFAULT_CLASSIFIER}.json")
        path = models_dir() / f"{name}-1.tflite"
        path.write_bytes((models_dir() / card.file).read_bytes() + ending)
        made = replace(card, name=name, file=path.name, classes=classes, sha256=file_sha256(path), **more)
        made.save(models_dir() / f"{name}.json")
        return Method("combined", name)

    yield put
    for path in models_dir().iterdir():
        if path.is_file() and not path.name.startswith(SHIPPED):
            path.unlink()


def test_a_page_follows_the_active_method_and_a_visitor_may_choose_another_until_it_changes(photo_page, install):
    helmets = install("helmets", ("helmet", "no_*helmet*"))
    upload(photo_page, ("door.jpg", BARE))
    assert numbers(photo_page)["No mask"] == "1"
    use(helmets)
    photo_page.run()
    assert labelled(photo_page.selectbox, "Method").value == "combined"
    assert labelled(photo_page.selectbox, "Model").value == "helmets"
    assert numbers(photo_page) == {
        **{":gray-badge[H] Helmet": "0", ":gray-badge[N] No *helmet*": "1"},
        "Not sure": "0",
    }, "no share of masks"
    assert "1 face: 1 No *helmet*." in texts(photo_page) and "Active on this server" in texts(photo_page)
    assert photo_page.dataframe[0].value.iloc[0]["Result"] == "N No *helmet*"
    assert [toggle.key for toggle in photo_page.toggle] == ["photo_blur"], "nothing to say of masks"
    assert "helmets" in photo_page.toast[0].value
    labelled(photo_page.selectbox, "Method").select("neural").run()
    photo_page.run()
    assert numbers(photo_page)["No mask"] == "1" and "Active on this server" not in texts(photo_page)
    use(Method("classic", DEFAULT_CLASSIFIER))
    photo_page.run()
    assert labelled(photo_page.selectbox, "Method").value == "classic"
    assert labelled(photo_page.selectbox, "Model").value == DEFAULT_CLASSIFIER


def test_a_model_installed_anew_under_its_name_classifies_at_once(photo_page, install):
    use(install("door", ("with_mask", "without_mask")))
    upload(photo_page, ("door.jpg", BARE))
    assert numbers(photo_page)["No mask"] == "1"
    install("door", ("without_mask", "with_mask"), ending=b"\0" * 16)
    photo_page.run()
    assert numbers(photo_page)["Mask"] == "1", "the other file says the other thing"


def test_an_active_model_that_vanished_gets_a_sentence(photo_page, install):
    use(install("door", ("with_mask", "without_mask")))
    (models_dir() / "door.json").unlink()
    upload(photo_page, ("door.jpg", BARE))
    assert "no model 'door'" in unescaped(photo_page.warning[0].value)
    assert labelled(photo_page.selectbox, "Method").value == DEFAULT_PIPELINE
    assert numbers(photo_page)["No mask"] == "1"


def test_a_model_from_elsewhere_that_breaks_down_makes_way_and_no_photo_is_lost(photo_page, install, monkeypatch):
    use(install("door", ("with_mask", "without_mask"), training={}))
    upload(photo_page, ("door.jpg", BARE))
    assert numbers(photo_page)["No mask"] == "1"

    def loop(self, crops_rgb):
        raise ModelFailure("The model door did not answer within 6 seconds and was stopped.")

    monkeypatch.setattr(BroughtNetwork, "_ask", loop)
    upload(photo_page, ("door.jpg", BARE), ("other.jpg", MASKED))
    assert [unescaped(error.value) for error in photo_page.error] == [
        "The model door did not answer within 6 seconds and was stopped."
    ]
    photo_page.run()  # as the page does by itself, a moment later
    assert not photo_page.error and numbers(photo_page)["No mask"] == numbers(photo_page)["Mask"] == "1"
    assert labelled(photo_page.selectbox, "Method").value == DEFAULT_PIPELINE
    assert "The method before it is active again: Neural, mask-detector." in unescaped(photo_page.warning[0].value)


def test_the_start_page_classifies_an_example_and_a_photo_by_the_active_method(install):
    use(install("helmets", ("helmet", "no_helmet")))
    app = open_page()
    assert [numbers(app)[f":gray-badge[{name[0]}] {name}"] for name in ("Helmet", "No helmet")] == ["2", "3"]
    upload(app, ("x.jpg", picture_bytes(size_wh=(300, 77))))
    assert set(numbers(app).values()) == {"0"}
    upload(app, ("x.jpg", b"no picture"))
    assert "x.jpg: This file is not an image" in unescaped(app.error[0].value) and not app.metric


def test_a_running_camera_follows_the_active_method(live_page, install):
    app, streamer = live_page(playing=True)
    processor = app.session_state["live_processor"]
    wait_until(lambda: send(streamer, masked=True) and processor.stats.snapshot().now.count("with_mask") == 1)
    use(install("helmets", ("helmet", "no_helmet")))
    app.run()
    assert app.session_state["live_processor"] is processor
    wait_until(lambda: send(streamer, masked=True) and processor.stats.snapshot().now.count("helmet") == 1, 20)
    app.run()
    assert numbers(app) == {":gray-badge[H] Helmet": "1", ":gray-badge[N] No helmet": "0", "Not sure": "0"}
    assert "Mask worn well" not in texts(app) and "ms each" in texts(app)
    streamer.arguments["on_video_ended"]()


def test_many_classes_are_counted_where_they_are_seen(monkeypatch):
    class Letters(StubPipeline):
        classes = tuple("abcdefghijklmnopqrstuvwxyz")

        def __call__(self, frame_bgr, settings=None):
            return make_detections([[0, 0, 50, 60], [60, 0, 100, 60]], [25, 2], [0.9, 0.8], classes=self.classes)

    monkeypatch.setitem(PIPELINES, DEFAULT_PIPELINE, stub_spec(Letters))
    st.cache_resource.clear()
    page = upload(open_page("photo"), ("x.png", picture_bytes(size_wh=(300, 200))))
    st.cache_resource.clear()
    assert numbers(page) == {":gray-badge[C] c": "1", ":gray-badge[Z] z": "1", "Not sure": "0"}
    assert "26 classes are told apart" in texts(page) and "2 faces: 1 c, 1 z." in texts(page)


def test_the_model_page_deploys_rolls_back_and_removes(install):
    install("helmets", ("helmet", "no_helmet"))
    app = open_page("model")
    assert [button.key for button in app.button] == [
        *("model_deploy_helmets", "model_remove_helmets", "model_deploy_mask-classifier", "model_measure")
    ], "what is active needs no button, what was shipped cannot be removed"
    app.button(key="model_deploy_helmets").click().run()
    assert not app.exception and in_use().method == Method("combined", "helmets")
    assert "Active] **Neural + classifier, helmets**" in texts(app)
    assert "About helmets" in texts(app) and "found by **mask-detector**" in texts(app)
    assert "model_remove_helmets" not in [button.key for button in app.button], "it is active"
    # Another choice of this visitor alone, then for everybody.
    labelled(app.selectbox, "Method").select("classic").run()
    assert "About helmets" in texts(app) and in_use().method.pipeline == "combined"
    app.button(key="model_deploy_chosen").click().run()
    assert in_use().method == Method("classic", "helmets")
    for expected in (Method("combined", "helmets"), Method(DEFAULT_PIPELINE, DEFAULT_DETECTOR)):
        app.button(key="model_back").click().run()
        assert not app.exception and in_use().method == expected
    assert "model_back" not in [button.key for button in app.button]
    app.button(key="model_remove_helmets").click().run()
    assert not app.exception and "helmets" not in list_models()
    labelled(app.button, "Undo").click().run()
    assert not app.exception and "helmets" in list_models()


def test_the_model_page_says_what_the_model_is_for_and_how_often_it_errs(install):
    app = open_page("model")
    seen = texts(app)
    assert "Not made for" in seen and "A nose that is just uncovered" in seen
    assert "Tried on this server on 8 pictures, easy and hard ones: **6 right**." in seen
    assert re.search(r"Result: No mask 9\d%  \nTruth: Worn incorrectly", seen), "on the chin"
    assert "**Of 100 faces, 9 are missed or get a wrong result**" in seen and "it would be 7 to 12" in seen
    charts = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")[:2]]
    kinds = charts[1]["data"][0]
    assert kinds["x"] == ["Mask", "No mask", "Worn incorrectly"] and max(kinds["error_y"]["array"]) > 8
    # One that knows other things, and that nobody has measured.
    install("helmets", ("helmet", "no_helmet"))
    labelled(app.selectbox, "Method").select("combined").run()
    labelled(app.selectbox, "Model").select("helmets").run()
    assert not app.exception
    assert "Not made for" not in texts(app) and "was not measured" in texts(app) and "Tried" not in texts(app)


def test_a_model_that_does_not_run_gets_a_sentence_and_nothing_changes(install):
    install("three", ("helmet", "no_helmet", "cap"))
    app = open_page("model")
    app.button(key="model_deploy_three").click().run()
    assert not app.exception and "its card says" in app.error[0].value
    assert in_use().method.pipeline == DEFAULT_PIPELINE
