"""The parts of the History page."""

import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo

import streamlit as st

from core.config import OFF, limits, settings
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
from core.vision.classes import CLASS_NAMES, WORN_INCORRECTLY
from core.vision.stats import FrameStats
from pages.components.charts import people_by_class, share_with_mask, weeks_side_by_side
from pages.components.figure import show_figure
from pages.components.messages import tried
from pages.components.state import kept

TODAY, WEEK, MONTH, ALL = PERIODS = ("Today", "7 days", "30 days", "Everything")
FEW = 30
"""With fewer people than this a share says little."""


def empty() -> None:
    """What to do where nothing is on the record yet."""
    st.info("Nothing is on the record yet.", icon=":material/event_note:")
    if settings().record == OFF:
        st.markdown("The settings of this server keep the record off.")
        return
    st.markdown(
        "Open the live page, press **Start** and switch **Keep a record** on. From then on this page shows how many "
        "people came by, day by day and hour by hour, and how they wore their masks. Only counts are kept: when each "
        "person came and left and what they wore; no pictures, and nothing that tells who they are."
    )
    st.page_link("pages/live.py", label="Start a record", icon=":material/videocam:")


def show_period(camera: str | None, span: tuple[float, float], zone: tzinfo) -> None:
    """Counts and charts of today, some days, or all."""
    period = st.segmented_control("Period", PERIODS, required=True, **kept("history_period", WEEK, PERIODS))
    today = _today(zone)
    first = {TODAY: today, WEEK: today - timedelta(days=6), MONTH: today - timedelta(days=29)}.get(
        period, datetime.fromtimestamp(span[0], zone).date()
    )
    start_s, end_s = _start_s(first, zone), _start_s(today + timedelta(days=1), zone)
    counts = people_by_quarter(start_s, end_s, camera)
    days, hours = by_local(counts, zone), by_local(counts, zone, hours=True)
    everybody = sum(days.values(), FrameStats())
    _headline(everybody, watched_hours(start_s, end_s, camera))
    if not everybody.faces:
        st.info("Nobody was counted in this time.")
        return
    by_hour: dict[str, FrameStats] = {f"{hour:02}:00": FrameStats() for hour in range(24)}
    for at, stats in hours.items():
        by_hour[f"{at.hour:02}:00"] += stats
    shown = by_hour
    if period != TODAY:
        by_day = {day: FrameStats() for day in _days(first, today)} | {at.date(): stats for at, stats in days.items()}
        shown = {f"{day:%a} {day.day} {day:%b %Y}": by_day[day] for day in sorted(by_day)}
        show_figure(people_by_class("People by day", shown), key="history_days")
    title = "People by hour" if period == TODAY else "People by hour of the day, all days together"
    show_figure(people_by_class(title, by_hour), key="history_hours")
    if any(share_interval(stats) for stats in shown.values()):
        show_figure(share_with_mask(shown), key="history_share")
        st.caption("The lines show where each true share probably lies (95%): the fewer people, the wider.")


def _headline(everybody: FrameStats, hours: float) -> None:
    columns = st.columns(4)
    columns[0].metric("People", f"{everybody.faces:,}")
    columns[1].metric("Wear a mask well", share_words(everybody), help=interval_words(everybody))
    columns[2].metric("Worn incorrectly", f"{everybody.count(CLASS_NAMES[WORN_INCORRECTLY]):,}")
    columns[3].metric("Watched", f"{hours:.1f} h", help="For how long cameras were running with a record.")


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
    few = f" ({100 * interval[0]:.0f}–{100 * interval[1]:.0f}%)" if told < FEW else ""
    return f"{stats.mask_share:.0%}{few}"


def interval_words(stats: FrameStats) -> str:
    """What is known of the true share."""
    interval = share_interval(stats)
    about = "Of the people with a result, the share with a mask over mouth and nose."
    return about if interval is None else f"{about} Probably between {interval[0]:.0%} and {interval[1]:.0%}."


def compare_weeks(camera: str | None, span: tuple[float, float], zone: tzinfo) -> None:
    """Two weeks side by side, at first this one and the one before."""
    st.header("Compare two weeks")
    last = week_start(_today(zone))
    first = min(week_start(datetime.fromtimestamp(span[0], zone).date()), last - timedelta(weeks=1))
    weeks = [last - timedelta(weeks=n) for n in range((last - first).days // 7 + 1)]
    columns = st.columns(2)
    chosen = [
        columns[i].selectbox(label, weeks, format_func=week_words, **kept(f"history_week_{i}", weeks[1 - i], weeks))
        for i, label in enumerate(("Week", "Compared with"))
    ]
    counted = [
        by_local(people_by_quarter(_start_s(week, zone), _start_s(week + timedelta(weeks=1), zone), camera), zone)
        for week in chosen
    ]
    names = [week_words(week) for week in chosen]
    if chosen[0] == chosen[1]:
        st.caption("Choose two different weeks.")
        return
    bars = {name: _by_weekday(days) for name, days in zip(names, counted, strict=True)}
    show_figure(weeks_side_by_side(bars), key="history_weeks")
    rows = []
    for name, days in zip(names, counted, strict=True):
        everybody = sum(days.values(), FrameStats())
        rows.append({"Week": name, "People": everybody.faces, "Wear a mask well": share_words(everybody)})
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
    start = f"{monday.day}" if monday.month == sunday.month else f"{monday.day} {monday:%b}"
    return f"{start}–{sunday.day} {sunday:%b %Y}"


def downloads(zone: tzinfo) -> None:
    """The record as CSV, made when somebody asks for it."""
    with st.container(horizontal=True):
        for label, make, name in (
            ("People (CSV)", people_csv, "people.csv"),
            ("Minutes (CSV)", minutes_csv, "minutes.csv"),
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
    with st.expander("Delete", icon=":material/delete:"):
        st.caption(f"What is older than {limits().record_days} days is deleted by itself.")
        if span:
            today = _today(zone)
            first = datetime.fromtimestamp(span[0], zone).date()
            days = st.date_input("Days", (today, today), first, max(today, first), key="history_delete_days")
            whole = isinstance(days, tuple) and len(days) == 2  # between two clicks there is one
            st.button(
                "Delete these days",
                disabled=not whole,
                key="history_delete",
                on_click=tried(_delete_days),
                args=(days, zone),
            )
        sure = st.checkbox("Delete the whole record, of all cameras", key="history_sure")
        st.button(
            "Delete everything",
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


def _start_s(day: date, zone: tzinfo) -> float:
    return datetime.combine(day, datetime.min.time(), zone).timestamp()


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
