"""Faces of the webcam's video for training: collected after consent, filed with one key or click, or thrown away."""

import re

import streamlit as st

from core.config import settings
from core.datasets.sources.webcam import DEFAULT_NAME, add_sample, sample_label, sample_sets
from core.language import mark, number, tr
from core.video.live import LiveProcessor
from core.video.recent import FORGET_S, MAX_FACES, RecentFace, RecentFaces
from core.vision.annotate import percentage
from core.vision.blur import blur_faces
from core.vision.classes import NO_PREDICTION, styles_of, vocabulary
from core.vision.images import encode_image
from core.vision.pipeline import Pipeline
from pages.components.access import is_operator
from pages.components.compat import page_part
from pages.components.gallery import Tile, show_tiles
from pages.components.messages import plain, show_problem, tried
from pages.components.state import LIVE_RECENT, kept

GALLERY_S = 1.0
CHOSEN = "live_recent_chosen"
HELP = mark("Keeps the best picture of each face for you to file into a data set, after everybody has agreed.")
CONSENT = mark(
    "While this is on, the best picture of each person's face, of {people} people at most, waits in this server's "
    "memory for you alone. It goes when you throw it away, switch this off or leave the page, and at the latest "
    "{minutes} minutes after the person was last seen. What you **file is stored on this server**, and everybody who "
    "may open its data sets can see it."
)


def collect_switch(processor: LiveProcessor) -> bool:
    """Collect faces or not; there is a switch for who may change data sets, unless the operator's settings forbid it.

    Returns:
        Whether the switch is on.
    """
    wanted = is_operator() and settings().collect
    wanted = wanted and st.toggle(tr("Collect faces for training"), help=tr(HELP), key="live_collect")
    if not wanted:
        _forget(processor)
    return wanted


def _forget(processor: LiveProcessor) -> None:
    processor.collect(None)
    st.session_state.pop(LIVE_RECENT, None)


def recent_faces(processor: LiveProcessor, pipeline: Pipeline) -> bool:
    """The question for consent, and with it the gallery of who was seen; call it where the switch is on.

    Returns:
        Whether faces are collected.
    """
    with st.container(border=True):
        words = st.empty()
        agreed = st.checkbox(tr("I agree, and so does everybody in front of the camera."), key="live_collect_consent")
        if not agreed:
            words.markdown(tr(CONSENT).format(people=MAX_FACES, minutes=number(FORGET_S / 60, ".0f")))
            _forget(processor)
            return False
        recent: RecentFaces = st.session_state.setdefault(LIVE_RECENT, RecentFaces())
        processor.collect(recent)
        options = sorted({DEFAULT_NAME, *sample_sets(), *([chosen] if (chosen := _chosen_set()) else [])})
        name = st.selectbox(
            tr("Data set"), options, accept_new_options=True, width=320, **kept("live_collect_set", DEFAULT_NAME)
        )
        show_problem()
        _gallery(recent, processor, pipeline, name or DEFAULT_NAME)
    return True


def _chosen_set() -> str | None:
    return st.session_state.get("live_collect_set")


def _gallery(recent: RecentFaces, processor: LiveProcessor, pipeline: Pipeline, dataset: str) -> None:
    labels = vocabulary(pipeline.classes)
    styles = dict(zip(labels, styles_of(labels), strict=True))

    @page_part(run_every=GALLERY_S)
    def show() -> None:
        """The faces, and what to do with the one that is chosen; it follows the video by itself."""
        faces = recent.all()
        if not faces:
            st.caption(tr("People who are seen clearly appear here."))
            return
        chosen = next((face for face in faces if face.key == st.session_state.get(CHOSEN)), faces[0])
        tiles = []
        for face in faces:
            picture = face.picture_bgr
            if processor.blur:
                picture = blur_faces(picture, face.face_xyxy[None])
            style = styles.get(face.name or "")
            result = (style, f" {percentage(face.confidence)}") if style else (NO_PREDICTION, "")
            size_wh = picture.shape[1], picture.shape[0]
            name = tr("Person {number}").format(number=face.key)
            tiles.append(Tile(face.key, name, encode_image(picture), size_wh, (result,), current=face is chosen))
        show_tiles("live_recent_tiles", [("", tiles)], on_pick=lambda key: st.session_state.update({CHOSEN: key}))
        st.markdown(tr("File person {number} as:").format(number=chosen.key))
        with st.container(horizontal=True):
            for k, label in enumerate(labels, start=1):
                st.button(
                    plain(styles[label].words),
                    key=f"live_file_{k}",
                    type="primary" if label == chosen.name else "secondary",
                    shortcut=str(k) if k <= 9 else None,
                    on_click=tried(_file),
                    args=(recent, chosen, dataset, label),
                )
            st.button(
                tr("Throw away"),
                icon=":material/delete:",
                key="live_throw_away",
                shortcut="0",
                on_click=_throw_away,
                args=(recent, chosen),
            )

    show()
    st.caption(
        tr("What is filed is in the data set {name}: see *Data sets*, and train with it on *Training*.").format(
            name=plain(dataset)
        )
    )


def _throw_away(recent: RecentFaces, face: RecentFace) -> None:
    recent.take(face.key)


def _file(recent: RecentFaces, face: RecentFace, dataset: str, label: str) -> None:
    """Keep a face in a data set. Raises: ``ValueError`` or ``OSError``; then it waits on."""
    add_sample(dataset, face.picture_bgr, face.face_xyxy, sample_label(re.sub(r"[^\w-]+", "_", label).strip("_-")))
    recent.take(face.key)
    st.toast(tr("Filed into {name}.").format(name=plain(dataset)), icon=":material/check:")
