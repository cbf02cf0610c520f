"""Webcam samples: taken after consent, stored under a label, deleted at one word."""

import streamlit as st

from core.datasets.sources.webcam import (
    DEFAULT_NAME,
    add_sample,
    count_samples,
    delete_all,
    delete_last,
    sample_label,
)
from core.language import mark, number, tr, trn
from core.synthetic.preview import make_portrait
from core.vision.classes import CLASS_NAMES
from core.vision.images import decode_image
from pages.components.camera import CAMERA_PROBLEMS, camera_problem
from pages.components.messages import close_popovers, plain, popover, why
from pages.components.state import WEBCAM_SHOT, made_once
from pages.views.synthetic.face import class_words, load_finder

OTHER_LABEL = mark("Another label")

SHOTS = "synthetic_shots"
"""Under this key: how many photos the visitor has saved."""


def show() -> None:
    """Webcam samples, after consent."""
    st.markdown(
        tr(
            "Take photos of yourself to train with: with a mask, without one, or with anything else that you want a "
            "model to tell apart. The face is cut out and **stored on this server**, under its label and nothing else. "
            "Everybody who may open this dashboard can see it, until you delete it here."
        )
    )
    agreed = st.checkbox(
        tr("I agree that the photos I save are stored on this server, and everybody in them agrees too."),
        key="synthetic_consent",
    )
    name = st.text_input(tr("Data set"), DEFAULT_NAME, 60, key="synthetic_own_name") or DEFAULT_NAME
    try:
        if agreed:
            show_camera(name)
        else:
            st.info(tr("Without your consent the camera stays off and nothing is stored."))
        show_counts(name)
    except (ValueError, OSError) as error:
        st.error(why(error))


def show_camera(name: str) -> None:
    """Label, camera, the face that was found, and the button that keeps it."""
    choice = st.segmented_control(
        *(tr("Label of the next photos"), [*CLASS_NAMES, OTHER_LABEL]),
        format_func=lambda label: tr(label) if label == OTHER_LABEL else class_words(label),
        default=CLASS_NAMES[0],
        required=True,
        key="synthetic_label",
    )
    label = choice
    if choice == OTHER_LABEL:
        label = st.text_input(
            tr("Your label"), max_chars=40, placeholder=tr("letters and digits"), key="synthetic_word"
        )
        if not label:
            return
    label = sample_label(label)
    if problem := camera_problem():
        st.warning(tr(CAMERA_PROBLEMS[problem]))
    # After a photo was saved, a new widget, ready for the next one.
    shot = st.camera_input(tr("Take a photo"), key=f"synthetic_camera_{st.session_state.get(SHOTS, 0)}", width=480)
    if not shot:
        return
    frame = decode_image(shot.getvalue())
    portrait = made_once(WEBCAM_SHOT, shot.file_id, lambda: make_portrait(frame, load_finder()))
    if portrait is None:
        st.warning(tr("No face was found; come closer to the camera, or turn towards the light."))
        return
    st.image(portrait.view_bgr, channels="BGR", width=220, alt=tr("The face that was found"))
    if portrait.faces > 1:
        st.caption(tr("The largest of {count} faces is saved.").format(count=number(portrait.faces, ",")))
    words = tr("Save as {label}").format(label=plain(class_words(label)))
    if st.button(words, type="primary", icon=":material/save:"):
        add_sample(name, frame, portrait.face_xyxy, label)
        st.session_state.pop(WEBCAM_SHOT)
        st.session_state[SHOTS] = st.session_state.get(SHOTS, 0) + 1
        st.rerun()


def show_counts(name: str) -> None:
    """How many samples there are per label, and the ways to get rid of them."""
    counts = count_samples(name)
    if not counts:
        st.caption(tr("There are no samples in this data set."))
        return
    for column, (label, count) in zip(st.columns(max(4, len(counts))), counts.items(), strict=False):
        column.metric(plain(class_words(label)), number(count))
    with st.container(horizontal=True):
        if st.button(tr("Delete the last sample"), icon=":material/undo:"):
            delete_last(name)
            st.rerun()
        with popover(tr("Delete all my samples"), "synthetic_delete", icon=":material/delete:"):
            count = sum(counts.values())
            words = trn(
                "{count} sample of {name} will be gone for good, for everybody.",
                "{count} samples of {name} will be gone for good, for everybody.",
                count,
            )
            st.markdown(words.format(count=number(count, ","), name=plain(name)))
            if st.button(tr("Yes, delete them all"), type="primary"):
                delete_all(name)
                close_popovers()
                st.rerun()
    st.caption(
        tr(
            "They are the data set **{name}**: see it on the page **Data sets**, and train with it on the page "
            "**Training** once two labels have some dozens each."
        ).format(name=plain(name))
    )
