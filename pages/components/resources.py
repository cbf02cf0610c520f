"""What all visitors of the server share: loaded models, background jobs, the active method."""

import contextlib
import functools
import weakref
from collections.abc import Iterator
from pathlib import Path

import streamlit as st

from core.config import limits
from core.jobs import Jobs
from core.language import tr
from core.quota import Places
from core.registry.active import in_use, withdraw
from core.turns import Turns
from core.video.cameras import Cameras, Prepared, prepared
from core.video.record import Recorder
from core.video.shelf import Shelf
from core.vision.model_card import ModelError
from core.vision.photos import PhotoSet
from core.vision.pipeline import PIPELINES, Method, Pipeline, build_pipeline, method_version
from pages.components.compat import page_part
from pages.components.messages import plain
from pages.components.server import who

# A change of the active method is noticed within this time. Each look costs the browser 60 ms.
NOTICE_S = 2.0


@st.cache_resource(show_spinner=False, max_entries=12)
def load_pipeline(method: Method, version: str) -> Pipeline:
    """The pipeline, made once and shared by all visitors of the server; anew if its model's files have changed.

    Args:
        method: pipeline and model.
        version: ``core.vision.pipeline.method_version`` of it.
    """
    pipeline = build_pipeline(*method)

    def make_way(why: str) -> None:
        with contextlib.suppress(ModelError):  # where nothing can be written, each use of the model says why it fails
            withdraw(method, why)

    if classifier := getattr(pipeline, "classifier", None):
        classifier.on_failure = make_way
    return pipeline


@st.cache_resource(show_spinner=False)
def server_jobs() -> Jobs:
    """The long work of this server, started by any visitor."""
    return Jobs(who)


@st.cache_resource(show_spinner=False)
def live_places() -> Places:
    """The places for live video; a viewer has one for as long as frames come."""
    return Places("live_viewers")


@st.cache_resource(show_spinner=False)
def server_recorder() -> Recorder:
    """What writes the record of all cameras."""
    return Recorder()


@st.cache_resource(show_spinner=False)
def photo_turns() -> Turns:
    """In which order the photos of all visitors are classified: while one is decoded, another is in the network."""
    return Turns(limits().photos_at_once)


@functools.cache  # its pictures go out by a route of the server
def network_cameras() -> Cameras:
    """The cameras in the operator's settings, those that run."""

    def prepare() -> Prepared:
        method = in_use().method
        version = method_version(method)
        return prepared(load_pipeline(method, version), (method, version))

    return Cameras(server_recorder(), prepare)


photo_sets: weakref.WeakValueDictionary[tuple[str, str], PhotoSet] = weakref.WeakValueDictionary()
"""The photos of all visitors, by the visitor's cookie, which may be empty, and the set's key; gone with their page."""

set_zips: dict[tuple[str, str], Path] = {}
"""The zips of data sets, by the cookie of the operator who had them made and a key that nobody can guess."""


@functools.cache  # the server's own route asks for it too, outside of any page
def video_shelf() -> Shelf:
    """The videos of all visitors."""
    return Shelf().watch()


@contextlib.contextmanager
def model_or_stop() -> Iterator[None]:
    """Work with a model; where it cannot be loaded, or breaks down, one sentence says why, and the page ends."""
    try:
        yield
    except ModelError as error:
        st.error(plain(str(error)))
        st.stop()


def pipeline_or_stop(method: Method) -> Pipeline:
    """The pipeline, or one sentence that says why there is none, and the end of the page."""
    with model_or_stop(), st.spinner(tr("Loading the model …")):
        return load_pipeline(method, method_version(method))


def method_words(method: Method) -> str:
    """What people call a method and its model, for Markdown."""
    return f"{tr(PIPELINES[method.pipeline].title)}, {plain(method.model)}"


def method_changed() -> bool:
    """Whether the server's active method is another one than this visitor's page has followed."""
    return in_use().stamp != st.session_state.get("settings_stamp")


@page_part(run_every=NOTICE_S, shows=False)
def follow_active_method() -> None:
    """Make the page follow the server's active method, without anybody touching it; after ``settings_form``."""
    if method_changed():
        st.rerun(scope="app")
