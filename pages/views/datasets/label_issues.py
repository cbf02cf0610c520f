"""Labels that may be wrong: where the model in use contradicts."""

import streamlit as st

from core.datasets.index import Catalogue
from core.datasets.label_issues import SecondOpinion, classifier_card, judge, suspicious
from core.vision.classifier import load_classifier
from core.vision.model_card import ModelError
from pages.components.gallery import page_of, show_tiles
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain
from pages.components.resources import server_jobs
from pages.views.datasets.picture import open_picture
from pages.views.datasets.tiles import face_tiles


def show_suspicious(catalogue: Catalogue, opinion: SecondOpinion | None) -> None:
    """Labels that the model contradicts, the worst first."""
    key = f"data:judge:{catalogue.dataset.name}"
    try:
        card = classifier_card()
    except ModelError as error:
        st.error(plain(str(error)))
        return
    if not set(card.classes) & set(catalogue.classes):
        st.info("The model in use knows none of the classes of this set. Train one on it first.")
        return
    status = show_job(server_jobs(), key)
    show_end_of_job(status)
    if opinion is None:
        if status is None or status.state != "running":
            st.markdown(
                f"The model in use, **{plain(card.name)}**, looks at every face and says where it would give another "
                "label. Often the model is wrong; sometimes the label is."
            )
            if st.button("Let the model look", icon=":material/search:", type="primary"):
                work = lambda report: judge(catalogue, load_classifier(card.name), report)  # noqa: E731
                server_jobs().start(key, "The model looks at the set", work)
                st.rerun()
        return
    faces = suspicious(catalogue, opinion)
    doubted = int(opinion.disagrees[faces].sum())
    st.markdown(
        f"**{plain(card.name)} would give {doubted:,} of {len(faces):,} labels differently.** The most doubtful come "
        "first. If the model learnt from this very set, it has seen these labels."
    )
    st.session_state["data_around"] = [catalogue.picture_and_face(catalogue.faces.items[face]) for face in faces]
    some = faces[page_of("data_suspicious_page", len(faces), what="labels")]
    open_item = lambda item: open_picture(*catalogue.picture_and_face(item))  # noqa: E731
    show_tiles("data_suspicious", [("", face_tiles(catalogue, some, opinion))], open_item)
