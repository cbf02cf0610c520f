"""One image at large, with its labels."""

import numpy as np
import streamlit as st

from core.datasets.edits import Edits
from pages.components.gallery import ImageDetails, show_tiles
from pages.components.messages import plain, show_problem, tried
from pages.components.state import AUGMENTATIONS, AUGMENTED_FACE, DATA_VIEW, NEIGHBOURS, OPEN_IMAGE, choose_next


def open_image(key: str, face: int = 0) -> None:
    """Show one image when the page runs next."""
    st.session_state[OPEN_IMAGE] = (key, face)


def close_image() -> None:
    """Back to the gallery."""
    st.session_state.pop(OPEN_IMAGE, None)


def image_panel(details: ImageDetails, edits: Edits) -> None:
    """One image in full, what is known of it, and what can be done with it.

    Args:
        details: of the image.
        edits: of its data set.
    """
    image, panel = st.columns([3, 2])
    with image:
        show_tiles("data_large", [("", [details.tile])], large=True)
    with panel:
        _neighbours()
        show_problem()
        if details.faces:
            _face_panel(details, edits)
        else:
            st.markdown("No face is labelled in this image.")
        _exclude_buttons(details, edits)
        if details.faces:
            words, item = "Show augmentations", details.faces[details.chosen].item
            st.button(words, icon=":material/visibility:", on_click=_show_augmentations, args=(item,))
        st.caption("  \n".join(f"{name}: {plain(text)}" for name, text in details.facts.items()))


def _show_augmentations(item: str) -> None:
    close_image()
    st.session_state[AUGMENTED_FACE] = item
    choose_next(DATA_VIEW, AUGMENTATIONS)


def _neighbours() -> None:
    """Buttons to the image before and the next one of what was shown."""
    around = st.session_state.get(NEIGHBOURS) or []
    now = st.session_state[OPEN_IMAGE]
    place = around.index(now) if now in around else next((i for i, (key, _) in enumerate(around) if key == now[0]), -1)
    if place < 0 or len(around) < 2:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        for icon, words, to in (
            (":material/chevron_left:", "Back", place - 1),
            (":material/chevron_right:", "Next", place + 1),
        ):
            off = not 0 <= to < len(around)
            target = around[place if off else to]
            st.button(words, icon=icon, disabled=off, on_click=open_image, args=target, key=f"data_{words}")
        st.markdown(f"{place + 1:,} of {len(around):,}")


def _face_panel(details: ImageDetails, edits: Edits) -> None:
    key = details.tile.id
    if len(details.faces) > 1:
        st.session_state["data_face"] = details.chosen
        st.selectbox(
            "Face",
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
        "Label",
        list(details.styles),
        format_func=lambda name: _words(details, name),
        accept_new_options=True,
        key=field,
        on_change=relabel,
        help="Choose another label, or type a new one. The image file stays as it is.",
    )
    if face.prediction:
        loss = "" if np.isnan(face.loss) else f" (loss {abs(face.loss):.2f})"
        st.markdown(f"Prediction of the model: **{plain(face.prediction)}**{loss}.")


def _exclude_buttons(details: ImageDetails, edits: Edits) -> None:
    exclude, revert = tried(edits.exclude), tried(edits.revert)

    @tried
    def undo() -> None:
        # Shown below: within a dialog a callback must not show anything itself.
        st.session_state["data_undone"] = edits.undo() or "nothing"

    if undone := st.session_state.pop("data_undone", None):
        st.toast(f"Undone: {plain(undone)}.")

    items = [] if details.whole or len(details.faces) < 2 else [("this face", details.faces[details.chosen])]
    with st.container(horizontal=True):
        for words, face in items:
            if not face.excluded:
                st.button(
                    f"Exclude {words}",
                    icon=":material/person_off:",
                    on_click=exclude,
                    args=(face.item,),
                )
        if not details.excluded:
            st.button(
                "Exclude" if details.whole else "Exclude image",
                icon=":material/visibility_off:",
                help="Training and evaluation leave it out. The file stays.",
                on_click=exclude,
                args=(details.tile.id,),
            )
        mine = [details.tile.id, *(face.item for face in details.faces)]
        changed = [item for item in mine if item in edits.labels or item in edits.excluded]
        if changed:
            st.button("Restore", icon=":material/history:", on_click=revert, args=(changed,),
                      help="The label as the files have it, and not excluded.")  # fmt: skip
        if edits.history:
            last = edits.history[-1].get("what", "")
            st.button("Undo", icon=":material/undo:", on_click=undo, help=f"The latest change: {plain(str(last))}.")
    if details.excluded:
        st.info("Excluded: training leaves this image out.")
    elif details.faces and details.faces[details.chosen].excluded:
        st.info("Excluded: training leaves this face out.")


def _words(details: ImageDetails, name: str) -> str:
    style = details.styles.get(name)
    return f"{style.sign} {style.words}" if style else name


def _label_words(details: ImageDetails, face: int) -> str:
    return _words(details, details.faces[face].label) + (", excluded" if details.faces[face].excluded else "")
