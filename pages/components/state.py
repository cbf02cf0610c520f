"""The one way to keep what a visitor chose, and the names under which the session keeps it."""

from collections.abc import Callable, Collection, Sequence
from datetime import date
from typing import TypeVar

import streamlit as st

from core.language import mark, tr
from pages.components.compat import came_by_history

T = TypeVar("T")

# In the address: what a link to a page or a reload brings back.
DATA_SET, DATA_VIEW, TRAINING_VIEW = "set", "view", "part"

# The parts of pages: what their buttons say, in English, and what the address says in every language.
OVERVIEW, GALLERY, MAP, DUPLICATES, LABEL_ISSUES, MISSING, AUGMENTATIONS = DATA_VIEWS = (
    *(mark("Overview"), mark("Gallery"), mark("Map"), mark("Near-duplicates")),
    *(mark("Label issues"), mark("Missing faces"), mark("Augmentations")),
)
NEW_TRAINING, PROGRESS, RUNS, IMPORT_MODEL = TRAINING_VIEWS = (
    *(mark("New training"), mark("Progress"), mark("Runs"), mark("Import a model")),
)

# Of the page of data sets.
FILTER = "data_filter"
"""The ``core.datasets.query.Filter`` of the gallery."""
OPEN_IMAGE = "data_image"
"""Key and face of the image that is shown in full."""
NEIGHBOURS = "data_neighbours"
"""Keys and faces of the images around it, in their order."""
AUGMENTED_FACE = "data_augmented_face"
GALLERY_PAGE, DUPLICATES_PAGE, LABEL_ISSUES_PAGE = "data_gallery_page", "data_duplicates_page", "data_issues_page"
MISSING_PAGE = "data_missing_page"
GALLERY_OF = "data_gallery_of"
"""Whether the gallery shows images or single faces."""
NEXT_LABEL = "data_next_label"
"""The class that a box gets which is drawn next."""
UNDONE = "data_undone"
"""What was just undone, in words, until a page says so."""
SCANNED = "data_scanned"
"""Names of the data sets whose files were looked through during this visit."""

POPOVERS_CLOSED = "popovers_closed"
"""How often the work of a popover was done."""
PROBLEM = "problem"
"""Why a change could not be made, until the page says so."""

# Of the video page.
VIDEO_UPLOADER = "video_uploader"
"""How often uploads were taken in; each time the widget starts anew, so that the server's memory is free again."""
VIDEO_JUMP = "video_jump"
"""Key of a video and the second from which it plays."""

# Of the training page.
FOLLOWED_RUN = "training_followed"
TRAINING_SPLIT = "training_split"

# Images in the server's memory, and the camera, which go when their page is left.
PHOTO_SET = "photo_set"
PHOTO_EXAMPLE = "photo_example"
"""Name of the example that is looked at."""
PHOTO_CHOSEN, PHOTO_GALLERY_PAGE = "photo_chosen", "photo_gallery_page"
"""Key of the photo that is shown large, and the page of the gallery."""
PHOTO_STOPPED = "photo_stopped"
"""With what the photos were being looked at when their visitor stopped that, and the keys of all there were."""
SYNTHETIC_PORTRAIT, SYNTHETIC_IMAGES, WEBCAM_SHOT = "synthetic_portrait", "synthetic_images", "synthetic_shot"
LIVE_STILL = "live_still"
"""A picture of the camera, while a zone is drawn on it."""
LIVE_STREAM = "live"
"""The connection of the camera."""
LIVE_WANTED = "live_wanted"
"""Whether there should be a video: ``True`` from its first picture until Stop, ``False`` until it has stopped."""
LIVE_RECENT, LIVE_SHOT = "live_recent", "live_shot"
"""Faces of the camera that wait to be filed, and the single picture that is shown."""
LIVE_CONNECTION = "live_connection"
START_SET, START_EXAMPLE = "start_set", "start_example"
HOW_SUBJECT = "how_subject"
"""The photo of the page that explains how it works, with what was computed of it."""
IMAGES = {
    "": (START_SET,),
    "how_it_works": (HOW_SUBJECT,),
    "photo": (PHOTO_SET, PHOTO_EXAMPLE, PHOTO_CHOSEN, PHOTO_GALLERY_PAGE, PHOTO_STOPPED),
    "live": (LIVE_STILL, LIVE_STREAM, LIVE_WANTED, LIVE_CONNECTION, LIVE_RECENT, LIVE_SHOT),
    "synthetic": (SYNTHETIC_PORTRAIT, SYNTHETIC_IMAGES, WEBCAM_SHOT),
}
"""The last part of a page's address to what it keeps only while it is shown."""


def kept(key: str, default: object, options: Collection | None = None) -> dict:
    """Arguments that give a widget its first value and make it keep what was chosen while other pages are shown.

    Args:
        key: of the widget.
        default: its value as long as nobody has changed it, or if what was chosen is no longer among the options.
        options: what can be chosen, where that may change.
    """
    if (next := _next(key)) in st.session_state:
        st.session_state[key] = st.session_state.pop(next)
    if key not in st.session_state or (options is not None and st.session_state[key] not in options):
        st.session_state[key] = default
    return {"key": key, "persist_state": "session"}


def kept_in_address(key: str, options: Sequence[str], first: str | None = None) -> dict:
    """Arguments that make a widget keep its choice in the page's address too, so that a reload or a link brings it.

    Streamlit forgets a choice when another page is shown; a copy survives. Its own way to keep one in the address would
    write there what people read, which depends on their language. ``remember`` is called after the widget.

    Args:
        key: of the widget, and the name in the address.
        options: what can be chosen.
        first: chosen at the first visit; the first option if left out.
    """
    wanted = st.session_state.pop(_next(key), None)
    told = st.query_params.get(key)
    if wanted not in options and told in options and (key not in st.session_state or came_by_history()):
        wanted = told
    if wanted not in options and st.session_state.get(key) not in options:
        copy = st.session_state.get(_copy(key))
        wanted = copy if copy in options else first or options[0]
    if wanted in options:
        st.session_state[key] = wanted
    return {"key": key, "persist_state": "session"}


def remember(key: str, choice: str, in_address: bool = True) -> bool:
    """Copy what a widget of ``kept_in_address`` has chosen to the address, and for the next visit to its page.

    Returns:
        Whether it is another choice than before.
    """
    changed = is_other_choice(key, choice)
    st.session_state[_copy(key)] = choice
    if in_address and st.query_params.get(key) != choice:
        st.query_params[key] = choice
    return changed


def is_other_choice(key: str, choice: str) -> bool:
    """Whether this is not what ``remember`` was told last."""
    return st.session_state.get(_copy(key)) != choice


def choose_next(key: str, choice: object) -> None:
    """Choose for a widget of ``kept`` or ``kept_in_address`` when the page runs next; it may be on the screen already.

    Set at once, the choice could get lost: a part of the page that runs again by itself brings the widget's old value
    from the browser until the widget itself has run.
    """
    st.session_state[_next(key)] = st.session_state[_copy(key)] = choice


def is_chosen_next(key: str) -> bool:
    """Whether a choice of ``choose_next`` still waits for its widget to run."""
    return _next(key) in st.session_state


def view_switch(key: str, views: Sequence[str], first: str | None = None) -> str:
    """A row of buttons for the parts of a page; the one shown survives a change of page and a reload.

    Where they do not fit, on a phone, ``app.css`` lets the row be pushed sideways.

    Args:
        key: of the widget, and its name in the address.
        views: what they are called in English, as the address says; shown in the visitor's language.
        first: chosen at the first visit; the first of them if left out.
    """
    with st.container(key=f"views_{key}"):
        view = st.segmented_control(
            *(tr("View"), views),
            format_func=tr,
            required=True,
            label_visibility="collapsed",
            **kept_in_address(key, views, first),
        )
    remember(key, view)
    return view


def show_choices_anew() -> None:
    """Have every list on the page show its choice in the language of now; to be called when that has changed.

    Streamlit's lists send and show a choice by its words. Without this the browser would leave the old ones on the
    screen and send them again, and a list that does not know them goes back to its first option. Call it before the
    first widget of a run: then the session knows the choices themselves, and what it is told anew it tells the browser.
    """
    for key, choice in list(st.session_state.items()):
        several = choice if isinstance(choice, list | tuple) and choice else [choice]
        # Not what buttons and uploads hold, which cannot be set.
        if all(isinstance(each, str | int | float | date) and not isinstance(each, bool) for each in several):
            st.session_state[key] = choice


def made_once(key: str, depends_on: object, make: Callable[[], T]) -> T:
    """What ``make`` gives; made again only if it depends on something else than at this visitor's last run."""
    if st.session_state.get(key, (None, None))[0] != depends_on:
        st.session_state[key] = depends_on, make()
    return st.session_state[key][1]


def _copy(key: str) -> str:
    return f"kept_{key}"


def _next(key: str) -> str:
    return f"next_{key}"
