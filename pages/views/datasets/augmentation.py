"""The settings of augmentations, and which face they are shown on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import randrange
from typing import Any

import streamlit as st

from core.language import mark, tr
from pages.components.state import AUGMENTED_FACE
from train.augment import Augmentation

RECIPE_WORDS = {
    "rotation_deg": (mark("Rotation up to"), 0.0, 90.0, 1.0, "%d°"),
    "shift": (mark("Shift up to"), 0.0, 0.5, 0.01, "percent"),
    "shear_deg": (mark("Shear up to"), 0.0, 30.0, 0.05, "%.2f°"),
    "light": (mark("Brightness and colour"), 0.0, 1.0, 0.05, "percent"),
    "grey_share": (mark("Greyscale, share"), 0.0, 1.0, 0.05, "percent"),
    "blur_share": (mark("Blur, share"), 0.0, 1.0, 0.05, "percent"),
    "jpeg_share": (mark("JPEG compression, share"), 0.0, 1.0, 0.05, "percent"),
    "noise_share": (mark("Noise, share"), 0.0, 1.0, 0.05, "percent"),
    "hide_share": (mark("Random erasing, share"), 0.0, 1.0, 0.05, "percent"),
}
RECIPE_NAMES = {"report": mark("The report's"), "street": mark("For street photos")}


def _recipe_words(name: str) -> str:
    return tr(RECIPE_NAMES.get(name, name))


def recipe_form(recipes: Mapping[str, Augmentation], items: Sequence[str]) -> tuple[Augmentation, int, str]:
    """Which augmentations, with which seed, of which face.

    Args:
        recipes: by name.
        items: the faces that can be looked at.

    Returns:
        The augmentations, a seed, and one of ``items``.
    """
    if st.session_state.get(AUGMENTED_FACE) not in items:
        st.session_state[AUGMENTED_FACE] = items[0]

    def other_face() -> None:
        st.session_state[AUGMENTED_FACE] = items[randrange(len(items))]

    def new_seed() -> None:
        st.session_state["data_seed"] = randrange(2**31)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.segmented_control(
            tr("Recipe"),
            list(recipes),
            format_func=_recipe_words,
            default=next(iter(recipes)),
            required=True,
            key="data_recipe",
        )
        st.button(tr("New seed"), icon=":material/casino:", on_click=new_seed)
        st.button(tr("Another face"), icon=":material/shuffle:", on_click=other_face)
    how = recipes[name]
    with st.expander(tr("Settings of this recipe")):
        columns = st.columns(3)
        values: dict[str, Any] = {}
        low, high = columns[0].slider(
            tr("Zoom"),
            0.4,
            2.0,
            how.zoom,
            0.01,
            format="percent",
            key=f"data_{name}_zoom",
            help=tr("Side of what is seen, as a share of the face's square."),
        )
        for i, (field, (words, least, most, step, form)) in enumerate(RECIPE_WORDS.items(), 1):
            values[field] = columns[i % 3].slider(
                tr(words), least, most, float(getattr(how, field)), step, format=form, key=f"data_{name}_{field}"
            )
        flip = columns[1].toggle(tr("Horizontal flip"), how.flip, key=f"data_{name}_flip")
    return (
        replace(how, zoom=(low, high), flip=flip, **values),
        st.session_state.get("data_seed", 0),
        st.session_state[AUGMENTED_FACE],
    )
