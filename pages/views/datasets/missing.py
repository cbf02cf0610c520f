"""Faces that nobody annotated: found by the active model, decided on by a person."""

from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from core.config import second_detector
from core.datasets.index import Index
from core.datasets.missing import Finder, MissingFaces, pipeline_finder, search, second_finder
from core.jobs import Report
from core.language import number, tr, trn
from core.registry.active import in_use
from core.vision.boxes import shorter_sides
from core.vision.model_card import ModelError
from core.vision.pipeline import Method, Pipeline
from pages.components.gallery import page_of, show_tiles
from pages.components.jobs import show_end_of_job, show_job
from pages.components.resources import method_words, pipeline_or_stop, server_jobs
from pages.components.state import MISSING_PAGE, NEIGHBOURS, kept
from pages.views.datasets.deciding import OF_FACES, actions_for, decide, tell
from pages.views.datasets.opened import missing_of, second_detector_id
from pages.views.datasets.picture import open_image
from pages.views.datasets.tiles import suggestion_tiles

PER_PAGE = 48
SIZES_PX = (10, 16, 24, 48)


def show_missing_faces(index: Index) -> None:
    """The search, and what it found, likeliest first."""
    if index.pictures and index.pictures[0].whole:
        st.info(tr("Faces can be missing only in sets with boxes; here every image is one face."))
        return
    tell()
    method, job = in_use().method, f"data:missing:{index.dataset.name}"
    status = show_job(server_jobs(), job)
    show_end_of_job(status, server_jobs())
    found = missing_of(index)
    running = status is not None and status.state == "running"
    if not running and found.searched < found.pictures:
        _start(index, found, method, job)
    if found.searched:
        _suggestions(index, found)


def _start(index: Index, found: MissingFaces, method: Method, job: str) -> None:
    if second_detector_id():
        text = tr(
            "The active model (**{method}**) and the second detector of this server look at every image, for faces "
            "that have no label. Training takes such a face for background, and evaluation counts its detection as a "
            "false alarm."
        )
    else:
        text = tr(
            "The active model (**{method}**) looks at every image, for faces that have no label. Training takes such "
            "a face for background, and evaluation counts its detection as a false alarm."
        )
    st.markdown(text.format(method=method_words(method)))
    left = found.pictures - found.searched
    words = trn("Go on: {count} image", "Go on: {count} images", left).format(count=number(left, ","))
    if not found.searched:
        words = tr("Look for missing faces")
    if st.button(words, icon=":material/person_search:", type="primary"):
        pipeline = pipeline_or_stop(method)
        server_jobs().start(job, tr("Looking for missing faces"), partial(_search, index, method, pipeline))
        st.rerun()


def _search(index: Index, method: Method, pipeline: Pipeline, report: Report) -> None:
    path, finders = second_detector(), [pipeline_finder(method, pipeline)]
    if path and second_detector_id():
        finders.append(_second(path))
    search(index, finders, report)


def _second(path: Path) -> Finder:
    try:
        return second_finder(path)
    except ModelError:
        raise ModelError(
            tr("The second detector in MASK_SECOND_DETECTOR cannot be loaded; ask who runs this server.")
        ) from None


def _suggestions(index: Index, found: MissingFaces) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        least = st.segmented_control(
            tr("Shorter side, at least"),
            SIZES_PX,
            format_func=lambda px: f"{px} px",
            required=True,
            **kept("data_missing_px", SIZES_PX[0]),
        )
    sizes = shorter_sides(np.array([each.box for each in found.suggestions], np.float32))
    some = [each for each, size in zip(found.suggestions, sizes, strict=True) if size >= least]
    images = len({each.place for each in some})
    if not some:
        st.success(tr("No face of this size seems to be missing in the images that were looked at."))
        return
    st.markdown(
        trn(
            "**{faces} face may be missing in {images} of {searched} images**, the likeliest first. Give each its "
            "class, or say *Not sure* (it then counts neither as hit nor as miss) or *No face*.",
            "**{faces} faces may be missing in {images} of {searched} images**, the likeliest first. Give each its "
            "class, or say *Not sure* (it then counts neither as hit nor as miss) or *No face*.",
            len(some),
        ).format(faces=number(len(some), ","), images=number(images, ","), searched=number(found.searched, ","))
    )
    shown = some[page_of(MISSING_PAGE, len(some), PER_PAGE, "faces")]
    by_id = {each.id: each for each in shown}
    first_of = {each.picture: each.id for each in reversed(some)}
    order = dict.fromkeys(each.picture for each in some)
    st.session_state[NEIGHBOURS] = [(picture, 0, first_of[picture]) for picture in order]
    show_tiles(
        "data_missing",
        [("", suggestion_tiles(index, shown))],
        lambda tile: open_image(by_id[tile].picture, suggestion=tile),
        actions=actions_for(index, *OF_FACES),
        on_act=lambda action, ids: decide(index, action, ids, by_id),
        leaves=True,
    )
    st.caption(tr("Click a tile for the whole image, on which boxes can be drawn, moved and removed."))
