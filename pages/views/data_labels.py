"""Labels that may be wrong: where the model in use contradicts."""

import streamlit as st

from core import app_data as parts
from core import app_gallery as gallery
from core.app import plain, server_jobs
from core.card import ModelError
from core.classifier import load_classifier
from train.catalogue import Catalogue
from train.second_opinion import SecondOpinion, classifier_card, judge, suspicious
from train.tiles import face_tiles


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
    status = parts.show_job(server_jobs(), key)
    parts.show_end_of_job(status)
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
    some = faces[parts.page_of("data_suspicious_page", len(faces), what="labels")]
    open_item = lambda item: gallery.open_picture(*catalogue.picture_and_face(item))  # noqa: E731
    parts.show_tiles("data_suspicious", [("", face_tiles(catalogue, some, opinion))], open_item)
