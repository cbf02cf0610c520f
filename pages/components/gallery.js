// Tiles are made element by element: names and labels come from outside and are never read as HTML.
const SVG = "http://www.w3.org/2000/svg";
const draw = (boxes, [width, height], large) => {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (large) svg.setAttribute("preserveAspectRatio", "xMinYMin meet");
  const unit = Math.max(width, height) / (large ? 260 : 90);
  for (const { xyxy: [x1, y1, x2, y2], color, text, excluded } of boxes) {
    for (const [stroke, wide] of [["#141414", 1.8], [color, 1]]) {
      const box = document.createElementNS(SVG, "rect");
      const values = { x: x1 * width, y: y1 * height, width: (x2 - x1) * width, height: (y2 - y1) * height,
        fill: "none", stroke, "stroke-width": unit * wide, "stroke-dasharray": excluded ? unit * 3 : "none" };
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
  const { sections, large, beside, clickable, leaves, words: say, done } = data;
  const everything = { id: "all", key: "a", words: say.all, always: true };
  const actions = data.actions.length ? [...data.actions, everything] : [];
  const root = parentElement.querySelector(".sections");
  const chosen = (root.chosen ||= new Set());
  const leaving = (root.leaving ||= new Map()); // tiles on which an act is under way, and its number
  for (const [id, seq] of leaving) if (seq <= done) leaving.delete(id);
  const send = sender(root, done, setTriggerValue);
  const had = root.getRootNode().activeElement;
  const focused = had && root.contains(had) && root.tiles ? root.tiles.findIndex(({ pick }) => pick === had) : -1;
  const shown = sections.flatMap(({ tiles }) => tiles.map(({ id }) => id));
  for (const id of chosen) if (!shown.includes(id)) chosen.delete(id);
  const all = (root.tiles = []);
  let bar = null;
  let count = null;
  const marked = () => {
    for (const { id, tile, pick, box } of all) {
      tile.classList.toggle("chosen", chosen.has(id));
      tile.classList.toggle("leaving", leaving.has(id));
      box.checked = chosen.has(id);
      pick.tabIndex = id === root.current ? 0 : -1;
    }
    if (all.length && !all.some(({ id }) => id === root.current)) all[0].pick.tabIndex = 0;
    count.textContent = chosen.size ? say.chosen.replace("{count}", chosen.size) : say.none;
    for (const button of bar.querySelectorAll("button.act")) button.disabled = !button.dataset.always && !targets().length;
  };
  const targets = () => {
    const ids = chosen.size ? shown.filter((id) => chosen.has(id)) : shown.filter((id) => id === root.current);
    return ids.filter((id) => !leaving.has(id));
  };
  const go = (to) => {
    const at = Math.min(Math.max(to, 0), all.length - 1);
    if (at < 0) return;
    root.current = all[at].id;
    all[at].pick.focus();
    all[at].tile.scrollIntoView({ block: "nearest" });
    marked();
  };
  const run = (action) => {
    if (action === "all") {
      const every = shown.every((id) => chosen.has(id));
      for (const id of shown) every ? chosen.delete(id) : chosen.add(id);
      return marked();
    }
    const always = actions.find(({ id }) => id === action).always;
    const ids = always ? [] : targets();
    if (!always && !ids.length) return;
    const seq = send({ action, ids });
    if (!always && leaves) {
      for (const id of ids) leaving.set(id, seq);
      const at = all.findIndex(({ id }) => id === ids[0]);
      const next = all.findIndex(({ id }, i) => i >= at && !leaving.has(id));
      const inside = root.contains(root.getRootNode().activeElement);
      if (next >= 0 && inside && !bar.contains(root.getRootNode().activeElement)) go(next);
      else if (next >= 0) root.current = all[next].id;
    }
    chosen.clear();
    marked();
  };
  const toggle = (id, range) => {
    const [from, to] = [shown.indexOf(range ? root.last ?? id : id), shown.indexOf(id)];
    const on = !chosen.has(id);
    for (const each of shown.slice(Math.max(0, Math.min(from, to)), Math.max(from, to) + 1)) {
      on ? chosen.add(each) : chosen.delete(each);
    }
    root.last = id;
    marked();
  };
  // The tile below or above, where titles of different heights may shift those beside each other.
  const beyond = (at, way) => {
    const places = all.map(({ tile }) => tile.getBoundingClientRect());
    const own = places[at];
    const past = ({ top, height }) => way * (top - own.top) > height / 2;
    const next = Math.min(...places.filter(past).map(({ top }) => way * (top - own.top)));
    const row = places.flatMap((place, i) => (past(place) && way * (place.top - own.top) < next + place.height / 2 ? [i] : []));
    const far = (i) => Math.abs(places[i].left - own.left);
    return row.length ? row.reduce((best, i) => (far(i) < far(best) ? i : best)) : at;
  };
  const keys = (event) => {
    const at = all.findIndex(({ pick }) => pick === root.getRootNode().activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -all.length, End: all.length };
    const action = actionOf(actions, event);
    if (at >= 0 && event.key in step) go(at + step[event.key]);
    else if (at >= 0 && event.key === "ArrowDown") go(beyond(at, 1));
    else if (at >= 0 && event.key === "ArrowUp") go(beyond(at, -1));
    else if (at >= 0 && event.key === " ") toggle(all[at].id, event.shiftKey);
    else if (action) run(action.id);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has keys of its own
  };
  root.className = large ? "sections large" : beside ? "sections beside" : "sections";
  const parts = sections.map(({ title, tiles }) => {
    const section = make("div", "section");
    if (title) section.append(make("h4", "", title));
    const grid = make("div", "grid");
    for (const { id, name, src, size, marks, notes, boxes, excluded, current } of tiles) {
      const pick = make(clickable ? "button" : "div", actions.length ? "pick" : excluded ? "tile excluded" : "tile");
      pick.title = name;
      const words = [name, ...marks.map((mark) => mark.text), ...notes].join(", ");
      if (clickable) {
        pick.type = "button";
        pick.setAttribute("aria-label", words);
        pick.onclick = (event) => (event.shiftKey && actions.length ? toggle(id, true) : setTriggerValue("picked", id));
        if (current) pick.setAttribute("aria-current", "true");
      }
      const frame = make("span", "frame");
      const image = make("img");
      if (src) image.src = src;
      image.alt = clickable ? "" : words;
      frame.append(image);
      if (boxes.length) frame.append(draw(boxes, size, large));
      pick.append(frame);
      for (const { sign, text, color } of marks) {
        const mark = make("span", "mark");
        const field = make("span", "sign", sign);
        Object.assign(field.style, { background: color, color: textOn(color) });
        mark.append(field, text);
        pick.append(mark);
      }
      for (const note of notes) pick.append(make("span", "note", note));
      if (!actions.length) {
        grid.append(pick);
        continue;
      }
      const tile = make("div", excluded ? "tile excluded" : "tile");
      const box = make("input", "choose");
      box.type = "checkbox";
      box.tabIndex = -1; // the space bar chooses the tile that has the focus
      box.setAttribute("aria-label", say.choose.replace("{name}", () => name));
      box.onclick = (event) => toggle(id, event.shiftKey);
      pick.onfocus = () => {
        root.current = id;
        marked();
      };
      tile.append(pick, box);
      all.push({ id, tile, pick, box });
      grid.append(tile);
    }
    section.append(grid);
    return section;
  });
  if (actions.length) {
    bar = toolbar(actions, run);
    count = make("span", "count");
    count.setAttribute("role", "status");
    bar.prepend(count);
    bar.classList.add("sticky");
    root.onkeydown = (event) => keys(event);
  } else root.onkeydown = null;
  root.replaceChildren(...(bar ? [bar] : []), ...parts);
  if (bar) {
    const now = all.findIndex(({ id }) => id === root.current);
    if (focused >= 0) go(now >= 0 ? now : focused);
    marked();
  }
}
