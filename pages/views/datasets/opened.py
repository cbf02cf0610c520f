"""A data set and a model's predictions for it, opened once and shared by all visitors; anew when something changed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from core.config import second_detector
from core.datasets.features import FaceMap, Features, face_map, features_fingerprint, open_features
from core.datasets.index import Index, index_fingerprint, open_index
from core.datasets.label_issues import LabelIssues, classifier_card, label_issues_fingerprint, open_label_issues
from core.datasets.missing import MissingFaces, found_fingerprint, missing_faces, pipeline_id, second_id
from core.datasets.store import DataSet, identity_path
from core.language import tr
from core.registry.active import in_use
from core.vision.model_card import ModelCard, ModelError
from pages.components.messages import told_apart
from pages.components.resources import server_jobs
from pages.components.state import (
    AUGMENTED_FACE,
    DATA_SET,
    DUPLICATES_PAGE,
    FILTER,
    GALLERY_PAGE,
    LABEL_ISSUES_PAGE,
    MISSING_PAGE,
    NEIGHBOURS,
    NEXT_LABEL,
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
    """A index and when its files were looked through."""

    index: Index | None
    at: float
    """Seconds on the clock of ``time.monotonic``; no two openings share it."""


@st.cache_resource(show_spinner=False, max_entries=4)
def opened(_dataset: DataSet, name: str, built_at: int) -> Opened:
    """The index as it was built at this moment, shared by all visitors."""
    return Opened(open_index(_dataset), time.monotonic())


@st.cache_resource(show_spinner=False, max_entries=4)
def corrected(_index: Index, name: str, stamp: tuple) -> Index:
    """The index with what people had changed at this moment."""
    return _index.with_edits()


@st.cache_resource(show_spinner=False, max_entries=4)
def predictions(_index: Index, _card: ModelCard, name: str, stamp: tuple) -> LabelIssues | None:
    """The predictions of the active model at this moment."""
    return open_label_issues(_index, _card)


def choose_set(sets: Mapping[str, DataSet]) -> DataSet:
    """A select box; the choice survives a change of page and, by the address, a reload."""
    titles = told_apart({name: dataset.card.get("title") or name for name, dataset in sets.items()})
    names = list(sets)
    choice = st.selectbox(tr("Data set"), names, format_func=titles.__getitem__, **kept_in_address(DATA_SET, names))
    if remember(DATA_SET, choice):
        _forget_what_was_shown()
    return sets[choice]


def show_set_next(name: str) -> None:
    """Show this data set when the page runs next."""
    choose_next(DATA_SET, name)
    _forget_what_was_shown()


def _forget_what_was_shown() -> None:
    for key in (FILTER, OPEN_IMAGE, NEIGHBOURS, AUGMENTED_FACE, NEXT_LABEL):
        st.session_state.pop(key, None)
    for key in (GALLERY_PAGE, DUPLICATES_PAGE, LABEL_ISSUES_PAGE, MISSING_PAGE):
        st.session_state[key] = 0


def scan_job(dataset: DataSet) -> str:
    """The key of the job that looks through a set's images."""
    return f"data:scan:{dataset.name}"


def forget_former_scan(dataset: DataSet) -> None:
    """Drop the job of another set that had this name before: it says nothing of this one."""
    status, identity = server_jobs().status(scan_job(dataset)), identity_path(dataset.folder)
    if status and identity and identity.exists() and status.started < identity.stat().st_mtime:
        server_jobs().forget(status.key)


def rescan(dataset: DataSet) -> None:
    """Look through the files of this set again when it is needed next; other sets stay as they are."""
    opened.clear(dataset, dataset.name, index_fingerprint(dataset)[0])
    server_jobs().forget(scan_job(dataset))


def index_of(dataset: DataSet) -> Index | None:
    """The index, or ``None`` if it has to be built; looks for new files at a visitor's first look, if need be."""
    stamp = index_fingerprint(dataset)
    scanned = st.session_state.setdefault(SCANNED, set())
    with st.spinner(tr("Opening the data set …")):
        if dataset.name not in scanned:
            scanned.add(dataset.name)
            server_jobs().forget(scan_job(dataset))
            if time.monotonic() - opened(dataset, dataset.name, stamp[0]).at > FRESH_S:
                rescan(dataset)
        now = opened(dataset, dataset.name, stamp[0])
    # A changed annotation file alone does not change the stamp: what is derived from an opening belongs to it alone.
    return now.index and corrected(now.index, dataset.name, (now.at, *stamp))


@st.cache_resource(show_spinner=False, max_entries=4)
def missing(_index: Index, finders: tuple[str, ...], name: str, stamp: tuple) -> MissingFaces:
    """The suggestions at this moment."""
    return missing_faces(_index, finders)


def second_detector_id() -> str:
    """The second detector that the operator named; empty if there is none that can be read."""
    path = second_detector()
    try:
        return second_id(path) if path else ""
    except OSError:
        return ""


def missing_of(index: Index) -> MissingFaces:
    """What the active model, and a second detector if there is one, found where the set has no label."""
    finders = tuple(filter(None, (pipeline_id(in_use().method), second_detector_id())))
    dataset = index.dataset
    stamp = index_fingerprint(dataset)
    opened_at = opened(dataset, dataset.name, stamp[0]).at
    return missing(index, finders, dataset.name, (opened_at, *stamp, *found_fingerprint(index)))


@st.cache_resource(show_spinner=False, max_entries=2)
def features(_index: Index, model: str, name: str, stamp: tuple) -> Features:
    """What is known of the faces at this moment."""
    return open_features(_index, model)


@st.cache_resource(show_spinner=False, max_entries=2)
def mapped(_index: Index, _features: Features, name: str, stamp: tuple) -> FaceMap:
    """The map at this moment."""
    return face_map(_index, _features)


def features_of_set(index: Index, model: str) -> Features:
    """What the network of this checksum has made of the faces by now."""
    return features(index, model, index.dataset.name, _features_stamp(index, model))


def map_of(index: Index, model: str) -> FaceMap:
    """The map of the faces that it has looked at by now."""
    stamp = _features_stamp(index, model)  # for both: under a later one, a map of fewer faces would be kept
    found = features(index, model, index.dataset.name, stamp)
    return mapped(index, found, index.dataset.name, stamp)


def _features_stamp(index: Index, model: str) -> tuple:
    dataset = index.dataset
    stamp = index_fingerprint(dataset)
    return model, opened(dataset, dataset.name, stamp[0]).at, *stamp, *features_fingerprint(index)


def predictions_of(index: Index) -> LabelIssues | None:
    """The predictions of the active model for the set, if it was asked."""
    try:
        card = classifier_card()
    except ModelError:
        return None
    dataset = index.dataset
    stamp = index_fingerprint(dataset)
    opened_at = opened(dataset, dataset.name, stamp[0]).at
    key = (card.sha256, label_issues_fingerprint(index, card), opened_at, *stamp)
    return predictions(index, card, dataset.name, key)
