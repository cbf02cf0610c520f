"""A grid of images that can be clicked."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from core.language import mark, number, tr
from core.vision.classes import ClassStyle
from pages.components.acts import Action, acts_done, handler, parts


@dataclass(frozen=True)
class TileBox:
    """A face within a tile."""

    xyxy: tuple[float, float, float, float]
    """As shares of the image's width and height, 0..1."""
    style: ClassStyle
    text: str = ""
    excluded: bool = False


@dataclass(frozen=True)
class Tile:
    """One image of a gallery."""

    id: str
    name: str
    """For tooltips and screen readers."""
    jpeg: bytes
    size_wh: tuple[int, int]
    """Of the whole image; only their ratio matters."""
    marks: tuple[tuple[ClassStyle, str], ...] = ()
    """A line per label: how its class looks, and text after its words."""
    notes: tuple[str, ...] = ()
    boxes: tuple[TileBox, ...] = ()
    excluded: bool = False
    current: bool = False
    """Whether it is the one that is shown large beside the gallery."""

    def for_browser(self) -> dict:
        """Everything as JSON; text stays text there and is never read as HTML."""
        return {
            "id": self.id,
            "name": self.name,
            "src": f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}" if self.jpeg else "",
            "size": [int(side) for side in self.size_wh],
            "marks": [
                {"sign": style.sign, "text": f"{style.words}{text}", "color": style.color_hex}
                for style, text in self.marks
            ],
            "notes": list(self.notes),
            "boxes": [
                {
                    "xyxy": [round(float(share), 4) for share in box.xyxy],
                    "color": box.style.color_hex,
                    "text": box.text,
                    "excluded": box.excluded,
                }
                for box in self.boxes
            ],
            "excluded": self.excluded,
            "current": self.current,
        }


@dataclass(frozen=True)
class FaceDetails:
    """What is known of one labelled face."""

    item: str
    label: str
    size_px: float
    excluded: bool
    prediction: str = ""
    """That of the active model, in words; empty if there is none."""
    loss: float = float("nan")
    """How far the label is from the prediction; NaN if nothing can be said."""


@dataclass(frozen=True)
class ImageDetails:
    """What a page shows of one image."""

    tile: Tile
    faces: tuple[FaceDetails, ...]
    chosen: int
    """Which of the faces is looked at; -1: none."""
    styles: dict[str, ClassStyle]
    """The classes that a face can be given, and how each looks."""
    facts: dict[str, str]
    excluded: bool
    """Whether the whole image is."""
    whole: bool


PER_PAGE = 60


WORDS = {
    "chosen": mark("{count} chosen"),
    "none": mark("None chosen"),
    "choose": mark("Choose {name}"),
    "all": mark("All on this page"),
}
"""What the script says, by its own keys; it fills in the fields."""
PLACES = {
    "images": mark("{first} to {last} of {count} images, page {page} of {pages}"),
    "photos": mark("{first} to {last} of {count} photos, page {page} of {pages}"),
    "faces": mark("{first} to {last} of {count} faces, page {page} of {pages}"),
    "labels": mark("{first} to {last} of {count} labels, page {page} of {pages}"),
    "groups": mark("{first} to {last} of {count} groups, page {page} of {pages}"),
}


def show_tiles(
    key: str,
    sections: Sequence[tuple[str, Sequence[Tile]]],
    on_pick: Callable[[str], None] | None = None,
    large: bool = False,
    actions: Sequence[Action] = (),
    on_act: Callable[[str, list[str]], object] = lambda action, ids: None,
    leaves: bool = False,
    beside: bool = False,
) -> None:
    """Tiles side by side, in sections with a title each.

    Args:
        key: of the widget; one per place on a page.
        sections: title (may be empty) and tiles.
        on_pick: called with a tile's id when it is clicked, before the page runs again; without it nothing can be
            clicked.
        large: one image in the width of its place instead of a grid.
        actions: what can be done with several tiles at once: arrows move, the space bar chooses, letters and digits act
            on what is chosen, or else on the tile that has the focus.
        on_act: called with an action's id and the ids of its tiles, before the page runs again.
        leaves: a tile goes once something was done with it.
        beside: sections stand beside each other, each as wide as its tiles.
    """
    css, js = parts(__file__)
    known = {action.id for action in actions}, {tile.id for _, some in sections for tile in some}
    tiles = st.components.v2.component("image_tiles", html="<div class='sections'></div>", css=css, js=js)

    def picked() -> None:
        tile = (st.session_state.get(key) or {}).get("picked")
        if on_pick and tile:
            on_pick(tile)

    def act(wanted: dict) -> None:
        ids = [each for each in wanted.get("ids") or [] if each in known[1]]
        if wanted.get("action") in known[0]:
            on_act(wanted["action"], ids)

    tiles(
        key=key,
        data={
            "sections": [{"title": title, "tiles": [tile.for_browser() for tile in some]} for title, some in sections],
            "large": large,
            "beside": beside,
            "clickable": on_pick is not None,
            "actions": [action.for_browser() for action in actions],
            "leaves": leaves,
            "words": {key: tr(words) for key, words in WORDS.items()},
            "done": acts_done(key),
        },
        on_picked_change=picked,
        on_acted_change=handler(key, act),
    )


def page_of(key: str, count: int, per_page: int = PER_PAGE, what: str = "images") -> slice:
    """Buttons to turn pages, where there is more than one, and which of ``count`` things are on the page shown.

    ``what`` they are is a key of ``PLACES``.
    """
    pages = max(1, -(-count // per_page))
    page = st.session_state[key] = min(st.session_state.get(key, 0), pages - 1)

    def turn(to: int) -> None:
        st.session_state[key] = to

    if pages > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            for icon, words, to in (
                (":material/first_page:", mark("First"), 0),
                (":material/chevron_left:", mark("Back"), page - 1),
                (":material/chevron_right:", mark("Next"), page + 1),
                (":material/last_page:", mark("Last"), pages - 1),
            ):
                off = not 0 <= to < pages or to == page
                st.button(tr(words), icon=icon, disabled=off, on_click=turn, args=(to,), key=f"{key}_{words}")
            first = page * per_page
            st.markdown(
                tr(PLACES[what]).format(
                    first=number(first + 1, ","),
                    last=number(min(count, first + per_page), ","),
                    count=number(count, ","),
                    page=number(page + 1),
                    pages=number(pages),
                )
            )
    return slice(page * per_page, min(count, (page + 1) * per_page))
