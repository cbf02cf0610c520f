"""Parts of the pages about data and training that need Streamlit: tiles, long work, choosing and adding a data set.

They show what they are given; the page knows where it comes from.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

import streamlit as st

from core.app import plain
from core.jobs import Jobs, JobStatus
from core.tiles import Tile

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


def show_job(jobs: Jobs, key: str) -> JobStatus | None:
    """How far a job is, with a button to stop it; when it ends the whole page runs again.

    Returns:
        The job's status, ``None`` if there is none.
    """
    status = jobs.status(key)
    if status and status.state == "running":
        _running_job(jobs, key)
    return status


@st.fragment(run_every=1.0)
def _running_job(jobs: Jobs, key: str) -> None:
    status = jobs.status(key)
    if status is None or status.state != "running":
        st.rerun()
    words = plain(status.text) or "Starting"
    count = f": {status.done:,} of {status.total:,}" if status.total else " …"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(status.share or 0.0, f"**{plain(status.title)}.** {words}{count}")
        st.button("Stop", icon=":material/stop_circle:", on_click=jobs.cancel, args=(key,), key=f"stop_{key}")


def show_end_of_job(status: JobStatus | None) -> None:
    """One line for a job that failed or was stopped."""
    if status and status.state == "failed":
        st.error(f"{plain(status.title)}: {plain(status.error)}")
    elif status and status.state == "cancelled":
        st.info(f"{plain(status.title)}: stopped.")


# Choosing, adding, deleting a data set


def kept_choice(label: str, name: str, options: Sequence[str], titles: Mapping[str, str]) -> str:
    """A select box whose choice survives a change of page and a reload, by the page's address."""
    key, copy = f"data_{name}", f"data_kept_{name}"
    if st.session_state.get(key) not in options:
        wanted = st.session_state.get(copy) or st.query_params.get(name)
        st.session_state[key] = wanted if wanted in options else options[0]
    choice = st.selectbox(label, options, format_func=lambda option: titles[option], key=key)
    if st.session_state.get(copy) != choice:
        _forget_what_was_shown()
    st.session_state[copy] = st.query_params[name] = choice
    return choice


def choose_set(name: str) -> None:
    """Show this data set when the page runs next."""
    st.session_state.pop("data_set", None)
    st.session_state["data_kept_set"] = name
    _forget_what_was_shown()


def _forget_what_was_shown() -> None:
    for key in ("data_filter", "data_picture", "data_around", "data_seen"):
        st.session_state.pop(key, None)
    for key in ("data_gallery_page", "data_groups_page", "data_suspicious_page"):
        st.session_state[key] = 0


def kept_view(name: str, views: Sequence[str]) -> str:
    """A row of buttons for the parts of a page; the one shown survives like ``kept_choice``."""
    key, copy = f"data_{name}", f"data_kept_{name}"
    if st.session_state.get(key) not in views:
        wanted = st.session_state.get(copy) or st.query_params.get(name)
        st.session_state[key] = wanted if wanted in views else views[0]
    view = st.segmented_control("Show", views, required=True, label_visibility="collapsed", key=key)
    st.session_state[copy] = st.query_params[name] = view
    return view


def start_import(jobs: Jobs, title: str, work: Callable) -> None:
    """Begin to make a data set; one at a time for the whole server."""
    if jobs.start("data:import", title, work):
        st.session_state["data_import"] = True
        st.rerun()
    st.warning("Another data set is being added; wait until it is there.")


def show_import(jobs: Jobs, status: JobStatus | None) -> None:
    """How the latest import ended, until somebody has read it; who began it gets to see its set."""
    if status is None or status.state == "running":
        return
    message, button = st.columns([6, 1], vertical_alignment="center")
    with message:
        if status.state != "done":
            show_end_of_job(status)
        else:
            result = status.result
            if st.session_state.pop("data_import", False):
                choose_set(result.dataset.name)
            st.success(f"**{plain(result.dataset.name)}** is here: {result.pictures:,} pictures.")
            for words, files in (("Cannot be read", result.broken), ("Passed over", result.ignored)):
                if files:
                    with st.expander(f"{words}: {len(files):,}"):
                        st.dataframe([{"File": file} for file in files], hide_index=True)
    button.button("Close", icon=":material/close:", on_click=jobs.forget, args=(status.key,))


def upload_form(start: Callable) -> None:
    """A zip and a name for it; ``start(file, name)`` gets both."""
    file = st.file_uploader("A zip with pictures", "zip", key="data_zip")
    st.caption(
        "One folder per class with pictures in it, or pictures with boxes as Pascal VOC, YOLO or COCO. They are "
        "kept on this server until the data set is deleted."
    )
    if file:
        name = st.text_input("Name", PurePath(file.name).stem, max_chars=60, key=f"data_name_{file.file_id}")
        if st.button("Add this data set", icon=":material/upload:", type="primary", disabled=not name.strip()):
            start(file, name.strip())


def folder_form(allowed: Sequence[str], link: Callable) -> None:
    """A folder of the server that is used where it lies; ``link(folder, name)`` gets both."""
    folder = st.text_input("Folder", placeholder=f"{allowed[0]}/pictures", key="data_folder")
    st.caption(f"Below {plain(', '.join(allowed))}. Nothing is copied or changed.")
    name = st.text_input("Name", PurePath(folder.strip()).name, max_chars=60, key=f"data_link_{folder}")
    if st.button("Use this folder", icon=":material/link:", type="primary", disabled=not (folder and name)):
        try:
            dataset = link(folder.strip(), name.strip())
        except ValueError as error:
            st.error(plain(str(error)))
        else:
            choose_set(dataset.name)
            st.rerun()


def delete_button(dataset, delete: Callable[[str], None]) -> None:
    """Deletes a data set after asking once more; of a linked one only the entry in the list."""
    if told := st.session_state.pop("data_told", None):
        st.toast(told)
    with st.popover("Delete", icon=":material/delete:"):
        if dataset.linked:
            st.markdown("Takes this set out of the list. **The folder and its pictures stay**, repairs are lost.")
        else:
            st.markdown("Deletes **all pictures of this set** and its repairs from the server, for everybody.")
        if st.button(f"Delete {plain(dataset.name)}", type="primary", icon=":material/delete_forever:"):
            try:
                delete(dataset.name)
            except (ValueError, OSError) as error:
                st.error(plain(str(error)))
            else:
                st.session_state.pop("data_kept_set", None)
                st.query_params.pop("set", None)
                st.session_state["data_told"] = f"{plain(dataset.name)} was deleted."
                choose_set("")
                st.rerun()
