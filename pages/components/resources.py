"""What all visitors of the server share: loaded models, background jobs, the active method."""

import streamlit as st

from core.jobs import Jobs
from core.registry.active import in_use
from core.turns import Turns
from core.vision.model_card import ModelError
from core.vision.pipeline import PIPELINES, Method, Pipeline, build_pipeline, method_version
from pages.components.messages import plain

# A change of the active method is noticed within this time.
NOTICE_S = 0.8


@st.cache_resource(show_spinner="Loading the model …", max_entries=12)
def load_pipeline(method: Method, version: str) -> Pipeline:
    """The pipeline, made once and shared by all visitors of the server; anew if its model's files have changed.

    Args:
        method: pipeline and model.
        version: ``core.vision.pipeline.method_version`` of it.
    """
    return build_pipeline(*method)


@st.cache_resource(show_spinner=False)
def server_jobs() -> Jobs:
    """The long work of this server, started by any visitor."""
    return Jobs()


@st.cache_resource(show_spinner=False)
def photo_turns() -> Turns:
    """In which order the photos of all visitors are judged: while one is decoded, another is in the network."""
    return Turns(at_once=2)


def pipeline_or_stop(method: Method) -> Pipeline:
    """The pipeline, or one sentence that says why there is none, and the end of the page."""
    try:
        return load_pipeline(method, method_version(method))
    except ModelError as error:
        st.error(plain(str(error)))
        st.stop()


def method_words(method: Method) -> str:
    """What people call a method and its model, for Markdown."""
    return f"{PIPELINES[method.pipeline].title}, {plain(method.model)}"


def method_changed() -> bool:
    """Whether the server's active method is another one than this visitor's page has followed."""
    return in_use().stamp != st.session_state.get("settings_stamp")


@st.fragment(run_every=NOTICE_S)
def follow_active_method() -> None:
    """Make the page follow the server's active method, without anybody touching it; after ``settings_form``."""
    if method_changed():
        st.rerun(scope="app")
