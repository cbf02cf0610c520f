"""A data set and a model's predictions for it, opened once and shared by all visitors; anew when something changed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from core.datasets.index import Catalogue, catalogue_stamp, open_catalogue
from core.datasets.label_issues import SecondOpinion, classifier_card, open_opinion, opinion_stamp
from core.datasets.store import DataSet
from core.vision.model_card import ModelCard, ModelError
from pages.components.resources import server_jobs
from pages.components.state import (
    AUGMENTED_FACE,
    DATA_SET,
    DUPLICATES_PAGE,
    FILTER,
    GALLERY_PAGE,
    LABEL_ISSUES_PAGE,
    NEIGHBOURS,
    OPEN_IMAGE,
    SCANNED,
    choose_next,
    kept_in_address,
    remember,
)

# A visitor's first look takes a set as somebody else has opened it, if that is not longer ago.
FRESH_S = 60.0


@dataclass(frozen=True, eq=False)
class Opened:
    """A catalogue and when its files were looked through."""

    catalogue: Catalogue | None
    at: float
    """Seconds on the clock of ``time.monotonic``; no two openings share it."""


@st.cache_resource(show_spinner="Opening the data set …", max_entries=4)
def opened(_dataset: DataSet, name: str, built_at: int) -> Opened:
    """The catalogue as it was built at this moment, shared by all visitors."""
    return Opened(open_catalogue(_dataset), time.monotonic())


@st.cache_resource(show_spinner=False, max_entries=4)
def corrected(_catalogue: Catalogue, name: str, stamp: tuple) -> Catalogue:
    """The catalogue with what people had changed at this moment."""
    return _catalogue.repaired()


@st.cache_resource(show_spinner=False, max_entries=4)
def predictions(_catalogue: Catalogue, _card: ModelCard, name: str, stamp: tuple) -> SecondOpinion | None:
    """The predictions of the active model at this moment."""
    return open_opinion(_catalogue, _card)


def choose_set(sets: Mapping[str, DataSet]) -> DataSet:
    """A select box; the choice survives a change of page and, by the address, a reload."""
    titles = {name: dataset.card.get("title") or name for name, dataset in sets.items()}
    names = list(sets)
    choice = st.selectbox("Data set", names, format_func=titles.__getitem__, **kept_in_address(DATA_SET, names))
    if remember(DATA_SET, choice):
        _forget_what_was_shown()
    return sets[choice]


def show_set_next(name: str) -> None:
    """Show this data set when the page runs next."""
    choose_next(DATA_SET, name)
    _forget_what_was_shown()


def _forget_what_was_shown() -> None:
    for key in (FILTER, OPEN_IMAGE, NEIGHBOURS, AUGMENTED_FACE):
        st.session_state.pop(key, None)
    for key in (GALLERY_PAGE, DUPLICATES_PAGE, LABEL_ISSUES_PAGE):
        st.session_state[key] = 0


def scan_job(dataset: DataSet) -> str:
    """The key of the job that looks through a set's images."""
    return f"data:scan:{dataset.name}"


def rescan(dataset: DataSet) -> None:
    """Look through the files of this set again when it is needed next; other sets stay as they are."""
    opened.clear(dataset, dataset.name, catalogue_stamp(dataset)[0])
    server_jobs().forget(scan_job(dataset))


def catalogue_of(dataset: DataSet) -> Catalogue | None:
    """The catalogue, or ``None`` if it has to be built; looks for new files at a visitor's first look, if need be."""
    stamp = catalogue_stamp(dataset)
    scanned = st.session_state.setdefault(SCANNED, set())
    if dataset.name not in scanned:
        scanned.add(dataset.name)
        server_jobs().forget(scan_job(dataset))
        if time.monotonic() - opened(dataset, dataset.name, stamp[0]).at > FRESH_S:
            rescan(dataset)
    now = opened(dataset, dataset.name, stamp[0])
    # A changed annotation file alone does not change the stamp: what is derived from an opening belongs to it alone.
    return now.catalogue and corrected(now.catalogue, dataset.name, (now.at, *stamp))


def predictions_of(catalogue: Catalogue) -> SecondOpinion | None:
    """The predictions of the active model for the set, if it was asked."""
    try:
        card = classifier_card()
    except ModelError:
        return None
    dataset = catalogue.dataset
    stamp = catalogue_stamp(dataset)
    opened_at = opened(dataset, dataset.name, stamp[0]).at
    key = (card.sha256, opinion_stamp(catalogue, card), opened_at, *stamp)
    return predictions(catalogue, card, dataset.name, key)
