"""A grid of images that can be clicked."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from core.vision.classes import ClassStyle


@dataclass(frozen=True)
class TileBox:
    """A face within a tile."""

    xyxy: tuple[float, float, float, float]
    """As shares of the picture's width and height, 0..1."""
    style: ClassStyle
    text: str = ""
    aside: bool = False


@dataclass(frozen=True)
class Tile:
    """One picture of a gallery."""

    id: str
    name: str
    """For tooltips and screen readers."""
    jpeg: bytes
    size_wh: tuple[int, int]
    """Of the whole picture; only their ratio matters."""
    marks: tuple[tuple[ClassStyle, str], ...] = ()
    """A line per label: how its class looks, and text after its words."""
    notes: tuple[str, ...] = ()
    boxes: tuple[TileBox, ...] = ()
    aside: bool = False

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
                    "aside": box.aside,
                }
                for box in self.boxes
            ],
            "aside": self.aside,
        }


@dataclass(frozen=True)
class FaceDetails:
    """What is known of one labelled face."""

    item: str
    label: str
    size_px: float
    aside: bool
    verdict: str = ""
    """What the model in use thinks of it, in words; empty if it was not asked."""
    loss: float = float("nan")
    """How much that contradicts the label; NaN if nothing can be said."""


@dataclass(frozen=True)
class PictureDetails:
    """What a page shows of one picture."""

    tile: Tile
    faces: tuple[FaceDetails, ...]
    chosen: int
    """Which of the faces is looked at."""
    styles: dict[str, ClassStyle]
    """The classes that a face can be given, and how each looks."""
    facts: dict[str, str]
    set_aside: bool
    """Whether the whole picture is."""
    whole: bool


PER_PAGE = 60


GALLERY_CSS = """
.section { margin-bottom: 1rem; }
.section > h4 { margin: 0 0 .4rem; font-size: .9rem; font-weight: 600; color: var(--st-text-color); }
.grid { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(var(--tile, 118px), 1fr)); }
.tile { display: flex; flex-direction: column; min-width: 0; padding: 4px; font: inherit; text-align: left;
  color: var(--st-text-color); background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color); border-radius: 8px; }
button.tile { cursor: pointer; }
button.tile:hover, button.tile:focus-visible { border-color: var(--st-primary-color); outline: none;
  box-shadow: 0 0 0 2px var(--st-primary-color); }
.picture { position: relative; display: block; width: 100%; aspect-ratio: 1; }
.picture img, .picture svg { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.large .grid { display: block; }
.large .tile { padding: 0; border: 0; background: none; }
.large .picture { aspect-ratio: auto; }
.large .picture img { position: static; display: block; max-height: 66vh; object-position: left top; }
.aside .picture img { opacity: .35; filter: grayscale(1); }
.large .aside .picture img { opacity: .7; }
.mark, .note { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  font-size: .78rem; line-height: 1.35; }
.mark { margin-top: 2px; }
.sign { display: inline-block; min-width: 1.05em; padding: 0 .12em; margin-right: .3em; border-radius: 3px;
  text-align: center; font-weight: 700; }
.note { opacity: .8; }
"""


# Tiles are made element by element: names and labels come from outside and are never read as HTML.
GALLERY_JS = """
const SVG = "http://www.w3.org/2000/svg";
const make = (tag, name, text) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
};
const draw = (boxes, [width, height], large) => {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (large) svg.setAttribute("preserveAspectRatio", "xMinYMin meet");
  const unit = Math.max(width, height) / (large ? 260 : 90);
  for (const { xyxy: [x1, y1, x2, y2], color, text, aside } of boxes) {
    for (const [stroke, wide] of [["#141414", 1.8], [color, 1]]) {
      const box = document.createElementNS(SVG, "rect");
      const values = { x: x1 * width, y: y1 * height, width: (x2 - x1) * width, height: (y2 - y1) * height,
        fill: "none", stroke, "stroke-width": unit * wide, "stroke-dasharray": aside ? unit * 3 : "none" };
      for (const [name, value] of Object.entries(values)) box.setAttribute(name, value);
      svg.append(box);
    }
    if (!text) continue;
    const label = document.createElementNS(SVG, "text");
    const values = { x: x1 * width + unit, y: y1 * height + unit * 8, "font-size": unit * 8, "font-weight": 700,
      fill: "#ffffff", stroke: "#141414", "stroke-width": unit * 1.2, "paint-order": "stroke" };
    for (const [name, value] of Object.entries(values)) label.setAttribute(name, value);
    label.textContent = text;
    svg.append(label);
  }
  return svg;
};
export default function ({ data, parentElement, setTriggerValue }) {
  const { sections, large, clickable } = data;
  const root = parentElement.querySelector(".sections");
  root.className = large ? "sections large" : "sections";
  root.replaceChildren(...sections.map(({ title, tiles }) => {
    const section = make("div", "section");
    if (title) section.append(make("h4", "", title));
    const grid = make("div", "grid");
    for (const { id, name, src, size, marks, notes, boxes, aside } of tiles) {
      const tile = make(clickable ? "button" : "div", aside ? "tile aside" : "tile");
      tile.title = name;
      const words = [name, ...marks.map((mark) => mark.text), ...notes].join(", ");
      if (clickable) {
        tile.type = "button";
        tile.setAttribute("aria-label", words);
        tile.onclick = () => setTriggerValue("picked", id);
      }
      const picture = make("span", "picture");
      const image = make("img");
      if (src) image.src = src;
      image.alt = clickable ? "" : words;
      picture.append(image);
      if (boxes.length) picture.append(draw(boxes, size, large));
      tile.append(picture);
      for (const { sign, text, color } of marks) {
        const mark = make("span", "mark");
        const field = make("span", "sign", sign);
        field.style.background = color;
        const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
        field.style.color = 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000000" : "#ffffff";
        mark.append(field, text);
        tile.append(mark);
      }
      for (const note of notes) tile.append(make("span", "note", note));
      grid.append(tile);
    }
    section.append(grid);
    return section;
  }));
}
"""


def show_tiles(
    key: str,
    sections: Sequence[tuple[str, Sequence[Tile]]],
    on_pick: Callable[[str], None] | None = None,
    large: bool = False,
) -> None:
    """Tiles side by side, in sections with a title each.

    Args:
        key: of the widget; one per place on a page.
        sections: title (may be empty) and tiles.
        on_pick: called with a tile's id when it is clicked, before the page runs again; without it nothing can be
            clicked.
        large: one picture in the width of its place instead of a grid.
    """
    tiles = st.components.v2.component(
        "picture_tiles", html="<div class='sections'></div>", css=GALLERY_CSS, js=GALLERY_JS
    )

    def picked() -> None:
        tile = (st.session_state.get(key) or {}).get("picked")
        if on_pick and tile:
            on_pick(tile)

    tiles(
        key=key,
        data={
            "sections": [{"title": title, "tiles": [tile.for_browser() for tile in some]} for title, some in sections],
            "large": large,
            "clickable": on_pick is not None,
        },
        on_picked_change=picked,
    )


def page_of(key: str, count: int, per_page: int = PER_PAGE, what: str = "pictures") -> slice:
    """Buttons to turn pages, where there is more than one, and which of ``count`` things are on the page shown."""
    pages = max(1, -(-count // per_page))
    page = st.session_state[key] = min(st.session_state.get(key, 0), pages - 1)

    def turn(to: int) -> None:
        st.session_state[key] = to

    if pages > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            for icon, words, to in (
                (":material/first_page:", "First", 0),
                (":material/chevron_left:", "Back", page - 1),
                (":material/chevron_right:", "Next", page + 1),
                (":material/last_page:", "Last", pages - 1),
            ):
                off = not 0 <= to < pages or to == page
                st.button(words, icon=icon, disabled=off, on_click=turn, args=(to,), key=f"{key}_{words}")
            first = page * per_page
            st.markdown(
                f"{first + 1:,} to {min(count, first + per_page):,} of {count:,} {what}, page {page + 1} of {pages}"
            )
    return slice(page * per_page, min(count, (page + 1) * per_page))
