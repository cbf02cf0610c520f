"""The parts of the History page."""

import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from core.config import OFF, limits, settings
from core.language import day, in_this_language, mark, number, tr, trn
from core.video.record import (
    by_local,
    delete_all,
    delete_between,
    minutes_csv,
    people_by_quarter,
    people_csv,
    share_interval,
    watched_hours,
    week_start,
)
from core.vision.classes import CLASS_NAMES, CLASS_STYLES, NO_PREDICTION, WORN_INCORRECTLY
from core.vision.stats import FrameStats
from pages.components.charts import people_by_class, share_with_mask, weeks_side_by_side
from pages.components.figure import show_figure
from pages.components.html_report import MIME, HtmlReport
from pages.components.messages import tried
from pages.components.state import kept

TODAY, WEEK, MONTH, ALL = PERIODS = (mark("Today"), mark("7 days"), mark("30 days"), mark("Everything"))
MASK_SHARE, WATCHED = mark("Wear a mask well"), mark("Watched")
HEADLINE_HELP = {WATCHED: mark("For how long cameras were running with a record.")}
SHARE_LINES = mark("The lines show where each true share probably lies (95%): the fewer people, the wider.")
FEW = 30
"""With fewer people than this a share says little."""


def empty() -> None:
    """What to do where nothing is on the record yet."""
    st.info(tr("Nothing is on the record yet."), icon=":material/event_note:")
    if settings().record == OFF:
        st.markdown(tr("The settings of this server keep the record off."))
        return
    st.markdown(
        tr(
            "Open the live page, press **Start** and switch **Keep a record** on. From then on this page shows how "
            "many people came by, day by day and hour by hour, and how they wore their masks. Only counts are kept: "
            "when each person came and left and what they wore; no pictures, and nothing that tells who they are."
        )
    )
    st.page_link("pages/live.py", label=tr("Start a record"), icon=":material/videocam:")


def show_period(camera: str | None, span: tuple[float, float], zone: tzinfo) -> None:
    """Counts and charts of today, some days, or all."""
    period = st.segmented_control(
        tr("Period"), PERIODS, format_func=tr, required=True, **kept("history_period", WEEK, PERIODS)
    )
    today = _today(zone)
    first = {TODAY: today, WEEK: today - timedelta(days=6), MONTH: today - timedelta(days=29)}.get(
        period, datetime.fromtimestamp(span[0], zone).date()
    )
    start_s, end_s = _start_s(first, zone), _start_s(today + timedelta(days=1), zone)
    counts = people_by_quarter(start_s, end_s, camera)
    days, hours = by_local(counts, zone), by_local(counts, zone, hours=True)
    everybody, watched_h = sum(days.values(), FrameStats()), watched_hours(start_s, end_s, camera)
    with st.container(horizontal=True, gap="large"):  # as many side by side as there is room for, on phones too
        for name, value in headline(everybody, watched_h).items():
            help = interval_words(everybody) if name == MASK_SHARE else tr(HEADLINE_HELP.get(name, "")) or None
            st.metric(tr(name), value, help=help, width="content")
    if not everybody.faces:
        st.info(tr("Nobody was counted in this time."))
        return
    charts: dict[str, go.Figure] = {}
    by_hour: dict[str, FrameStats] = {f"{hour:02}:00": FrameStats() for hour in range(24)}
    for at, stats in hours.items():
        by_hour[f"{at.hour:02}:00"] += stats
    shown, short = by_hour, {}
    if period != TODAY:
        by_day = {each: FrameStats() for each in _days(first, today)} | {at.date(): stats for at, stats in days.items()}
        shown = {day(each, "EEE d MMM y"): by_day[each] for each in sorted(by_day)}
        short = {day(each, "EEE d MMM y"): day(each, "d MMM") for each in by_day}
        charts["history_days"] = people_by_class(tr("People by day"), shown, short=short)
    hours_title = tr("People by hour") if period == TODAY else tr("People by hour of the day, all days together")
    charts["history_hours"] = people_by_class(hours_title, by_hour)
    if any(share_interval(stats) for stats in shown.values()):
        charts["history_share"] = share_with_mask(shown, short)
    for key, chart in charts.items():
        show_figure(chart, key=key)
    if "history_share" in charts:
        st.caption(tr(SHARE_LINES))
    title = tr("Mask wearing at {camera}: {period}") if camera else tr("Mask wearing: {period}")
    title = title.format(camera=camera, period=period_words(first, today))
    st.download_button(
        tr("Report (HTML)"),
        in_this_language(partial(period_report, title, everybody, watched_h, shown, list(charts.values()), zone)),
        "report.html",
        MIME,
        icon=":material/description:",
        on_click="ignore",
        help=tr("These numbers and charts as one file, to send on or to print."),
    )


def headline(everybody: FrameStats, watched_h: float) -> dict[str, str]:
    """The numbers that say most, by name; ``tr`` says the names."""
    return {
        mark("People"): number(everybody.faces, ","),
        MASK_SHARE: share_words(everybody),
        mark("Worn incorrectly"): number(everybody.count(CLASS_NAMES[WORN_INCORRECTLY]), ","),
        WATCHED: tr("{hours} h").format(hours=number(watched_h, ",.1f")),
    }


def period_words(first: date, last: date) -> str:
    """
    >>> period_words(date(2026, 3, 2), date(2026, 3, 2))
    '2 Mar 2026'
    >>> period_words(date(2026, 2, 27), date(2026, 3, 2))
    '27 Feb 2026 to 2 Mar 2026'
    """
    if first == last:
        return day(first)
    return tr("{first} to {last}").format(first=day(first), last=day(last))


def period_report(
    title: str,
    everybody: FrameStats,
    watched_h: float,
    shown: Mapping[str, FrameStats],
    charts: Sequence[go.Figure],
    zone: tzinfo,
) -> bytes:
    """The same as on the page as an HTML file, with a row for each day or hour on which somebody was counted."""
    report = HtmlReport(title, zone)
    report.figures({tr(name): value for name, value in headline(everybody, watched_h).items()})
    report.text(interval_words(everybody))
    for chart in charts:
        report.chart(chart)
    report.text(tr(SHARE_LINES))
    report.heading(tr("In numbers"))
    report.table(
        [
            {tr("When"): at, tr("People"): number(stats.faces, ",")}
            | {
                style.words: number(stats.count(name), ",")
                for name, style in zip(CLASS_NAMES, CLASS_STYLES, strict=True)
            }
            | {NO_PREDICTION.words: number(stats.unknown, ","), tr(MASK_SHARE): share_words(stats)}
            for at, stats in shown.items()
            if stats.faces
        ]
    )
    report.text(tr("Only counts are kept: no pictures, and nothing that tells who somebody is."))
    return report.file()


def share_words(stats: FrameStats) -> str:
    """The share with a mask worn well, with its interval where few people are counted.

    >>> share_words(FrameStats((3, 1, 0)))
    '75% (30–95%)'
    >>> share_words(FrameStats((300, 100, 0)))
    '75%'
    """
    interval = share_interval(stats)
    if interval is None or stats.mask_share is None:
        return "–"
    told = sum(stats.count(name) for name in CLASS_NAMES)
    few = f" ({number(100 * interval[0], '.0f')}–{number(interval[1], '.0%')})" if told < FEW else ""
    return f"{number(stats.mask_share, '.0%')}{few}"


def interval_words(stats: FrameStats) -> str:
    """What is known of the true share."""
    interval = share_interval(stats)
    about = tr("Of the people with a result, the share with a mask over mouth and nose.")
    if interval is None:
        return about
    low, high = (number(share, ".0%") for share in interval)
    probably = tr("Probably between {low} and {high}.").format(low=low, high=high)
    return f"{about} {probably}"


def compare_weeks(camera: str | None, span: tuple[float, float], zone: tzinfo) -> None:
    """Two weeks side by side, at first this one and the one before."""
    st.header(tr("Compare two weeks"))
    last = week_start(_today(zone))
    first = min(week_start(datetime.fromtimestamp(span[0], zone).date()), last - timedelta(weeks=1))
    weeks = [last - timedelta(weeks=n) for n in range((last - first).days // 7 + 1)]
    columns = st.columns(2)
    chosen = [
        columns[i].selectbox(label, weeks, format_func=week_words, **kept(f"history_week_{i}", weeks[1 - i], weeks))
        for i, label in enumerate((tr("Week"), tr("Compared with")))
    ]
    counted = [
        by_local(people_by_quarter(_start_s(week, zone), _start_s(week + timedelta(weeks=1), zone), camera), zone)
        for week in chosen
    ]
    names = [week_words(week) for week in chosen]
    if chosen[0] == chosen[1]:
        st.caption(tr("Choose two different weeks."))
        return
    bars = {name: _by_weekday(days) for name, days in zip(names, counted, strict=True)}
    show_figure(weeks_side_by_side(bars), key="history_weeks")
    rows = []
    for name, days in zip(names, counted, strict=True):
        everybody = sum(days.values(), FrameStats())
        rows.append({tr("Week"): name, tr("People"): everybody.faces, tr(MASK_SHARE): share_words(everybody)})
    st.dataframe(rows, hide_index=True)


def _by_weekday(days: Mapping[datetime, FrameStats]) -> list[int]:
    counts = [0] * 7
    for at, stats in days.items():
        counts[at.weekday()] += stats.faces
    return counts


def week_words(monday: date) -> str:
    """
    >>> week_words(date(2026, 3, 2))
    '2–8 Mar 2026'
    >>> week_words(date(2026, 3, 30))
    '30 Mar–5 Apr 2026'
    """
    sunday = monday + timedelta(days=6)
    return f"{day(monday, 'd' if monday.month == sunday.month else 'd MMM')}–{day(sunday)}"


def downloads(zone: tzinfo) -> None:
    """The record as CSV, made when somebody asks for it."""
    with st.container(horizontal=True):
        for label, make, name in (
            (tr("People (CSV)"), people_csv, "people.csv"),
            (tr("Minutes (CSV)"), minutes_csv, "minutes.csv"),
        ):
            st.download_button(
                *(label, lambda make=make: make(zone).encode(), name, "text/csv"),
                icon=":material/download:",
                on_click="ignore",
            )


def deletion(span: tuple[float, float] | None, zone: tzinfo) -> None:
    """Delete some days, or everything.

    Args:
        span: of the record; ``None`` if it cannot be read.
        zone: whose days these are.
    """
    with st.expander(tr("Delete"), icon=":material/delete:"):
        days = limits().record_days
        old = trn(
            "What is older than {count} day is deleted by itself.",
            "What is older than {count} days is deleted by itself.",
            days,
        )
        st.caption(old.format(count=number(days, "g")))
        if span:
            today = _today(zone)
            first = datetime.fromtimestamp(span[0], zone).date()
            chosen = st.date_input(
                tr("Days"),
                (today, today),
                first,
                max(today, first),
                # Translators: or DD/MM/YYYY, MM/DD/YYYY; with . or - in place of /
                format=tr("YYYY/MM/DD"),
                key="history_delete_days",
            )
            whole = isinstance(chosen, tuple) and len(chosen) == 2  # between two clicks there is one
            st.button(
                tr("Delete these days"),
                disabled=not whole,
                key="history_delete",
                on_click=tried(_delete_days),
                args=(chosen, zone),
            )
        sure = st.checkbox(tr("Delete the whole record, of all cameras"), key="history_sure")
        st.button(
            tr("Delete everything"),
            disabled=not sure,
            type="primary",
            key="history_delete_all",
            on_click=tried(_delete_all),
        )


def _delete_days(days: tuple[date, date], zone: tzinfo) -> None:
    delete_between(_start_s(days[0], zone), _start_s(days[1] + timedelta(days=1), zone))


def _delete_all() -> None:
    delete_all()
    st.session_state["history_sure"] = False


def _today(zone: tzinfo) -> date:
    return datetime.fromtimestamp(time.time(), zone).date()


def _start_s(of: date, zone: tzinfo) -> float:
    return datetime.combine(of, datetime.min.time(), zone).timestamp()


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
