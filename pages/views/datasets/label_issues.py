"""Labels that may be wrong: where the active model disagrees."""

import numpy as np
import streamlit as st

from core.datasets.index import Index
from core.datasets.label_issues import LabelIssues, classifier_card, compared, find_issues, suspicious
from core.language import number, tr, trn
from core.vision.classifier import load_classifier
from core.vision.model_card import ModelError
from pages.components.gallery import page_of, show_tiles
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain
from pages.components.resources import server_jobs
from pages.components.state import LABEL_ISSUES_PAGE, NEIGHBOURS
from pages.views.datasets.deciding import OF_FACES, OF_IMAGES, RIGHT, actions_for, decide, tell
from pages.views.datasets.picture import open_image
from pages.views.datasets.tiles import face_tiles


def show_label_issues(index: Index, predictions: LabelIssues | None) -> None:
    """Labels that the model disagrees with, the worst first."""
    key = f"data:classify:{index.dataset.name}"
    try:
        card = classifier_card()
    except ModelError as error:
        st.error(plain(str(error)))
        return
    if not set(card.classes) & set(index.classes):
        st.info(tr("The active model knows none of the classes of this set. Train one on it first."))
        return
    status = show_job(server_jobs(), key)
    show_end_of_job(status, server_jobs())
    if predictions is None:
        if status is None or status.state != "running":
            st.markdown(
                tr(
                    "The active model, **{model}**, classifies every face; where its prediction differs from the "
                    "label, one of them is wrong: often the model, sometimes the label."
                ).format(model=plain(card.name))
            )
            if st.button(tr("Find label issues"), icon=":material/search:", type="primary"):
                _start(index, card.name, key)
        return
    tell()
    faces, judged = suspicious(index, predictions), compared(index, predictions)
    differing = int(predictions.disagrees[judged].sum())
    st.markdown(
        tr(
            "**{model} disagrees with {differing} of {labels} labels** and doubts {more} more. The most doubtful come "
            "first; what you have decided on is not listed again. A model that was trained on this very set has seen "
            "these labels."
        ).format(
            model=plain(card.name),
            differing=number(differing, ","),
            labels=number(int(judged.sum()), ","),
            more=number(len(faces) - int(predictions.disagrees[faces].sum()), ","),
        )
    )
    if status is None or status.state != "running":
        _classify_the_rest(index, predictions, card.name, key)
    st.session_state[NEIGHBOURS] = [index.picture_and_face(index.faces.items[face]) for face in faces]
    some = faces[page_of(LABEL_ISSUES_PAGE, len(faces), what="labels")]
    whole = index.dataset.layout == "class_folders"
    show_tiles(
        "data_label_issues",
        [("", face_tiles(index, some, predictions))],
        lambda item: open_image(*index.picture_and_face(item)),
        actions=actions_for(index, RIGHT, *(OF_IMAGES[:1] if whole else OF_FACES)),
        on_act=lambda action, ids: decide(index, action, ids),
        leaves=True,
    )


def _classify_the_rest(index: Index, predictions: LabelIssues, model: str, job: str) -> None:
    """A button where people have added faces since the model looked."""
    new = int((np.isnan(predictions.probabilities).any(axis=1) & index.faces.edited).sum())
    words = trn("Classify {count} new face too", "Classify {count} new faces too", new)
    if new and st.button(words.format(count=number(new, ",")), icon=":material/search:"):
        _start(index, model, job)


def _start(index: Index, model: str, job: str) -> None:
    work = lambda report: find_issues(index, load_classifier(model), report)  # noqa: E731
    server_jobs().start(job, tr("Looking for label issues"), work)
    st.rerun()
