"""One image at large, with its labels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from core.datasets.edits import Edits, NewFace
from core.datasets.index import Index
from core.datasets.missing import Suggestion
from core.language import mark, number, tr
from core.vision.classes import NO_PREDICTION
from pages.components.boxes import HOW, Box, PictureBox, edit_boxes
from pages.components.gallery import ImageDetails, show_tiles
from pages.components.messages import plain, tried
from pages.components.state import (
    AUGMENTATIONS,
    AUGMENTED_FACE,
    DATA_VIEW,
    NEIGHBOURS,
    NEXT_LABEL,
    OPEN_IMAGE,
    choose_next,
)
from pages.views.datasets.deciding import (
    LABEL,
    OF_FACES,
    REMOVE,
    UNDO,
    UNSURE,
    actions_for,
    classes_to_give,
    decide,
    tell,
    undo_button,
)

NOBODY = -1
"""As the face of an image: none is chosen."""


def open_image(key: str, face: int = 0, suggestion: str = "") -> None:
    """Show one image when the page runs next, with one of its faces, or a suggestion by its id, chosen."""
    st.session_state[OPEN_IMAGE] = (key, face, suggestion) if suggestion else (key, face)


def close_image() -> None:
    """Back to the gallery."""
    st.session_state.pop(OPEN_IMAGE, None)


def image_panel(
    index: Index, details: ImageDetails, edits: Edits, suggested: Sequence[Suggestion], suggestion: str
) -> None:
    """One image in full, what is known of it, and what can be done with it.

    Args:
        index: of its data set.
        details: of the image.
        edits: of its data set.
        suggested: faces that may be missing in it.
        suggestion: the id of the one that is chosen, if not a labelled face is.
    """
    if suggestion not in {each.id for each in suggested}:
        suggestion = ""  # somebody has decided on it
    if suggestion:
        details = replace(details, chosen=NOBODY)
    image, panel = st.columns([2, 1] if not details.whole else [3, 2])
    with image:
        if details.whole:
            show_tiles("data_large", [("", [details.tile])], large=True)
        else:
            _editor(index, details, edits, {each.id: each for each in suggested}, suggestion)
    with panel:
        _neighbours()
        tell()
        if suggestion:
            st.markdown(tr("Not labelled yet: give this face its class, or say *Not sure* or *No face*."))
        elif details.faces and details.chosen == NOBODY:
            st.markdown(tr("Click a box to choose a face."))
        elif details.faces:
            _face_panel(details, edits)
        else:
            st.markdown(tr("No face is labelled in this image."))
        _exclude_buttons(details, edits)
        if details.faces and details.chosen != NOBODY:
            words, item = tr("Show augmentations"), details.faces[details.chosen].item
            st.button(words, icon=":material/visibility:", on_click=_show_augmentations, args=(item,))
        st.caption(
            "  \n".join(
                tr("{name}: {value}").format(name=name, value=plain(text)) for name, text in details.facts.items()
            )
        )


def _editor(
    index: Index, details: ImageDetails, edits: Edits, suggested: dict[str, Suggestion], suggestion: str
) -> None:
    """The image, on which faces are drawn, moved, removed and given a class."""
    key, picture = details.tile.id, index.pictures[index.place_of[details.tile.id]]
    actions = actions_for(index, *OF_FACES)
    labels = classes_to_give(index)
    if st.session_state.get(NEXT_LABEL) not in labels:
        st.session_state[NEXT_LABEL] = labels[0]
    boxes = [
        PictureBox(
            face.item,
            tuple(picture.xyxy[k].tolist()),
            details.styles[face.label],
            str(k + 1),
            f"{k + 1}: {_label_words(details, k)}",
            face.excluded or details.excluded,
        )
        for k, face in enumerate(details.faces)
    ]
    boxes += [
        PictureBox(each.id, each.box, NO_PREDICTION, "?", tr("A face that may be missing"), suggested=True)
        for each in suggested.values()
    ]
    items = [face.item for face in details.faces]
    chosen = (
        suggestion if suggestion in suggested else items[details.chosen] if items and details.chosen != NOBODY else None
    )

    def choose(face: str | None) -> None:
        if face in suggested:
            open_image(key, suggestion=face)
        else:
            open_image(key, items.index(face) if face in items else NOBODY)

    @tried
    def place(box: Box, id: str | None) -> None:
        if id is None or id in suggested:
            label = st.session_state[NEXT_LABEL]
            if id in suggested and suggested[id].label in labels:
                label = suggested[id].label
            edits.add_faces([NewFace(key, box, label)])
            open_image(key, len(items))
        else:
            edits.move(id, box)

    def act(action: str, face: str | None) -> None:
        if action.startswith(LABEL):
            st.session_state[NEXT_LABEL] = action.removeprefix(LABEL)
        if face is None and action != UNDO:
            return
        decide(index, action, [face] if face else [], suggested)
        if face in suggested:
            open_image(key, len(items) if action.startswith(LABEL) or action == UNSURE else NOBODY)
        elif action in (REMOVE, UNDO):
            open_image(key, NOBODY)

    edit_boxes(
        "data_editor",
        details.tile.jpeg,
        index.size_wh(key),
        key,
        boxes,
        actions,
        chosen,
        f"{LABEL}{st.session_state[NEXT_LABEL]}",
        place,
        choose,
        act,
    )
    st.caption(tr(HOW))


def _show_augmentations(item: str) -> None:
    close_image()
    st.session_state[AUGMENTED_FACE] = item
    choose_next(DATA_VIEW, AUGMENTATIONS)


def _neighbours() -> None:
    """Buttons to the image before and the next one of what was shown."""
    around = st.session_state.get(NEIGHBOURS) or []
    now = st.session_state[OPEN_IMAGE]
    place = around.index(now) if now in around else next((i for i, (key, *_) in enumerate(around) if key == now[0]), -1)
    if place < 0 or len(around) < 2:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        for icon, words, to in (
            (":material/chevron_left:", mark("Back"), place - 1),
            (":material/chevron_right:", mark("Next"), place + 1),
        ):
            off = not 0 <= to < len(around)
            target = around[place if off else to]
            st.button(tr(words), icon=icon, disabled=off, on_click=open_image, args=target, key=f"data_{words}")
        st.markdown(tr("{place} of {count}").format(place=number(place + 1, ","), count=number(len(around), ",")))


def _face_panel(details: ImageDetails, edits: Edits) -> None:
    key = details.tile.id
    if len(details.faces) > 1:
        st.session_state["data_face"] = details.chosen
        st.selectbox(
            tr("Face"),
            range(len(details.faces)),
            format_func=lambda k: f"{k + 1}: {_label_words(details, k)}",
            key="data_face",
            on_change=lambda: open_image(key, st.session_state["data_face"]),
        )
    face = details.faces[details.chosen]
    field = f"data_label_{face.item}"
    st.session_state[field] = face.label

    def relabel() -> None:
        if st.session_state[field]:
            tried(edits.change_label)(face.item, st.session_state[field])

    st.selectbox(
        tr("Label"),
        list(details.styles),
        format_func=lambda name: _words(details, name),
        accept_new_options=True,
        key=field,
        on_change=relabel,
        help=tr("Choose another label, or type a new one. The image file stays as it is."),
    )
    if face.prediction:
        words = tr("Prediction of the model: **{prediction}** (loss {loss}).")
        if np.isnan(face.loss):
            words = tr("Prediction of the model: **{prediction}**.")
        st.markdown(words.format(prediction=plain(face.prediction), loss=number(abs(face.loss), ".2f")))


def _exclude_buttons(details: ImageDetails, edits: Edits) -> None:
    exclude, revert = tried(edits.exclude), tried(edits.revert)

    chosen = details.faces[details.chosen] if details.faces and details.chosen != NOBODY else None
    with st.container(horizontal=True):
        if not details.whole and len(details.faces) > 1 and chosen and not chosen.excluded:
            st.button(tr("Exclude this face"), icon=":material/person_off:", on_click=exclude, args=(chosen.item,))
        if not details.excluded:
            st.button(
                tr("Exclude") if details.whole else tr("Exclude image"),
                icon=":material/visibility_off:",
                help=tr("Training and evaluation leave it out. The file stays."),
                on_click=exclude,
                args=(details.tile.id,),
            )
        mine = [details.tile.id, *(face.item for face in details.faces)]
        changed = [item for item in mine if item in edits.changed()]
        if changed:
            st.button(tr("Restore"), icon=":material/history:", on_click=revert, args=(changed,),
                      help=tr("The label as the files have it, and not excluded."))  # fmt: skip
        undo_button(edits)
    if details.excluded:
        st.info(tr("Excluded: training leaves this image out."))
    elif chosen and chosen.excluded:
        st.info(tr("Excluded: training leaves this face out."))


def _words(details: ImageDetails, name: str) -> str:
    style = details.styles.get(name)
    return f"{style.sign} {style.words}" if style else name


def _label_words(details: ImageDetails, face: int) -> str:
    words = tr("{label}, excluded") if details.faces[face].excluded else "{label}"
    return words.format(label=_words(details, details.faces[face].label))
