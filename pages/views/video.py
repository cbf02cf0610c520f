"""The result of a video: player, timeline, a card per person, downloads."""

from functools import partial

import streamlit as st

from core.language import number, tr
from core.video.film import CROP_SIDE, JSON, MOMENT_S, TABLE, FilmPerson, FilmResult, people_csv
from core.video.shelf import Shelf, Video
from core.vision.annotate import percentage
from core.vision.classes import NO_PREDICTION, style_of
from core.vision.stats import describe_film
from core.vision.tables import UNKNOWN
from pages.components.compat import page_part
from pages.components.faces import show_class_counts
from pages.components.figure import on_dark
from pages.components.messages import plain
from pages.components.server import address, own_cookie
from pages.components.state import VIDEO_JUMP
from pages.components.terms import PEOPLE_HELP
from pages.views.datasets.filters import click_chart

# As wide as two fit on a phone.
CARD_PX, MAX_CARDS = 164, 60


@page_part(run_every=60.0, shows=False)
def keep_while_open(shelf: Shelf, me: str) -> None:
    """As long as the page is open its visitor has not left."""
    shelf.videos(me)


def show_preview(video: Video) -> None:
    """The newest finished frame of a video that is being analysed."""
    if video.preview:
        st.image(video.preview, width=480, alt=tr("The newest analysed frame"))


def show_video(shelf: Shelf, me: str, video: Video) -> None:
    """All that is known of a video."""
    result = video.result
    if result is None:
        return
    for note in result.notes:
        st.warning(plain(note))
    st.markdown(f"**{plain(describe_film(result.stats))}**", help=tr(PEOPLE_HELP))
    show_class_counts(result.stats, result, result.stats.mask_share)
    key, start_s = st.session_state.get(VIDEO_JUMP, ("", 0))
    jumped = key == video.key
    player, chart = st.columns([3, 2])
    with player:
        st.video(
            _address(video) or str(video.annotated),
            start_time=int(start_s) if jumped else 0,
            autoplay=jumped,
            alt=tr("The video with a box per face"),
        )
    with chart:
        from pages.components.charts import people_over_time

        figure = people_over_time(result.moments, MOMENT_S, on_dark())
        click_chart(figure, f"video_chart_{video.key}", lambda moment: _jump(video, moment[0]))
        words = tr("{count} of {total} frames analysed.")
        st.caption(words.format(count=number(result.looks, ","), total=number(result.frames, ",")))
    _show_people(video, result)
    with st.container(horizontal=True):
        _downloads(video, result)
        st.button(
            tr("Delete this video"),
            icon=":material/delete:",
            key=f"delete_{video.key}",
            on_click=shelf.delete,
            args=(me, video.key),
        )


def _jump(video: Video, second: float) -> None:
    st.session_state[VIDEO_JUMP] = video.key, second


def _address(video: Video, suffix: str = "") -> str:
    """Where the browser gets the video part by part; empty where it has no cookie to get it with."""
    return address("video", f"videos/{video.key}{suffix}") if own_cookie() else ""


def _show_people(video: Video, result: FilmResult) -> None:
    """A card per person: the face at its best, the result, from when to when."""
    with st.container(horizontal=True):
        for person in result.people[:MAX_CARDS]:
            with st.container(border=True, width=CARD_PX):
                _card(video, result, person)
    if len(result.people) > MAX_CARDS:
        words = tr("The first {shown} of {count} people; the downloads hold all.")
        st.caption(words.format(shown=number(MAX_CARDS), count=number(len(result.people), ",")))


def _card(video: Video, result: FilmResult, person: FilmPerson) -> None:
    style = NO_PREDICTION if person.result == UNKNOWN else style_of(person.result, result.classes)
    alt = tr("Person {number}: {result}").format(number=number(person.number), result=style.words)
    st.image(person.jpeg, width=CROP_SIDE, alt=alt)
    percent = "" if style is NO_PREDICTION else f" {percentage(person.confidence)}"
    st.markdown(f"{style.icon} {plain(style.words)}{percent}")
    st.button(
        f"{clock(person.from_s)}–{clock(person.to_s)}",
        icon=":material/play_arrow:",
        help=tr("Person {number}: play from here.").format(number=number(person.number)),
        key=f"video_person_{video.key}_{person.number}",
        type="tertiary",
        on_click=_jump,
        args=(video, person.from_s),
    )


def clock(seconds: float) -> str:
    """A moment as players show it.

    >>> clock(75.4)
    '1:15'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _downloads(video: Video, result: FilmResult) -> None:
    icon = ":material/download:"
    if address := _address(video, "?download"):
        st.link_button(tr("Annotated video (MP4)"), address, icon=icon)
    else:
        whole = video.annotated
        st.download_button(
            tr("Annotated video (MP4)"), whole.read_bytes, whole.name, "video/mp4", icon=icon, on_click="ignore"
        )
    for words, data, name, mime in (
        (tr("Detections (CSV)"), (video.folder / TABLE).read_bytes, TABLE, "text/csv"),
        (tr("People (CSV)"), partial(people_csv, result), "people.csv", "text/csv"),
        (tr("All results (JSON)"), (video.folder / JSON).read_bytes, JSON, "application/json"),
    ):
        st.download_button(words, data, name, mime, icon=icon, on_click="ignore")
