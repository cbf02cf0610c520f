"""Settings of the augmentations that training shows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import randrange
from typing import Any

import streamlit as st

from train.augment import Augmentation

# What the network sees

RECIPE_WORDS = {
    "rotation_deg": ("Turned by up to", 0.0, 90.0, 1.0, "%d°"),
    "shift": ("Shifted by up to", 0.0, 0.5, 0.01, "percent"),
    "shear_deg": ("Slanted by up to", 0.0, 30.0, 0.05, "%.2f°"),
    "light": ("Light and colour", 0.0, 1.0, 0.05, "percent"),
    "grey_share": ("Grey", 0.0, 1.0, 0.05, "percent"),
    "blur_share": ("Blurred or small", 0.0, 1.0, 0.05, "percent"),
    "jpeg_share": ("Strongly compressed", 0.0, 1.0, 0.05, "percent"),
    "noise_share": ("Noisy", 0.0, 1.0, 0.05, "percent"),
    "hide_share": ("Partly hidden", 0.0, 1.0, 0.05, "percent"),
}


RECIPE_NAMES = {"report": "The report's", "street": "For street photos"}


def recipe_form(recipes: Mapping[str, Augmentation], items: Sequence[str]) -> tuple[Augmentation, int, str]:
    """How views are varied, which ones, and of which face.

    Args:
        recipes: by name.
        items: the faces that can be looked at.

    Returns:
        The variation, a seed, and one of ``items``.
    """
    if st.session_state.get("data_seen") not in items:
        st.session_state["data_seen"] = items[0]

    def other_face() -> None:
        st.session_state["data_seen"] = items[randrange(len(items))]

    def other_views() -> None:
        st.session_state["data_seed"] = randrange(2**31)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.segmented_control(
            "Recipe",
            list(recipes),
            format_func=lambda name: RECIPE_NAMES.get(name, name),
            default=next(iter(recipes)),
            required=True,
            key="data_recipe",
        )
        st.button("Other views", icon=":material/casino:", on_click=other_views)
        st.button("Another picture", icon=":material/shuffle:", on_click=other_face)
    how = recipes[name]
    with st.expander("Numbers of this recipe"):
        columns = st.columns(3)
        values: dict[str, Any] = {}
        low, high = columns[0].slider(
            "Seen part",
            0.4,
            2.0,
            how.zoom,
            0.01,
            format="percent",
            key=f"data_{name}_zoom",
            help="Of the face's square.",
        )
        for i, (field, (words, least, most, step, form)) in enumerate(RECIPE_WORDS.items(), 1):
            values[field] = columns[i % 3].slider(
                words, least, most, float(getattr(how, field)), step, format=form, key=f"data_{name}_{field}"
            )
        flip = columns[1].toggle("Mirrored", how.flip, key=f"data_{name}_flip")
    return (
        replace(how, zoom=(low, high), flip=flip, **values),
        st.session_state.get("data_seed", 0),
        st.session_state["data_seen"],
    )
