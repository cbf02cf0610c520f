// Tiles are made element by element: names and labels come from outside and are never read as HTML.
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
  const { sections, large, clickable } = data;
  const root = parentElement.querySelector(".sections");
  root.className = large ? "sections large" : "sections";
  root.replaceChildren(...sections.map(({ title, tiles }) => {
    const section = make("div", "section");
    if (title) section.append(make("h4", "", title));
    const grid = make("div", "grid");
    for (const { id, name, src, size, marks, notes, boxes, excluded, current } of tiles) {
      const tile = make(clickable ? "button" : "div", excluded ? "tile excluded" : "tile");
      tile.title = name;
      const words = [name, ...marks.map((mark) => mark.text), ...notes].join(", ");
      if (clickable) {
        tile.type = "button";
        tile.setAttribute("aria-label", words);
        tile.onclick = () => setTriggerValue("picked", id);
        if (current) tile.setAttribute("aria-current", "true");
      }
      const frame = make("span", "frame");
      const image = make("img");
      if (src) image.src = src;
      image.alt = clickable ? "" : words;
      frame.append(image);
      if (boxes.length) frame.append(draw(boxes, size, large));
      tile.append(frame);
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
