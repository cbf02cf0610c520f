"""The page that explains how it works: every step, run as Streamlit runs it, without a browser."""

import pytest
from streamlit.testing.v1 import AppTest

from core.synthetic.sample import sample_photo
from core.vision.images import encode_image
from pages.components.language import LANGUAGE
from pages.components.state import HOW_SUBJECT
from tests.helpers import ROOT, labelled, picture_bytes, texts

STEPS = 13


@pytest.fixture(scope="module")
def page():
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    app.switch_page("pages/how_it_works.py").run()
    assert not app.exception
    return app


def button(app, word):
    return next(each for each in app.button if each.label.startswith(word))


def test_next_leads_through_all_steps_each_with_a_picture_and_words(page):
    seen = []
    for number in range(1, STEPS + 1):
        heading = page.header[0].value
        assert heading.startswith(f"{number} of {STEPS} · ")
        assert page.image and not page.error
        for image in page.image:
            assert all(len(caption) > 8 for caption in image.captions)
        seen.append(heading)
        assert button(page, "Back").disabled == (number == 1)
        assert button(page, "Next").disabled == (number == STEPS)
        if number < STEPS:
            button(page, "Next").click().run()
            assert not page.exception
    assert len(set(seen)) == STEPS
    button(page, "Back").click().run()
    assert page.header[0].value == seen[-2]


def go(app, step):
    labelled(app.segmented_control, "View").set_value(step).run()
    assert not app.exception
    return app


def test_sliders_change_what_the_steps_say(page):
    go(page, "Cascade")
    labelled(page.slider, "Stages passed").set_value(0).run()
    assert "After stage 0, **68,584 windows** of 68,584 are left" in texts(page)
    go(page, "Neighbours")
    labelled(page.slider, "Neighbours needed").set_value(40).run()
    assert "**0 boxes** are left" in texts(page) and "the face is lost" in texts(page)
    go(page, "Learning")
    for rate, words in ((0.01, "Too small."), (3.0, "About right."), (100.0, "Too large.")):
        labelled(page.select_slider, "Learning rate").set_value(rate).run()
        assert words in texts(page)
    go(page, "Where both fail")
    labelled(page.slider, "Turn").set_value(45).run()
    assert "The detector alone finds **1 face**" in texts(page)


def test_a_photo_without_faces_a_damaged_one_and_one_of_ones_own(page):
    labelled(page.segmented_control, "Photo").set_value("My photo").run()
    assert "Choose a photo first" in texts(page)
    page.file_uploader[0].set_value(("bad.jpg", b"none", "image/jpeg")).run()
    assert "not an image" in page.error[0].value and not page.exception
    page.file_uploader[0].set_value(("empty.png", picture_bytes(size_wh=(30, 16)), "image/png")).run()
    for step in ("Light", "Haar features", "Cascade", "Neighbours", "Detector", "Where both fail"):
        assert not go(page, step).error
    assert "No face was found" in texts(go(page, "Crop"))
    masked = encode_image(sample_photo(masked=True))
    page.file_uploader[0].set_value(("me.jpg", masked, "image/jpeg")).run()
    assert not page.error and not page.info
    go(page, "Decision")
    assert page.table[0].value.iloc[0]["Probability"] == "over 99.9999%"


def test_the_photo_is_forgotten_when_the_page_is_left(page):
    assert HOW_SUBJECT in page.session_state
    page.switch_page("pages/model.py")
    del page.session_state["part_of_the_app"]  # otherwise AppTest runs a page alone
    page.run()
    assert page.title[0].value == "Model" and HOW_SUBJECT not in page.session_state


def test_all_steps_in_french():
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.session_state[LANGUAGE] = "fr"
    app.run().switch_page("pages/how_it_works.py").run()
    assert app.title[0].value == "Comment ça marche"
    said = []
    for number in range(1, STEPS + 1):
        assert not app.exception and not app.error
        assert app.header[0].value.startswith(f"{number} sur {STEPS} · ")
        said += [texts(app), *(caption for image in app.image for caption in image.captions)]
        if number < STEPS:
            button(app, "Suivant").click().run()
    words = "\n".join(said)
    for french in (
        "Le premier chercheur de visages ignore les couleurs",
        "il reste **",
        "La photo en niveaux de gris",
        "La perte baisse d’un bout à l’autre",
        "Cascade et classifieur\u00a0: 1 visage",
    ):
        assert french in words
    for english in ("The ", " the ", " of ", " with "):
        assert english not in words.replace("Journal of Machine", "").replace("cascade of simple", "")
