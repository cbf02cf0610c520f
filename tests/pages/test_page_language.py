"""Pages, charts and downloads in the visitor's language; nothing that is kept or sent on depends on it."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.language import number, using
from core.synthetic.examples import EXAMPLES, example_file
from core.trash import KEEP_S
from core.vision.photos import PhotoSet, detector_of
from core.vision.pipeline import PHOTO_SETTINGS
from core.vision.stats import FrameStats
from pages.components.charts import calibration, people_over_time, sizes_in_words, weeks_side_by_side
from pages.components.figure import described
from pages.components.html_report import HtmlReport
from pages.components.language import LANGUAGE
from pages.components.state import PHOTO_EXAMPLE
from pages.components.terms import METRICS, metric_words
from pages.components.undo import KEEP_HELP
from pages.views.model import OF_OUR_CARDS
from pages.views.photo import photos_report
from tests.helpers import ROOT, StubPipeline, numbers, texts

THIN = "\u202f"


def percent(share: float) -> str:
    with using("fr"):
        return number(share, ".0%")


def in_french(page: str, **state) -> AppTest:
    app = AppTest.from_file(str(ROOT / page), default_timeout=60)
    app.session_state[LANGUAGE] = "fr"
    for key, value in state.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def test_the_first_page_is_french_for_who_chose_that():
    app = in_french("streamlit_app.py")
    assert app.title[0].value == f"Qui porte un masque{THIN}?"
    assert numbers(app) == {"Masque": "2", "Sans masque": "2", "Mal porté": "1", "Incertain": "0",
                            "Masque bien porté": percent(0.4)}  # fmt: skip


def test_a_photo_and_its_settings_are_french_and_choices_stay_what_they_are():
    app = in_french("pages/photo.py", **{PHOTO_EXAMPLE: next(iter(EXAMPLES))})
    assert app.segmented_control(key="photo_view").options[0] == "Résultats"
    assert app.segmented_control(key="photo_view").value == "Results"
    assert {"Confiance minimale", "Plus petit visage"} <= {slider.label for slider in app.slider}
    table = app.dataframe[0]
    assert list(table.value.columns) == ["Face", "No.", "Result", "Confidence", "Size"], "code reads these"
    assert json.loads(table.proto.columns)["Result"]["label"] == "Résultat"
    assert table.value["Result"][0] == "✗ Sans masque" and table.value["Confidence"][0] == percent(0.99)


def test_the_model_page_is_french_down_to_its_charts():
    app = in_french("pages/model.py")
    shown = texts(app)
    assert "**Fait pour**" in shown and "Un nez à peine découvert" in shown and f"95{THIN}% de certitude" in shown
    charts = [json.loads(chart.proto.spec)["layout"] for chart in app.get("plotly_chart")]
    assert charts and all(chart["separators"] == f",{THIN}" for chart in charts)
    assert "Erreurs selon la taille du visage" in {chart["title"]["text"] for chart in charts}


def test_the_video_page_is_french():
    app = in_french("pages/video.py")
    assert app.title[0].value == "Vidéo" and app.button(key="video_start").label == "Analyser"


def address_page():
    import streamlit as st

    from core.language import tr
    from pages.components.state import view_switch

    st.write(tr("View") + view_switch("view", ("Gallery", "Near-duplicates")))


def test_the_address_says_the_same_in_every_language():
    app = AppTest.from_function(address_page)
    app.session_state[LANGUAGE], app.query_params["view"] = "fr", "Near-duplicates"
    app.run()
    switch = app.segmented_control(key="view")
    assert list(switch.options) == ["Galerie", "Quasi-doublons"]
    assert app.markdown[0].value == "VueNear-duplicates"
    app.segmented_control(key="view").set_value("Galerie").run()
    assert app.markdown[0].value == "VueGallery"


def test_a_report_says_its_language_and_writes_numbers_and_dates_so():
    photos = PhotoSet()
    (photo,) = photos.show([("a", "a.jpg", lambda: example_file(next(iter(EXAMPLES))))])
    photos.classify(detector_of(StubPipeline(), PHOTO_SETTINGS), ("stub",))
    with using("fr"):
        file = photos_report(photos, [photo], {photo.key: "a.jpg"}, None).decode()
    assert "<html lang='fr'>" in file and "Qui porte un masque sur 1 photo" in file and percent(0.9) in file
    assert "<p class='made'>Établi le " in file and "<html lang='en'>" in HtmlReport("a").file().decode()


def test_charts_in_french():
    with using("fr"):
        weeks = weeks_side_by_side({"a": range(7), "b": range(7)})
        film = people_over_time([(0.0, FrameStats((1, 1, 0)))], 1.0)
        assert described(calibration([])) == (
            f"Graphique. Calibration\u00a0: Exactitude en{THIN}% selon Confiance en{THIN}%."
        )
        assert (sizes_in_words(24, 48), sizes_in_words(96, None)) == ("24 à 48", "96 et plus")
    assert (
        list(weeks.data[0].x)[:2] == ["lun.", "mar."] and weeks.layout.title.text == "Personnes par jour de la semaine"
    )
    assert film.data[0].name == "Masque" and f"%{{y:.0f}}{THIN}% avec masque" in film.data[-1].hovertemplate
    assert weeks.layout.separators == f",{THIN}" and calibration([]).layout.separators == ".,"
    assert calibration([]).layout.xaxis.title.text == "Confidence in %"


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_name_and_a_sentence_in_french(name):
    with using("fr"):
        words, sentence = metric_words(name)
    assert words and sentence and sentence != METRICS[name]


def test_what_texts_repeat_is_still_so():
    assert f"{KEEP_S / 60:g} minutes" in KEEP_HELP
    cards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "models").glob("*.json"))]
    told = [each for card in cards for each in [*(card.get("failures") or ()), card.get("limits")] if each]
    assert sorted(told) == sorted(OF_OUR_CARDS)


def choices_page():
    import streamlit as st

    from core.language import tr
    from pages.components.language import choose_language

    choose_language()
    words = ("Mask", "No mask")
    for ask in (st.selectbox, st.radio, st.select_slider):
        ask(tr("View"), words, format_func=tr, key=ask.__name__)
    st.multiselect(tr("Classes"), words, words[:1], format_func=tr, key="several")
    st.button(tr("Stop"), key="button")
    st.file_uploader(tr("Upload"), accept_multiple_files=True, key="upload")


def test_another_language_changes_the_words_of_every_choice_and_no_choice():
    app = AppTest.from_function(choices_page).run()
    lists = lambda: [app.selectbox[0], app.radio[0], app.select_slider[0], app.multiselect[0]]  # noqa: E731
    for one in lists()[:3]:
        one.set_value("No mask")
    app.multiselect[0].set_value(["Mask", "No mask"]).run()
    assert not any(one.proto.set_value for one in lists())
    app.session_state[LANGUAGE] = "fr"
    app.run()
    assert not app.exception
    box, radio, slider, several = (one.proto for one in lists())
    assert (box.raw_value, radio.raw_value, list(slider.raw_value)) == ("Sans masque", "Sans masque", ["Sans masque"])
    assert list(several.raw_values) == ["Masque", "Sans masque"]
    assert all(one.proto.set_value for one in lists())
    assert [one.value for one in lists()] == ["No mask"] * 3 + [["Mask", "No mask"]], "kept in English"
