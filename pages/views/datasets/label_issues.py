"""Labels that may be wrong: where the active model disagrees."""

import streamlit as st

from core.datasets.index import Index
from core.datasets.label_issues import LabelIssues, classifier_card, find_issues, suspicious
from core.vision.classifier import load_classifier
from core.vision.model_card import ModelError
from pages.components.gallery import page_of, show_tiles
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain
from pages.components.resources import server_jobs
from pages.components.state import LABEL_ISSUES_PAGE, NEIGHBOURS
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
        st.info("The active model knows none of the classes of this set. Train one on it first.")
        return
    status = show_job(server_jobs(), key)
    show_end_of_job(status, server_jobs())
    if predictions is None:
        if status is None or status.state != "running":
            st.markdown(
                f"The active model, **{plain(card.name)}**, classifies every face; where its prediction differs from "
                "the label, one of them is wrong: often the model, sometimes the label."
            )
            if st.button("Find label issues", icon=":material/search:", type="primary"):
                work = lambda report: find_issues(index, load_classifier(card.name), report)  # noqa: E731
                server_jobs().start(key, "Looking for label issues", work)
                st.rerun()
        return
    faces = suspicious(index, predictions)
    differing = int(predictions.disagrees[faces].sum())
    st.markdown(
        f"**{plain(card.name)} disagrees with {differing:,} of {len(faces):,} labels.** Those with the highest loss "
        "come first. A model that was trained on this very set has seen these labels."
    )
    st.session_state[NEIGHBOURS] = [index.picture_and_face(index.faces.items[face]) for face in faces]
    some = faces[page_of(LABEL_ISSUES_PAGE, len(faces), what="labels")]
    open_item = lambda item: open_image(*index.picture_and_face(item))  # noqa: E731
    show_tiles("data_label_issues", [("", face_tiles(index, some, predictions))], open_item)
