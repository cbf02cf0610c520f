"""A data set and what a model thinks of it, opened once and shared by all visitors; anew when something has changed."""

import streamlit as st

from core.datasets.index import Catalogue, catalogue_stamp, open_catalogue
from core.datasets.label_issues import SecondOpinion, classifier_card, open_opinion, opinion_stamp
from core.datasets.store import DataSet
from core.vision.model_card import ModelCard, ModelError
from pages.components.resources import server_jobs


@st.cache_resource(show_spinner="Opening the data set …", max_entries=4)
def opened(_dataset: DataSet, name: str, looked_at: int) -> Catalogue | None:
    """The catalogue as it was built at this moment, shared by all visitors."""
    return open_catalogue(_dataset)


@st.cache_resource(show_spinner=False, max_entries=4)
def repaired(_catalogue: Catalogue, name: str, stamp: tuple) -> Catalogue:
    """The catalogue with what people had changed at this moment."""
    return _catalogue.repaired()


@st.cache_resource(show_spinner=False, max_entries=4)
def judged(_catalogue: Catalogue, _card: ModelCard, name: str, stamp: tuple) -> SecondOpinion | None:
    """What the model in use thought of it at this moment."""
    return open_opinion(_catalogue, _card)


def catalogue_of(dataset: DataSet) -> Catalogue | None:
    """The catalogue, or ``None`` if it has to be built; looks for new files once per visit."""
    stamp = catalogue_stamp(dataset)
    looked_at = st.session_state.setdefault("data_looked_at", set())
    if dataset.name not in looked_at:
        looked_at.add(dataset.name)
        opened.clear(dataset, dataset.name, stamp[0])
        repaired.clear()  # a changed annotation file alone does not change the stamp
        judged.clear()
        server_jobs().forget(f"data:look:{dataset.name}")
    catalogue = opened(dataset, dataset.name, stamp[0])
    return catalogue and repaired(catalogue, dataset.name, stamp)


def opinion_of(catalogue: Catalogue) -> SecondOpinion | None:
    """What the model in use thinks of the set, if it was asked."""
    try:
        card = classifier_card()
    except ModelError:
        return None
    stamp = (card.sha256, opinion_stamp(catalogue, card), *catalogue_stamp(catalogue.dataset))
    return judged(catalogue, card, catalogue.dataset.name, stamp)
