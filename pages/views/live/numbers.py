"""The counters beside the video: of this moment, of this session, of today's record, and by minute."""

from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from core.language import current, day, mark, number, tr
from core.video.live import PACE, Moment
from core.video.zones import PlaceCounts
from core.vision.classes import CLASS_NAMES, WITH_MASK, WORN_INCORRECTLY, styles_of, vocabulary
from core.vision.pipeline import Pipeline
from core.vision.stats import FrameStats
from pages.components.charts import people_by_class
from pages.components.clock import visitors_zone
from pages.components.faces import show_class_counts, show_hidden_faces
from pages.components.figure import show_figure
from pages.components.messages import plain
from pages.components.state import made_once
from pages.components.terms import PEOPLE_HELP

TODAY_HELP = mark("Today is who is on today's record, and in the picture.")
MAX_COLUMNS = 4


def show_moment(told: Moment, pipeline: Pipeline, line: bool, min_face_px: float, blurred: bool) -> None:
    """All that is told of a running video.

    Args:
        told: of this moment.
        pipeline: what looks at it.
        line: whether a line is drawn.
        min_face_px: smaller faces are left out.
        blurred: whether faces are blurred in what is shown.
    """
    seen = told.counts
    show_counters(told, pipeline)
    if told.place:
        show_place(told.place, line)
    if min_face_px:  # with a limit its line is always there, so that nothing moves when a face comes or goes
        show_hidden_faces("live", seen.now, min_face_px, narrow=True)
    show_minutes(told)
    if seen.analysis_ms is not None:
        rate = number(seen.analyses_per_s, ".0f" if seen.analyses_per_s >= 2 else ".1f")
        words = tr("{rate} frames analysed per second, {time} ms each.")
        words = words.format(rate=rate, time=number(seen.analysis_ms, ".0f"))
        rarer = tr("The server is busy: faces are looked for less often.")
        smaller = tr("The server is busy: faces are looked for less often, and the picture is smaller.")
        st.caption(f"{words} {smaller if PACE.smaller else rarer}" if PACE.busy else words)
    if blurred and not told.covered:
        st.caption(tr("Where faces are is not known at the moment: the whole picture is blurred."))


def show_counters(told: Moment, pipeline: Pipeline) -> None:
    """The numbers, and everybody so far in a small table."""
    seen = told.counts
    show_class_counts(seen.now, pipeline, seen.now.mask_share)
    rows = {tr("Now"): seen.now, tr("Session"): seen.people}
    if told.today is not None:
        rows[tr("Today")] = told.today
    st.markdown(people_table(rows, pipeline))
    st.caption(tr("Everybody counts once."), help=f"{tr(PEOPLE_HELP)} {tr(TODAY_HELP)}")


def show_place(place: PlaceCounts, line: bool) -> None:
    """What happened at the zone and the line, in words."""
    words = [tr("In the zone: {count}.").format(count=number(place.inside))]
    if place.dwell_s is not None:
        words.append(tr("People stay {time} s on average.").format(time=number(place.dwell_s, ",.0f")))
    if place.longest_s is not None:
        words.append(tr("The longest of those in it: {time} s.").format(time=number(place.longest_s, ",.0f")))
    if line:
        crossed = tr("Over the line: **{went_in} in, {went_out} out**.")
        words.append(crossed.format(went_in=number(place.went_in, ","), went_out=number(place.went_out, ",")))
    st.markdown(" ".join(words))


def people_table(rows: Mapping[str, FrameStats], pipeline: Pipeline) -> str:
    """Who is counted, as Markdown: people, and how they wear a mask; or each class, where masks are not the topic."""
    spoken = vocabulary(pipeline.classes)
    if masks := CLASS_NAMES[WITH_MASK] in spoken:
        names = [CLASS_NAMES[WORN_INCORRECTLY]]
    else:
        names = list(spoken[:MAX_COLUMNS])
    words = [plain(styles_of(spoken)[spoken.index(name)].words) for name in names]
    lines = [["", tr("People"), *([tr("Mask worn well")] if masks else []), *words]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    for title, stats in rows.items():
        share = "–" if stats.mask_share is None else number(stats.mask_share, ".0%")
        counts = [number(stats.count(name), ",") for name in names]
        lines.append([title, number(stats.faces, ","), *([share] if masks else []), *counts])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def show_minutes(told: Moment) -> None:
    """People by the minute in which they were first counted; the chart is made anew only when it changes."""
    zone = visitors_zone()

    def label(minute: int) -> str:
        return day(datetime.fromtimestamp(minute * 60, zone), "HH:mm")

    # Without gaps from the first minute on, so that an empty one is seen to be empty.
    first, last = (told.by_minute[0][0], told.by_minute[-1][0]) if told.by_minute else (0, -1)
    counted = dict(told.by_minute)
    points = {label(minute): counted.get(minute, FrameStats()) for minute in range(max(first, last - 59), last + 1)}
    figure = made_once(
        "live_minutes",
        (told.by_minute, current()),
        lambda: people_by_class(tr("People by minute"), points, tr("Time"), height=240),
    )
    show_figure(figure, key="live_by_minute")
