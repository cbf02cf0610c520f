"""Single pictures of the visitor's camera, where no video comes through."""

from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.language import tr
from core.vision.annotate import annotate
from core.vision.blur import blur_faces
from core.vision.images import ImageError, decode_image
from core.vision.pipeline import DetectionSettings, Method, Pipeline, detect_masks, hide_small
from core.vision.stats import describe, summarize
from pages.components.faces import show_class_counts, show_hidden_faces
from pages.components.messages import plain
from pages.components.state import LIVE_SHOT, kept, made_once
from pages.components.terms import BLUR_HELP

SINGLE = "live_single"
"""Under this key: whether the page shows single pictures in place of a video."""


def single_button(single: bool) -> None:
    """The way to single pictures, or back to the video."""
    words, icon = tr("Take single pictures instead"), "photo_camera"
    if single:
        words, icon = tr("Back to the video"), "videocam"
    st.button(
        words,
        icon=f":material/{icon}:",
        type="tertiary",
        key=f"live_to_{'video' if single else 'single'}",
        on_click=lambda: st.session_state.update({SINGLE: not single}),
    )


def show_single(
    method: Method,
    pipeline: Pipeline,
    settings: DetectionSettings,
    picture: DeltaGenerator,
    numbers: DeltaGenerator,
) -> None:
    """A camera that takes one picture at a time, and what is found in it.

    Args:
        method: that is chosen.
        pipeline: its pipeline.
        settings: with which it looks.
        picture: where the camera goes.
        numbers: where the result goes.
    """
    with picture:
        shot = st.camera_input(tr("Take a picture"), key="live_shot_widget")
        blur = st.toggle(tr("Blur faces"), help=tr(BLUR_HELP), **kept("live_blur", False))
        st.caption(tr("The picture is in this server's memory while it is shown, and never stored."))
        single_button(single=True)
    if not shot:
        numbers.info(
            tr("Press **Take photo** and allow the camera; the photo is looked at as a frame of the video is.")
        )
        return
    try:
        # Small faces are hidden below, and blurred all the same.
        frame, found = made_once(
            LIVE_SHOT,
            (shot.file_id, method, replace(settings, min_face_px=0)),
            lambda: (
                frame := decode_image(shot.getvalue()),
                detect_masks(frame, pipeline, replace(settings, min_face_px=0)),
            ),
        )
    except ImageError as error:
        numbers.error(plain(str(error)))
        return
    shown = hide_small(found, settings.min_face_px)
    stats = summarize(shown)
    with numbers:
        image = annotate(blur_faces(frame, found.xyxy) if blur else frame, shown)
        alt = tr("The result: {sentence}").format(sentence=describe(stats))
        st.image(image, channels="BGR", width="stretch", output_format="JPEG", alt=alt)
        show_class_counts(stats, pipeline, stats.mask_share)
        if settings.min_face_px:
            show_hidden_faces("live", stats, settings.min_face_px)
