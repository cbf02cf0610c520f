"""The forms and charts that narrow down a gallery."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.datasets.index import Index
from core.datasets.parts import PARTS
from core.datasets.query import Filter
from core.language import mark, tr
from pages.components.figure import CHART
from pages.components.messages import plain, show_problem, told_apart, tried
from pages.components.state import (
    DATA_VIEW,
    FILTER,
    GALLERY,
    GALLERY_OF,
    GALLERY_PAGE,
    TRAINING_SPLIT,
    choose_next,
)

if TYPE_CHECKING:
    from plotly import graph_objects as go


IMAGES, FACES = mark("Images"), mark("Faces")
"""What the gallery shows."""
EXCLUDED = {"all": mark("Show"), "kept": mark("Hide"), "excluded": mark("Only these")}
"""What becomes of excluded images, by the filter's words for it."""


def click_chart(figure: "go.Figure", key: str, on_click: Callable[[list], None]) -> None:
    """A chart whose bars can be clicked; ``on_click`` gets what the bar stands for, before the page runs again."""
    from pages.components.charts import clicked

    def chosen() -> None:
        bar = clicked(st.session_state.get(key))
        if bar is not None:
            on_click(bar)

    st.plotly_chart(figure, key=key, on_select=chosen, selection_mode="points", config=CHART)


def show_filtered(wanted: Filter) -> None:
    """Show the gallery under this filter when the page runs next; for callbacks."""
    st.session_state[FILTER] = wanted
    choose_next(DATA_VIEW, GALLERY)
    st.session_state[GALLERY_PAGE] = 0


def show_items(index: Index, items: Sequence[str], similar_to: str = "") -> None:
    """Show these faces in the gallery, where many are relabelled at once; for callbacks."""
    choose_next(GALLERY_OF, IMAGES if index.dataset.layout == "class_folders" else FACES)
    show_filtered(Filter(items=tuple(items), similar_to=similar_to))


def filter_form(index: Index, wanted: Filter, can_disagree: bool) -> Filter:
    """The widgets of a filter.

    Args:
        index: of the data set.
        wanted: the filter to start from unless one was chosen.
        can_disagree: whether there are predictions for the set.

    Returns:
        The chosen filter.
    """
    wanted = st.session_state.setdefault(FILTER, wanted)
    sizes = index.sizes_px
    low, high = (int(sizes.min()), int(sizes.max())) if len(sizes) else (0, 1)
    values = {
        "classes": list(wanted.classes),
        "splits": list(wanted.splits),
        "name": wanted.name,
        "near_duplicates": wanted.near_duplicates,
        "disagrees": wanted.disagrees,
        "excluded": wanted.excluded,
        "size_px": tuple(int(np.clip(side, low, high)) for side in wanted.size_px or (low, high)),
        "brightness": tuple(round(100 * share) for share in wanted.brightness or (0, 1)),
    }
    for name, value in values.items():
        st.session_state[f"{FILTER}_{name}"] = value

    def keep() -> None:
        now = {name: st.session_state[f"{FILTER}_{name}"] for name in values if f"{FILTER}_{name}" in st.session_state}
        changed = {name: value for name, value in now.items() if value != values[name]}
        for name in ("classes", "splits"):
            if name in changed:
                changed[name] = tuple(changed[name])
        if "size_px" in changed:
            changed["size_px"] = None if changed["size_px"] == (low, high) else changed["size_px"]
        if "brightness" in changed:
            share = changed["brightness"]
            changed["brightness"] = None if share == (0, 100) else (share[0] / 100, share[1] / 100)
        st.session_state[FILTER] = replace(wanted, **changed)
        st.session_state[GALLERY_PAGE] = 0

    def widget(name: str) -> dict:
        return {"key": f"{FILTER}_{name}", "on_change": keep}

    columns = st.columns([3, 3, 3, 2], vertical_alignment="bottom")
    words = told_apart({name: style.words for name, style in zip(index.classes, index.styles, strict=True)})
    columns[0].multiselect(
        tr("Classes"), index.classes, format_func=words.__getitem__, placeholder=tr("All"), **widget("classes")
    )
    splits = [split for split in PARTS if any(picture.split == split for picture in index.pictures)]
    off = len(splits) < 2
    columns[1].multiselect(
        *(tr("Part"), splits),
        format_func=lambda part: tr(PARTS[part]),
        placeholder=tr("All"),
        disabled=off,
        **widget("splits"),
    )
    columns[2].text_input(tr("Name contains"), **widget("name"))
    with columns[3].popover(tr("More"), icon=":material/tune:", width="stretch"):
        if low < high:
            st.slider(tr("Longer side"), low, high, format="%d px", **widget("size_px"))
        st.slider(tr("Mean brightness"), 0, 100, format="%d%%", **widget("brightness"))
        st.toggle(tr("Has a near-duplicate"), **widget("near_duplicates"))
        st.toggle(
            tr("The model disagrees"),
            disabled=not can_disagree,
            help=tr("First let the model classify the set, under Label issues."),
            **widget("disagrees"),
        )
        st.segmented_control(
            *(tr("Excluded images"), list(EXCLUDED)),
            format_func=lambda which: tr(EXCLUDED[which]),
            required=True,
            **widget("excluded"),
        )
    if wanted.count:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(tr("Only images with {conditions}.").format(conditions=plain(wanted.in_words(words))))
            st.button(tr("Show all"), icon=":material/filter_alt_off:", on_click=show_filtered, args=(type(wanted)(),))
    return wanted


def split_choice(now: str, keep: Callable[[str], None]) -> None:
    """Whether near-duplicates stay together when training; ``keep`` stores it."""

    def choose(split: str) -> None:
        keep(split)
        st.session_state[TRAINING_SPLIT] = split

    show_problem()
    with st.container(horizontal=True, vertical_alignment="center"):
        if now == "grouped":
            st.markdown(tr(":material/check_circle: By default, training keeps near-duplicates in one part."))
            st.button(tr("Split at random again"), on_click=tried(choose), args=("random",))
        else:
            words = tr("Keep near-duplicates in one part when training")
            st.button(words, icon=":material/join:", type="primary", on_click=tried(choose), args=("grouped",))
