"""The page "Synthetic masks", run as Streamlit runs it, without a browser."""

import threading

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.datasets.sources.webcam import add_sample, count_samples
from core.datasets.store import find_dataset, list_datasets
from core.language import using
from core.synthetic.render import MASK_KINDS
from core.synthetic.sample import sample_photo
from core.vision.images import encode_image
from pages.components.language import LANGUAGE
from pages.components.resources import server_jobs
from tests.helpers import ROOT, labelled, numbers, texts, wait_until

BARE = encode_image(sample_photo(False)[:400])
NO_FACE = encode_image(np.full((90, 140, 3), 120, np.uint8))
TWO = encode_image(np.hstack([sample_photo(False)[:400, 60:400]] * 2))


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    st.cache_data.clear()
    server_jobs.clear()
    return tmp_path / "data"


@pytest.fixture
def people(data):
    for name in ("a", "b"):
        path = data / "people" / "without_mask" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BARE)
    return data / "people"


def open_page(language: str = "en") -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "synthetic.py"), default_timeout=90)
    app.session_state[LANGUAGE] = language
    app.run()
    assert not app.exception
    return app


def run(widget) -> AppTest:
    app = widget.run()
    assert not app.exception
    return app


def captions(app: AppTest) -> list[str]:
    return [caption for image in app.image for caption in image.captions if caption]


# Synthetic masks


def test_the_page_speaks_french(people):
    with using("fr"):  # widgets are set by what they show
        app = open_page("fr")
        assert app.title[0].value == "Masques de synthèse"
        assert [tab.label for tab in app.tabs] == ["Masques de synthèse", "Photos de webcam"]
        assert "Les masques sont dessinés." in texts(app) and "2 visages sans masque et 2 avec un masque" in texts(app)
        assert "Sans votre consentement, la caméra reste éteinte" in texts(app)
        assert labelled(app.selectbox, "Type de masque").value == "All kinds", "what is chosen is no matter of language"
        assert labelled(app.text_input, "Jeu de données").value == "webcam-samples"
        run(app.checkbox[0].check())
        labels = labelled(app.segmented_control, "Étiquette des prochaines photos")
        assert labels.options == ["Masque", "Sans masque", "Mal porté", "Autre étiquette"]
        assert labels.value == "with_mask"


def test_every_kind_is_shown_on_the_sample_at_once():
    app = open_page()
    assert app.title[0].value == "Synthetic masks"
    assert [tab.label for tab in app.tabs] == ["Synthetic masks", "Webcam samples"]
    assert captions(app) == [spec.title for spec in MASK_KINDS.values()]
    assert "The masks are drawn." in texts(app) and "no data set yet to draw on" in texts(app)


def test_one_kind_is_shown_in_all_its_colours():
    app = open_page()
    run(labelled(app.selectbox, "Kind of mask").select("surgical_dark"))
    assert captions(app) == ["Black", "Dark blue", "Dark grey"]


def test_other_colours_and_another_way_of_wearing_draw_other_pictures():
    app = open_page()
    seen = {app.image[4].proto.imgs[0].url}
    run(labelled(app.button, "Other colours").click())
    seen.add(app.image[4].proto.imgs[0].url)
    run(next(each for each in app.segmented_control if each.key == "synthetic_wearing").set_value("on_chin"))
    seen.add(app.image[4].proto.imgs[0].url)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("picture", "words", "shown"),
    [
        pytest.param(BARE, "never stored", len(MASK_KINDS), id="a face"),
        pytest.param(TWO, "The largest of 2 faces.", len(MASK_KINDS), id="two faces"),
        pytest.param(NO_FACE, "No face was found", 0, id="no face"),
        pytest.param(b"junk", "not an image that can be read", 0, id="no picture"),
        pytest.param(encode_image(sample_photo(True)), "wear a mask already", len(MASK_KINDS), id="a mask already"),
    ],
)
def test_an_uploaded_photo(picture, words, shown):
    app = open_page()
    run(app.file_uploader[0].set_value([("me.jpg", picture, "image/jpeg")]))
    assert words in texts(app)
    assert len(captions(app)) == shown


def finish(app: AppTest) -> None:
    wait_until(lambda: server_jobs().status("draw-masks").state != "running", 60)
    run(app)


def test_a_data_set_is_made(people):
    app = open_page()
    assert "2 bare faces and 2 with a drawn mask" in texts(app)
    run(labelled(app.slider, "Masks per face").set_value(2))
    run(labelled(app.slider, "Worn incorrectly").set_value(50))
    run(labelled(app.multiselect, "Kinds of mask").set_value(["ffp2", "black"]))
    run(labelled(app.text_input, "Name of the new data set").set_value("Two kinds"))
    run(labelled(app.button, "Make the data set").click())
    finish(app)
    assert "is ready" in app.success[0].value and "drawn, not real" in app.success[0].value
    made = find_dataset("Two-kinds")
    assert made.card["settings"]["kinds"] == ["ffp2", "black"]
    assert made.card["counts"] == {"mask_weared_incorrect": 2, "with_mask": 2, "without_mask": 2}
    assert labelled(app.selectbox, "Bare faces from").options == ["people"], "no masks over drawn ones"
    run(labelled(app.button, "OK").click())
    assert not app.success


def test_progress_survives_a_reload_and_can_be_cancelled(people, monkeypatch):
    go_on = threading.Event()

    def slow(source, name, settings, report):
        report(1, 4, "Face 2 of 4")
        while not go_on.wait(0.01):
            report(1, 4, "Face 2 of 4")

    monkeypatch.setattr("pages.views.synthetic.drawn.make_drawn_set", slow)
    app = open_page()
    run(labelled(app.button, "Make the data set").click())
    wait_until(lambda: server_jobs().status("draw-masks").done == 1)
    again = open_page()
    assert "Make the data set" not in [button.label for button in again.button]
    run(labelled(again.button, "Cancel").click())
    finish(again)
    assert "was cancelled; nothing was kept" in texts(again)
    assert "Make the data set" in [button.label for button in again.button]


def test_a_name_that_is_taken_gets_a_sentence(people):
    app = open_page()
    run(labelled(app.text_input, "Name of the new data set").set_value("people"))
    run(labelled(app.button, "Make the data set").click())
    finish(app)
    assert "already is a data set" in app.error[0].value


def test_a_set_without_bare_faces_gets_a_sentence(people):
    (people / "without_mask").rename(people / "with_mask")
    app = open_page()
    assert "there is nothing to draw on" in texts(app)
    assert "Make the data set" not in [button.label for button in app.button]


# Webcam samples


def agree(app: AppTest) -> AppTest:
    return run(labelled(app.checkbox, "I agree that the photos I save are stored on this server, and everybody in "
                        "them agrees too.").check())  # fmt: skip


def shoot(app: AppTest, picture: bytes) -> AppTest:
    return run(app.camera_input[0].set_value(("shot.jpg", picture, "image/jpeg")))


needs_camera = pytest.mark.skipif(
    not hasattr(AppTest, "camera_input"), reason="needs Streamlit 1.66: AppTest without a camera"
)


def test_without_consent_there_is_no_camera_and_nothing_is_kept(data):
    app = open_page()
    assert not app.get("camera_input") and not app.checkbox[0].value
    assert "Without your consent" in texts(app)
    assert not data.exists()


@needs_camera
def test_a_photo_is_kept_only_when_it_is_saved(data):
    app = shoot(agree(open_page()), TWO)
    assert "The largest of 2 faces is saved." in texts(app)
    assert not data.exists(), "nothing is written before Save"
    run(labelled(app.button, "Save as Mask").click())
    assert count_samples("webcam-samples") == {"with_mask": 1}
    assert numbers(app) == {"Mask": "1"}
    assert app.camera_input[0].value is None, "ready for the next one"
    assert "page **Training**" in texts(app)


@needs_camera
def test_no_face_gets_a_sentence(data):
    app = shoot(agree(open_page()), NO_FACE)
    assert "No face was found; come closer" in texts(app)
    assert not [button for button in app.button if button.label.startswith("Save")]
    assert not data.exists()


@needs_camera
@pytest.mark.parametrize(
    ("word", "problem"),
    [("Helmet", ""), ("../x", "letters and digits"), ("test", "meaning of its own")],
    ids=["a label", "a path", "a label with a meaning"],
)
def test_another_label(word, problem):
    app = agree(open_page())
    run(next(each for each in app.segmented_control if each.key == "synthetic_label").set_value("Another label"))
    assert not app.get("camera_input")
    run(labelled(app.text_input, "Your label").set_value(word))
    if problem:
        assert problem in app.error[0].value and not app.get("camera_input")
        return
    shoot(app, BARE)
    run(labelled(app.button, "Save as Helmet").click())
    assert count_samples("webcam-samples") == {"Helmet": 1}


def test_samples_can_be_deleted_without_consent_and_after_a_question():
    for label in ("with_mask", "with_mask", "cap"):
        add_sample("webcam-samples", sample_photo(False), np.float32([178, 60, 272, 190]), label)
    app = open_page()
    assert numbers(app) == {"cap": "1", "Mask": "2"}
    run(labelled(app.button, "Delete the last sample").click())
    assert count_samples("webcam-samples") == {"with_mask": 2}
    assert "2 samples of webcam" in texts(app)
    run(labelled(app.button, "Yes, delete them all").click())
    assert list_datasets() == []
    assert "There are no samples" in texts(app)


def test_another_data_set_cannot_be_deleted_here(people):
    app = open_page()
    run(labelled(app.text_input, "Data set").set_value("people"))
    assert "does not hold webcam samples" in app.error[0].value
    assert not [button for button in app.button if "Delete" in button.label]


def test_on_a_full_disk_samples_are_kept_as_they_were_and_a_sentence_says_so(data, monkeypatch):
    frame, box = sample_photo(False), np.float32([178, 60, 272, 190])

    def full(*_, **__):
        raise OSError(28, "No space left on device", "/srv/secret")

    with monkeypatch.context() as during:
        during.setattr("core.datasets.sources.webcam.encode_image", full)
        with pytest.raises(OSError, match="No space"):
            add_sample("webcam-samples", frame, box, "cap")
    assert [path.name for path in data.iterdir()] == [".lock"], "no set without a photo"
    add_sample("webcam-samples", frame, box, "cap")
    monkeypatch.setattr("pathlib.Path.unlink", full)
    monkeypatch.setattr("pathlib.Path.rename", full)
    for button in ("Delete the last sample", "Yes, delete them all"):
        app = open_page()
        run(labelled(app.button, button).click())
        assert [error.value for error in app.error] == [r"The server's disk is full; make room and try again\."]
    assert count_samples("webcam-samples") == {"cap": 1}
