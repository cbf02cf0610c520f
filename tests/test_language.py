"""Texts in the visitor's language: every one is looked up, and every language has it."""

import re
import string
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime

import pytest

from core import language
from core.language import best_language, current, day, in_this_language, languages, mark, number, tr, trc, trn, using
from tests.languages import ROOT, catalog_of, texts, unwrapped

OTHERS = [code for code in languages() if code != "en"]
NOT_FOR_PEOPLE: dict[str, tuple[str, ...]] = {
    "core/config.py": (
        "Python 3.11 is needed to read ",
        " here; use environment variables.",
        "The file ",
        " of secrets cannot be read.",
    ),
    "core/datasets/edits.py": ("a face without a label", " is no box"),
    "core/datasets/extra.py": (" is no box x1, y1, x2, y2",),
    "core/datasets/index_db.py": ("not reached",),
    "core/sqlite.py": ("unable to open",),
    "core/synthetic/eyes.py": ("A face must be a box x1, y1, x2, y2 with an area, got ",),
    "core/synthetic/render.py": ("There is no ", "; possible are ", " has no colour "),
    "core/video/cameras.py": ("no number",),
    "core/video/record.py": ("another version",),
    "core/video/stream.py": ("it was left",),
    "core/vision/__init__.py": (" has no attribute ",),
    "core/vision/classes.py": ("Unknown class ", "; known are "),
    "core/vision/classifier.py": ("Expected uint8 crops of shape (n, ",),
    "core/vision/detections.py": (
        "class_id has shape ",
        ",), one for each box.",
        "class_id must lie in 0..",
        " has shape ",
        ": one for each box.",
        " must lie in 0..1, got ",
    ),
    "core/vision/detector.py": ("Preset is ", "; possible are "),
    "core/vision/explain.py": (
        "Expected a map of shape (h', w'), got ",
        "A map of shape ",
        " does not belong to a frame of shape ",
    ),
    "core/vision/haar.py": (
        "cascade is ",
        "; possible are ",
        "scale_factor is ",
        "; it must lie in 1.01..2.",
        "min_neighbors is ",
        "; it must lie in 0..100.",
        "min_face_px is ",
        "; it must lie in 0..8192 pixels.",
        "max_side is ",
        "; it must lie in 64..8192 pixels.",
    ),
    "core/vision/images.py": ("A frame of shape ", " cannot be written as "),
    "core/vision/metrics.py": ("probabilities have shape ",),
    "core/vision/pipeline.py": (
        "There is no pipeline ",
        "; possible are ",
        "A frame must be a uint8 array, got ",
        "A frame must have the shape (h, w, 3), got ",
    ),
    "pages/views/live/connection.py": (" typ relay",),
    "pages/views/training/figures.py": ("probably better", "probably worse"),
    "pages/views/training/looks.py": ('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="16">',),
    "pages/components/boxes.py": ("<div class='editor'></div>",),
    "pages/components/gallery.py": ("<div class='sections'></div>",),
    "pages/components/html_report.py": (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
        "<figure><img src='",
        "<div class='chart' role='img' aria-label='",
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
        '<meta http-equiv="Content-Security-Policy" content="',
    ),
    "pages/components/server.py": ("private, no-store", "Not found"),
    "pages/components/streams.py": (
        *("Not found", "Too many requests"),
        "<figure><img hidden><p role='status'></p><button type='button' hidden></button></figure>",
    ),
    "pages/components/webcam.py": ("<p role='status'></p><button type='button' hidden></button>",),
}
"""Texts of two words and more that nobody reads on a page, by their files: errors for those who call a function."""
FOR_PROGRAMS = ("core/__main__.py", "core/batch/", "pages/components/api.py")
"""What these say is read on a terminal or by programs, in English."""


def fields(text: str) -> list[str]:
    """The fields in braces of a text, sorted."""
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def test_a_text_is_said_in_the_language_of_now_and_english_without_a_translation():
    assert (current(), tr("Mask"), tr("")) == ("en", "Mask", "")
    with using("fr"):
        assert (current(), tr("Mask"), tr("no such text"), tr("")) == ("fr", "Masque", "no such text", "")
        with using("en"):
            assert tr("Mask") == "Mask"
        assert number(0.973, ".1%") == "97,3\u202f%" and number(1234, ",") == "1\u202f234"
        assert day(date(2026, 2, 1)) == "1 févr. 2026"
        assert (tr("Start"), trc("button", "Start"), trc("nowhere", "Start")) == ("Accueil", "Démarrer", "Start")
    assert trc("button", "Start") == "Start"
    assert (number(1234, ","), number(0.5, ".0%"), day(date(2026, 2, 1))) == ("1,234", "50%", "1 Feb 2026")
    assert day(datetime(2026, 2, 1, 9, 5), "HH:mm") == "09:05" and mark("Mask") == "Mask"
    assert [trn("{n} face", "{n} faces", n) for n in (0, 1, 2)] == ["{n} faces", "{n} face", "{n} faces"]


def test_the_visitor_is_asked_unless_the_work_says_otherwise(monkeypatch):
    monkeypatch.setattr(language, "_of_visitor", lambda: "fr")
    assert tr("Mask") == "Masque"
    with using("en"):
        assert tr("Mask") == "Mask"


def test_another_thread_speaks_the_language_in_which_it_was_asked():
    with ThreadPoolExecutor(1) as pool, using("fr"):
        assert pool.submit(in_this_language(tr), "Mask").result() == "Masque"
        assert pool.submit(tr, "Mask").result() == "Mask", "by itself it knows none"


@pytest.mark.parametrize(
    ("wanted", "best"), [("fr-CA", "fr"), ("FR", "fr"), ("fr_FR", "fr"), ("de", "en"), ("", "en"), (None, "en")]
)
def test_a_browser_gets_its_language_or_english(wanted, best):
    assert best_language(wanted) == best


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_has_a_translation_with_the_same_fields(code):
    catalog = catalog_of(code)
    for message in texts():
        if not message.id:
            continue
        several = isinstance(message.id, tuple)
        ids = message.id if several else (message.id,)
        found = catalog.get(ids[0], message.context)
        assert found is not None and not found.fuzzy, f"{ids[0]!r} is not in the catalog: python -m tests.languages"
        strings = found.string if several else (found.string,)
        assert all(strings), f"{ids[0]!r} has no translation"
        for text in strings:
            # A singular may name its number in words.
            assert set(fields(text)) <= set(fields(ids[-1])), (ids, text)
            assert several or fields(text) == fields(ids[0]), (ids, text)
    assert {message.id for message in catalog} == {message.id for message in texts()}, "python -m tests.languages"


def test_french_signs_never_begin_a_line():
    for message in catalog_of("fr"):
        for text in message.string if isinstance(message.string, tuple) else (message.string,):
            assert not re.search(r" [:;!?»](?!\w)|« ", text), text  # ":blue[…]" is a colour


def test_every_text_that_people_read_is_looked_up():
    places = [*(ROOT / "pages").rglob("*.py"), *(ROOT / "core").rglob("*.py"), ROOT / "streamlit_app.py"]
    left = {
        (path.relative_to(ROOT).as_posix(), text)
        for path in places
        for _, text in unwrapped(path)
        if not path.relative_to(ROOT).as_posix().startswith(FOR_PROGRAMS)
        and text not in NOT_FOR_PEOPLE.get(path.relative_to(ROOT).as_posix(), ())
    }
    assert not left
