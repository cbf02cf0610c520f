"""Parts of the data-set page that need Streamlit: filters of the gallery, the panel of one picture, varied views.

They show what they are given; the page knows where it comes from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import randrange

import numpy as np
import streamlit as st

from core.app import plain
from core.app_data import show_tiles
from core.tiles import PictureDetails

PARTS = {"train": "Training", "val": "Checks while training", "test": "Test", "": "Not divided"}


def click_chart(figure, key: str, on_click: Callable[[list], None]) -> None:
    """A chart whose bars can be clicked; ``on_click`` gets what the bar stands for, before the page runs again."""
    from core.charts_data import clicked

    def chosen() -> None:
        bar = clicked(st.session_state.get(key))
        if bar is not None:
            on_click(bar)

    st.plotly_chart(figure, key=key, on_select=chosen, selection_mode="points", config={"displayModeBar": False})


def show_filtered(wanted) -> None:
    """Show the gallery under this filter when the page runs next; for callbacks."""
    st.session_state["data_filter"] = wanted
    st.session_state["data_view"] = "Gallery"
    st.session_state["data_gallery_page"] = 0


def filter_form(catalogue, wanted, can_disagree: bool):
    """The widgets of a filter.

    Args:
        catalogue: a ``train.catalogue.Catalogue``.
        wanted: the ``train.gallery.Filter`` to start from unless one was chosen.
        can_disagree: whether a model has judged the set.

    Returns:
        The chosen filter.
    """
    wanted = st.session_state.setdefault("data_filter", wanted)
    sizes = catalogue.sizes_px
    low, high = (int(sizes.min()), int(sizes.max())) if len(sizes) else (0, 1)
    values = {
        "classes": list(wanted.classes),
        "splits": list(wanted.splits),
        "name": wanted.name,
        "near_copies": wanted.near_copies,
        "disagrees": wanted.disagrees,
        "aside": wanted.aside,
        "size_px": tuple(int(np.clip(side, low, high)) for side in wanted.size_px or (low, high)),
        "brightness": tuple(round(100 * share) for share in wanted.brightness or (0, 1)),
    }
    for name, value in values.items():
        st.session_state[f"data_filter_{name}"] = value

    def keep() -> None:
        now = {
            name: st.session_state[f"data_filter_{name}"]
            for name in values
            if f"data_filter_{name}" in st.session_state
        }
        changed = {name: value for name, value in now.items() if value != values[name]}
        for name in ("classes", "splits"):
            if name in changed:
                changed[name] = tuple(changed[name])
        if "size_px" in changed:
            changed["size_px"] = None if changed["size_px"] == (low, high) else changed["size_px"]
        if "brightness" in changed:
            share = changed["brightness"]
            changed["brightness"] = None if share == (0, 100) else (share[0] / 100, share[1] / 100)
        st.session_state["data_filter"] = replace(wanted, **changed)
        st.session_state["data_gallery_page"] = 0

    def widget(name: str) -> dict:
        return {"key": f"data_filter_{name}", "on_change": keep}

    columns = st.columns([3, 3, 3, 2], vertical_alignment="bottom")
    words = {name: style.words for name, style in zip(catalogue.classes, catalogue.styles, strict=True)}
    columns[0].multiselect("Classes", catalogue.classes, format_func=words.get, placeholder="All", **widget("classes"))
    splits = [split for split in PARTS if any(picture.split == split for picture in catalogue.pictures)]
    off = len(splits) < 2
    columns[1].multiselect(
        "Parts of the set", splits, format_func=PARTS.get, placeholder="All", disabled=off, **widget("splits")
    )
    columns[2].text_input("Name contains", **widget("name"))
    with columns[3].popover("More", icon=":material/tune:", width="stretch"):
        if low < high:
            st.slider("Longer side", low, high, format="%d px", **widget("size_px"))
        st.slider("Mean brightness", 0, 100, format="%d%%", **widget("brightness"))
        st.toggle("Has a near copy", **widget("near_copies"))
        st.toggle(
            "The model disagrees",
            disabled=not can_disagree,
            help="First let the model look at the set, under Suspicious labels.",
            **widget("disagrees"),
        )
        shown = {"all": "Shown", "kept": "Hidden", "aside": "Only these"}
        st.segmented_control("Set aside", list(shown), format_func=shown.get, required=True, **widget("aside"))
    if wanted.count:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"Only pictures with {plain(wanted.in_words(words))}.")
            st.button("Show all", icon=":material/filter_alt_off:", on_click=show_filtered, args=(type(wanted)(),))
    return wanted


def split_choice(now: str, keep: Callable[[str], None]) -> None:
    """Whether near copies stay together when training; ``keep`` stores it."""

    def choose(split: str) -> None:
        keep(split)
        st.session_state["training_split"] = split

    with st.container(horizontal=True, vertical_alignment="center"):
        if now == "grouped":
            st.markdown(":material/check_circle: Training keeps near copies together unless told otherwise.")
            st.button("Divide at random again", on_click=choose, args=("random",))
        else:
            words = "Keep near copies together when training"
            st.button(words, icon=":material/join:", type="primary", on_click=choose, args=("grouped",))


# One picture


def open_picture(key: str, face: int = 0) -> None:
    """Look at one picture when the page runs next."""
    st.session_state["data_picture"] = (key, face)


def close_picture() -> None:
    """Back to the gallery."""
    st.session_state.pop("data_picture", None)


def picture_panel(details: PictureDetails, repairs) -> None:
    """One picture in full, what is known of it, and what can be done with it.

    Args:
        details: of the picture.
        repairs: the ``train.repairs.Repairs`` of its data set.
    """
    picture, panel = st.columns([3, 2])
    with picture:
        show_tiles("data_large", [("", [details.tile])], large=True)
    with panel:
        _neighbours()
        if details.faces:
            _face_panel(details, repairs)
        else:
            st.markdown("Nobody marked a face in this picture.")
        _aside_buttons(details, repairs)
        if details.faces:
            words, item = "See it as the network does", details.faces[details.chosen].item
            st.button(words, icon=":material/visibility:", on_click=_show_views, args=(item,))
        st.caption("  \n".join(f"{name}: {plain(text)}" for name, text in details.facts.items()))


def _show_views(item: str) -> None:
    close_picture()
    st.session_state.update(data_seen=item, data_view="What the network sees")


def _neighbours() -> None:
    """Buttons to the picture before and the next one of what was shown."""
    around = st.session_state.get("data_around") or []
    now = st.session_state["data_picture"]
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
            st.button(words, icon=icon, disabled=off, on_click=open_picture, args=target, key=f"data_{words}")
        st.markdown(f"{place + 1:,} of {len(around):,}")


def _face_panel(details: PictureDetails, repairs) -> None:
    key = details.tile.id
    if len(details.faces) > 1:
        st.session_state["data_face"] = details.chosen
        st.selectbox(
            "Face",
            range(len(details.faces)),
            format_func=lambda k: f"{k + 1}: {_label_words(details, k)}",
            key="data_face",
            on_change=lambda: open_picture(key, st.session_state["data_face"]),
        )
    face = details.faces[details.chosen]
    field = f"data_label_{face.item}"
    st.session_state[field] = face.label
    st.selectbox(
        "Label",
        list(details.styles),
        format_func=lambda name: _words(details, name),
        accept_new_options=True,
        key=field,
        on_change=lambda: st.session_state[field] and repairs.change_label(face.item, st.session_state[field]),
        help="Choose another label, or type a new one. The picture's file stays as it is.",
    )
    if face.verdict:
        doubt = "" if np.isnan(face.loss) else f" (loss {face.loss:.2f})"
        st.markdown(f"The model says **{plain(face.verdict)}**{doubt}.")


def _aside_buttons(details: PictureDetails, repairs) -> None:
    def undo() -> None:
        # Shown below: within a dialog a callback must not show anything itself.
        st.session_state["data_undone"] = repairs.undo() or "nothing"

    if undone := st.session_state.pop("data_undone", None):
        st.toast(f"Taken back: {plain(undone)}.")

    items = [] if details.whole or len(details.faces) < 2 else [("this face", details.faces[details.chosen])]
    with st.container(horizontal=True):
        for words, face in items:
            if not face.aside:
                st.button(
                    f"Set {words} aside", icon=":material/person_off:", on_click=repairs.set_aside, args=(face.item,)
                )
        if not details.set_aside:
            st.button(
                "Set aside" if details.whole else "Set picture aside",
                icon=":material/visibility_off:",
                help="Keeps it out of training. The file stays.",
                on_click=repairs.set_aside,
                args=(details.tile.id,),
            )
        mine = [details.tile.id, *(face.item for face in details.faces)]
        changed = [item for item in mine if item in repairs.labels or item in repairs.aside]
        if changed:
            st.button("As it was", icon=":material/history:", on_click=repairs.revert, args=(changed,),
                      help="Label and use as the files have them.")  # fmt: skip
        if repairs.history:
            last = repairs.history[-1].get("what", "")
            st.button("Undo", icon=":material/undo:", on_click=undo, help=f"The latest change: {plain(str(last))}.")
    if details.set_aside:
        st.info("Set aside: training leaves this picture out.")
    elif details.faces and details.faces[details.chosen].aside:
        st.info("Set aside: training leaves this face out.")


def _words(details: PictureDetails, name: str) -> str:
    style = details.styles.get(name)
    return f"{style.sign} {style.words}" if style else name


def _label_words(details: PictureDetails, face: int) -> str:
    return _words(details, details.faces[face].label) + (", set aside" if details.faces[face].aside else "")


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


def recipe_form(recipes: Mapping, items: Sequence[str]):
    """How views are varied, which ones, and of which face.

    Args:
        recipes: ``train.augment.Augmentation`` by name.
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
        columns, values = st.columns(3), {}
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
