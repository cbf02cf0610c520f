"""The History page and the record's switch, without a browser."""

import json
from datetime import date, datetime, timedelta, timezone

import pytest
from streamlit.testing.v1 import AppTest

from core.access import Role
from core.config import record_path
from core.language import day, using
from core.video import record
from core.video.record import Minute, Recorder, Visit
from core.vision.stats import FrameStats
from pages.components.language import LANGUAGE
from pages.views.live.history import period_report, period_words, week_words
from tests.helpers import ROOT, labelled, numbers, texts

NOW = datetime.now(timezone.utc)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))


@pytest.fixture
def some_weeks():
    recorder = Recorder()
    for days, people in enumerate((4, 2, 0, 3, 0, 0, 0, 5, 1)):
        for i in range(people):
            at = (NOW - timedelta(days=days)).timestamp() - 5
            recorder.put(Visit("Door", at, at + 5, "without_mask" if i == 1 else "with_mask"))
    recorder.put(Minute("Door", int(NOW.timestamp() // 60), 60.0))
    assert recorder.flush()


def open_history(language: str = "en") -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.session_state[LANGUAGE] = language
    app.run().switch_page("pages/history.py").run()
    assert not app.exception
    return app


def test_a_month_of_days_has_few_short_names_below_its_bars(some_weeks):
    app = open_history("fr")

    def days_of(period: str) -> dict:
        with using("fr"):
            labelled(app.segmented_control, "Période").set_value(period).run()
        return json.loads(app.get("plotly_chart")[0].proto.spec)

    month = days_of("30 jours")
    named, axis = month["data"][0]["x"], month["layout"]["xaxis"]
    assert len(named) == 30 and len(axis["tickvals"]) == 6 and set(axis["tickvals"]) <= set(named)
    with using("fr"):
        assert axis["ticktext"][0] == day(NOW.date() - timedelta(days=29), "d MMM")
    assert len(days_of("7 jours")["layout"]["xaxis"]["ticktext"]) == 7


def test_without_a_record_the_page_says_how_to_start_one(monkeypatch):
    app = open_history()
    assert "Nothing is on the record yet." in texts(app) and "Keep a record" in texts(app)
    assert [link.proto.page for link in app.get("page_link")] == ["live"] and not app.error
    monkeypatch.setenv("MASK_RECORD", "off")
    assert "keep the record off" in texts(app.run()) and not app.get("page_link")


def test_periods_show_what_is_on_the_record(some_weeks):
    app = open_history()
    assert numbers(app)["People"] == "9" and numbers(app)["Wear a mask well"].startswith("67% (")
    assert len(app.get("plotly_chart")) == 4, "days, hours, share, weeks"
    period = app.get("button_group")[0]
    period.set_value("Everything").run()
    assert numbers(app)["People"] == "15" and numbers(app)["Watched"] == "0.0 h"
    period.set_value("Today").run()
    assert numbers(app)["People"] == "4" and "Compare two weeks" in texts(app)
    labels = [button.label for button in app.get("download_button")]
    assert labels == ["Report (HTML)", "People (CSV)", "Minutes (CSV)"]


def test_some_days_or_all_are_deleted(some_weeks):
    app = open_history()
    labelled(app.button, "Delete these days").click().run()
    assert numbers(app)["People"] == "5", "today is chosen at first"
    assert labelled(app.button, "Delete everything").disabled
    labelled(app.checkbox, "Delete the whole record, of all cameras").check().run()
    labelled(app.button, "Delete everything").click().run()
    assert "Nothing is on the record yet." in texts(app) and not record_path().exists()


def test_a_damaged_record_is_one_sentence_and_can_be_deleted():
    record_path().write_bytes(b"no database" * 1000)
    app = open_history()
    assert "Its file is damaged" in app.error[0].value and str(record_path().parent) not in app.error[0].value
    labelled(app.checkbox, "Delete the whole record, of all cameras").check().run()
    labelled(app.button, "Delete everything").click().run()
    assert not record_path().exists() and "Nothing is on the record yet." in texts(app)


def test_visitors_of_a_public_server_have_no_history(monkeypatch):
    monkeypatch.setattr("pages.components.access.visitors_role", lambda: Role.VISITOR)
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    monkeypatch.setenv("MASK_ACCESS", "public")
    alone = AppTest.from_file(str(ROOT / "pages" / "history.py"), default_timeout=60)
    alone.session_state["part_of_the_app"] = True
    alone.run()
    assert [error.value for error in alone.error] == ["This page is for operators of this server; log in as one."]
    assert len(alone.main) == 1
    assert record.span_s() is None


def test_history_in_french(some_weeks):
    app = open_history("fr")
    assert app.title[0].value == "Historique" and not app.exception
    assert numbers(app)["Personnes"] == "9" and numbers(app)["Temps d’observation"].endswith("0,0\u00a0h")
    with using("fr"):  # also for what the test tool itself asks of the options
        app.get("button_group")[0].set_value("Everything").run()
    assert numbers(app)["Personnes"] == "15" and "Comparer deux semaines" in texts(app)
    labels = [button.label for button in app.get("download_button")]
    assert labels == ["Rapport (HTML)", "Personnes (CSV)", "Minutes (CSV)"]
    charts = " ".join(chart.proto.spec for chart in app.get("plotly_chart"))
    assert "Personnes par jour" in charts and "People by hour" not in charts
    labelled(app.button, "Supprimer ces jours")


def test_dates_and_the_report_of_a_period_in_french():
    first, last = date(2026, 2, 27), date(2026, 3, 2)
    with using("fr"):
        assert (
            period_words(first, last) == "du 27 févr. 2026 au 2 mars 2026" and period_words(last, last) == "2 mars 2026"
        )
        assert week_words(date(2026, 3, 30)) == "30 mars–5 avr. 2026"
        some = {"lun. 2 mars": FrameStats((1200, 400, 0))}
        report = period_report("Port du masque", some["lun. 2 mars"], 1.5, some, [], timezone.utc).decode()
    for words in ("En chiffres", "Masque bien porté", "1,5\u00a0h", "Seuls des comptages sont conservés"):
        assert words in report
