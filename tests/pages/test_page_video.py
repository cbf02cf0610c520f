"""The page for videos, run as Streamlit runs it, without a browser."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.components import resources
from tests.helpers import ROOT, StubPipeline, labelled, numbers, texts, wait_until
from tests.video.films import film, frames
from tests.video.test_film import find_squares, walkers


class Squares(StubPipeline):
    def __call__(self, frame_bgr, settings=None):
        return find_squares(frame_bgr)


@pytest.fixture
def page(tmp_path, monkeypatch) -> AppTest:
    monkeypatch.setenv("MASK_VIDEOS_DIR", str(tmp_path))
    monkeypatch.setattr(resources, "load_pipeline", lambda method, version: Squares())
    resources.video_shelf.cache_clear()
    yield open_page()
    resources.video_shelf.cache_clear()


def open_page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    app.switch_page("pages/video.py").run()
    assert not app.exception
    return app


def start(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    app.file_uploader[0].set_value([(name, data, "video/mp4") for name, data in files]).run()
    return next(button for button in app.button if button.label.startswith("Analyse")).click().run()


def analyse(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    return finished(start(app, *files))


def finished(app: AppTest) -> AppTest:
    shelf = resources.video_shelf()
    wait_until(lambda: not any(job.state == "running" for job in shelf.jobs.all()), 30)
    app.run()
    assert not app.exception
    return app


def test_it_waits_for_a_video(page):
    assert "go when you delete them, or 30 minutes after you have left" in texts(page)
    assert not page.metric and not page.error
    assert labelled(page.button, "Analyse").disabled and not labelled(page.button, "Use a sample").disabled


def test_a_video_is_analysed_and_shown(page):
    analyse(page, ("walk.mp4", film(walkers())))
    assert "3 people: 1 with a mask, 2 without a mask." in texts(page)
    assert numbers(page)["Mask"] == "1" and numbers(page)["Wear a mask well"] == "33%"
    assert len(page.get("video")) == 1 and len(page.get("plotly_chart")) == 1
    assert len(page.get("image") or page.get("imgs")) == 3, "a card per person"
    assert [button.label for button in page.download_button] == [
        "Annotated video (MP4)",
        "Detections (CSV)",
        "People (CSV)",
        "All results (JSON)",
    ]
    assert not page.error and not page.warning
    assert page.file_uploader[0].value in ([], None), "the upload is no longer in the server's memory"


def test_a_card_jumps_to_its_person(page):
    analyse(page, ("walk.mp4", film(walkers(), lambda k: k / 2)))
    assert page.get("video")[0].proto.start_time == 0
    (videos,) = resources.video_shelf()._videos.values()
    person = videos[0].result.people[0]
    card = next(button for button in page.button if button.key.startswith("video_person_"))
    assert card.label == f"0:0{person.from_s:.0f}–0:{int(person.to_s)}"
    card.click().run()
    player = page.get("video")[0].proto
    assert player.start_time == int(person.from_s) > 0 and player.autoplay


def test_it_is_still_there_after_a_reload_and_goes_when_deleted(page, tmp_path):
    analyse(page, ("walk.mp4", film(walkers())))
    again = open_page()
    assert "3 people" in texts(again)
    labelled(again.button, "Delete this video").click().run()
    assert "3 people" not in texts(again) and not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert "go when you delete them" in texts(again)


def test_another_visitor_sees_nothing_of_it(page, monkeypatch):
    analyse(page, ("walk.mp4", film(walkers())))
    monkeypatch.setattr("pages.components.server.session_id", lambda: "somebody else")
    assert "3 people" not in texts(open_page())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"only text" * 100, "This file is not a video that can be read", id="text"),
        pytest.param(film(frames(1)), "This file is a single picture; choose it on the Photo page.", id="one frame"),
    ],
)
def test_what_is_no_video_gets_one_sentence_beside_its_name(page, data, words):
    analyse(page, ("*holiday*.mp4", data), ("walk.mp4", film(walkers())))
    assert len(page.error) == 1 and f"*holiday*.mp4: {words}" in texts(page)
    assert "3 people" in texts(page), "the others are not held up"
    labelled(page.button, "Delete").click().run()
    assert not page.error and "3 people" in texts(page)


def test_half_a_video_is_used_and_a_sentence_says_so(page):
    data = film(walkers(), options={"g": "5"})
    analyse(page, ("half.mp4", data[: len(data) * 3 // 4]))
    assert len(page.warning) == 1 and "breaks off after" in texts(page) and len(page.get("video")) == 1


def test_of_several_videos_one_is_chosen(page):
    analyse(page, ("a.mp4", film(walkers())), ("b.mp4", film(walkers(classes=(0,)))))
    assert "1 person: 1 with a mask." in texts(page), "the newest first"
    labelled(page.selectbox, "Video").select_index(1).run()
    assert "3 people" in texts(page)


def test_the_limit_of_a_visitor_is_told(page, monkeypatch):
    monkeypatch.setenv("MASK_VISITOR_VIDEOS", "1")
    start(page, ("a.mp4", film(walkers())), ("b.mp4", film(walkers())))
    assert "This server keeps no more videos of yours (1); delete one first." in texts(page)
    assert "3 people" in texts(finished(page)), "the first one is analysed"


def test_faces_are_blurred_on_request(page):
    labelled(page.toggle, "Blur faces").set_value(True).run()
    analyse(page, ("walk.mp4", film(walkers())))
    (videos,) = resources.video_shelf()._videos.values()
    assert videos[0].blur
    assert labelled(page.toggle, "Blur faces").value, "kept for the next one"
