// A picture on which boxes are drawn, moved, resized and given a class, by mouse, finger or keys.
const SVG = "http://www.w3.org/2000/svg";
const shape = (name, values) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  return element;
};
const LEAST_PX = 5; // on the screen: less is a click
const NUDGE_MS = 500;
export default function ({ data, parentElement, setTriggerValue }) {
  const { src, size: [width, height], name, boxes, actions, chosen, pressed, words: say, done } = data;
  const root = parentElement.querySelector(".editor");
  const inside = root.contains(root.getRootNode().activeElement);
  const send = sender(root, done, setTriggerValue);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": name });
  const figure = make("div", "figure");
  const image = make("img");
  image.src = src;
  image.alt = name;
  figure.append(image, svg);
  figure.style.width = `min(100%, calc(62vh * ${width / height}))`;
  const faces = new Map(boxes.map((box) => [box.id, { ...box, xyxy: [...box.xyxy] }]));
  const run = (action) => {
    const { always } = actions.find(({ id }) => id === action);
    if (always || faces.has(chosen) || action.startsWith("label:")) send({ action, id: faces.has(chosen) ? chosen : null });
  };
  const bar = toolbar(actions, run, pressed);
  for (const button of bar.querySelectorAll("button.act")) {
    const { action, always } = button.dataset;
    button.disabled = !always && !faces.has(chosen) && !action.startsWith("label:");
  }
  // Lines and letters keep their size on the screen, however large the picture is.
  const unit = () => width / (svg.getBoundingClientRect().width || width);
  let drawn = null;
  const paint = () => {
    const px = unit();
    svg.replaceChildren();
    const order = [...faces.values()].sort((a, b) => (a.id === chosen) - (b.id === chosen));
    for (const { id, xyxy: [x1, y1, x2, y2], color, text, words, excluded, suggested } of order) {
      const group = shape("g", { class: "face", tabindex: 0, role: "button", "aria-label": words });
      group.setAttribute("aria-pressed", String(id === chosen));
      group.dataset.id = id;
      const dash = suggested ? `${2 * px} ${4 * px}` : excluded ? `${8 * px} ${5 * px}` : "none";
      const place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
      group.append(shape("rect", { ...place, fill: "transparent", stroke: "#141414", "stroke-width": (id === chosen ? 6 : 4) * px }));
      group.append(shape("rect", { ...place, fill: "none", stroke: color, "stroke-width": (id === chosen ? 3.5 : 2) * px, "stroke-dasharray": dash }));
      const least = Math.min(x2 - x1, y2 - y1) / px;
      const letter = Math.min(14, least / 2);
      const label = shape("text", { x: x1 + 3 * px, y: y1 + (letter + 1) * px, "font-size": letter * px, "font-weight": 700, fill: "#ffffff",
        stroke: "#141414", "stroke-width": 3 * px, "paint-order": "stroke" });
      label.textContent = text;
      group.append(label);
      if (id === chosen) {
        for (const [cx, cy, corner] of [[x1, y1, "00"], [x2, y1, "20"], [x1, y2, "03"], [x2, y2, "23"]]) {
          const handle = shape("circle", { cx, cy, r: Math.min(7, Math.max(4, least / 5)) * px, fill: "#ffffff", stroke: "#141414", "stroke-width": 1.5 * px, class: "handle" });
          handle.dataset.corner = corner;
          group.append(handle);
        }
      }
      svg.append(group);
    }
    if (drawn) {
      const [x1, y1, x2, y2] = sorted(drawn);
      for (const [stroke, wide] of [["#141414", 4], ["#ffffff", 2]]) {
        svg.append(shape("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, fill: "none", stroke, "stroke-width": wide * px }));
      }
    }
  };
  const sorted = ([x1, y1, x2, y2]) => [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
  const at = (event) => {
    const { left, top, width: w, height: h } = svg.getBoundingClientRect();
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    return [within(((event.clientX - left) / w) * width, width), within(((event.clientY - top) / h) * height, height)];
  };
  const moved = ([x1, y1, x2, y2], dx, dy) => {
    const [x, y] = [Math.min(Math.max(dx, -x1), width - x2), Math.min(Math.max(dy, -y1), height - y2)];
    return [x1 + x, y1 + y, x2 + x, y2 + y];
  };
  const choose = (id) => id !== chosen && send({ action: "choose", id });
  let drag = null;
  svg.onpointerdown = (event) => {
    if (event.button) return;
    const id = event.target.closest(".face")?.dataset.id;
    const corner = event.target.dataset.corner;
    const start = at(event);
    svg.setPointerCapture(event.pointerId);
    // A box that is not chosen is only chosen by a drag from within it if it does not become a new box.
    drag = { id, corner, start, from: id === chosen && id ? [...faces.get(id).xyxy] : null, far: false };
    figure.focus({ preventScroll: true });
    event.preventDefault();
  };
  svg.onpointermove = (event) => {
    if (!drag) return;
    const [x, y] = at(event);
    const [dx, dy] = [x - drag.start[0], y - drag.start[1]];
    drag.far ||= Math.hypot(dx, dy) >= LEAST_PX * unit();
    if (!drag.far) return;
    if (drag.from) {
      const box = [...drag.from];
      if (drag.corner) [box[drag.corner[0]], box[drag.corner[1] === "0" ? 1 : 3]] = [x, y];
      faces.get(drag.id).xyxy = drag.corner ? box : moved(drag.from, dx, dy);
    } else drawn = [...drag.start, x, y];
    paint();
  };
  svg.onpointerup = () => {
    const ended = drag;
    drag = null;
    if (!ended) return;
    if (!ended.far) return ended.id ? choose(ended.id) : choose(null);
    const box = sorted(ended.from ? faces.get(ended.id).xyxy : drawn);
    if (Math.min(box[2] - box[0], box[3] - box[1]) < LEAST_PX * unit()) {
      if (ended.from) faces.get(ended.id).xyxy = ended.from;
      drawn = null;
    } else if (ended.from) {
      faces.get(ended.id).xyxy = box;
      send({ action: "move", id: ended.id, box });
    } else send({ action: "draw", box });
    paint();
  };
  svg.onpointercancel = () => {
    if (drag?.from) faces.get(drag.id).xyxy = drag.from;
    drag = drawn = null;
    paint();
  };
  let nudged = null;
  root.onkeydown = (event) => {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    const focused = root.getRootNode().activeElement;
    const action = actionOf(actions, event);
    if (step && faces.has(chosen)) {
      const far = (event.shiftKey ? 10 : 1) * unit();
      const box = (faces.get(chosen).xyxy = moved(faces.get(chosen).xyxy, step[0] * far, step[1] * far));
      clearTimeout(nudged);
      nudged = setTimeout(() => send({ action: "move", id: chosen, box }), NUDGE_MS);
      paint();
    } else if ((event.key === "Enter" || event.key === " ") && focused?.dataset.id) choose(focused.dataset.id);
    else if (event.key === "n" && faces.size) {
      const ids = [...faces.keys()];
      choose(ids[(ids.indexOf(chosen) + 1) % ids.length]);
    } else if (action) run(action.id);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  figure.tabIndex = 0;
  figure.setAttribute("role", "application");
  figure.setAttribute("aria-label", `${name}. ${say.how}`);
  root.replaceChildren(bar, figure);
  paint();
  image.onload = paint;
  const watcher = new ResizeObserver(() => paint());
  watcher.observe(figure);
  if (inside) figure.focus({ preventScroll: true });
  return () => {
    watcher.disconnect();
    clearTimeout(nudged);
  };
}
