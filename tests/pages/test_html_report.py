"""Results as one HTML file."""

from datetime import date, timezone
from html.parser import HTMLParser

import plotly.graph_objects as go

from core.synthetic.examples import EXAMPLES, example_file
from core.vision.photos import PhotoSet, detector_of
from core.vision.pipeline import PHOTO_SETTINGS, build_pipeline
from core.vision.stats import FrameStats
from pages.components.html_report import HtmlReport
from pages.views.live.history import period_report, period_words
from pages.views.photo import photos_report

HOSTILE = "</title><script>alert(1)</script>'\"& é.jpg"


class Seen(HTMLParser):
    """What a browser would make of a file."""

    def __init__(self, file: bytes):
        super().__init__()
        self.tags, self.sources, self.words, self.scripts, self._inside = [], [], [], [], ""
        self.feed(file.decode())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._inside = tag
        self.sources += [value for name, value in attributes if name in ("src", "href", "data")]

    def handle_data(self, data):
        (self.scripts if self._inside == "script" else self.words).append(data)

    def text(self):
        return " ".join(" ".join(self.words).split())


def test_any_text_stays_text_and_nothing_is_loaded():
    report = HtmlReport(HOSTILE)
    report.heading(HOSTILE)
    report.text(HOSTILE)
    report.figures({HOSTILE: HOSTILE})
    report.table([{HOSTILE: HOSTILE}])
    report.picture(b"jpeg", HOSTILE, HOSTILE)
    seen = Seen(report.file())
    assert "script" not in seen.tags and seen.text().count(HOSTILE) == 9
    assert seen.sources == ["data:image/jpeg;base64,anBlZw=="]
    assert b"default-src 'none'" in report.file()


def test_charts_bring_their_program_once():
    report = HtmlReport("Charts")
    for title in ("First", "Second"):
        report.chart(go.Figure(go.Bar(x=[1], y=[2]), layout={"title": {"text": title}}))
    file = report.file()
    seen = Seen(file)
    assert sum(len(script) > 1_000_000 for script in seen.scripts) == 1 and len(file) < 6_000_000
    assert not seen.sources and file.count(b"aria-label='Chart. ") == 2


def test_a_period_is_told_in_numbers_and_charts():
    shown = {"Mon 2 Mar 2026": FrameStats((30, 10, 2), unknown=1), "Tue 3 Mar 2026": FrameStats()}
    title = f"Mask wearing: {period_words(date(2026, 3, 2), date(2026, 3, 3))}"
    file = period_report(title, shown["Mon 2 Mar 2026"], 9.5, shown, [], timezone.utc)
    text = Seen(file).text()
    assert title in text and "43" in text and "9.5 h" in text and "71%" in text
    assert "Mon 2 Mar 2026" in text and "Tue 3 Mar 2026" not in text, "a day without anybody needs no row"


def test_photos_are_shown_with_their_faces_and_blurred_if_wanted():
    photo_set, name = PhotoSet(), next(iter(EXAMPLES))
    photos = photo_set.show([("a", HOSTILE, lambda: example_file(name)), ("b", "none.jpg", lambda: b"")])
    photo_set.classify(detector_of(build_pipeline(), PHOTO_SETTINGS), "settings")
    good = photos[:1]
    clear = photos_report(photo_set, good, photo_set.names(), timezone.utc)
    photo_set.blur = True
    blurred = photos_report(photo_set, good, photo_set.names(), timezone.utc)
    text = Seen(clear).text()
    assert "1 photo" in text and "alert(1)" in text and "script" not in Seen(clear).tags
    faces = len(photo_set.shown(good[0]))
    assert faces and Seen(clear).tags.count("tr") == faces + 1
    assert Seen(clear).sources != Seen(blurred).sources
