// What components share whose keys and buttons change something.
const make = (tag, name, text) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
};
const textOn = (color) => {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000000" : "#ffffff";
};
// Acts are sent again until the server has done them: of two within one run of the page only the last would arrive.
const sender = (root, done, setTriggerValue) => {
  root.pending = (root.pending || []).filter(({ seq }) => seq > done);
  root.seq = Math.max(root.seq || 0, done);
  return (act) => {
    root.seq += 1;
    root.pending = [...root.pending, { ...act, seq: root.seq }];
    setTriggerValue("acted", root.pending);
    return root.seq;
  };
};
// Buttons with their keys. `pressed` is the action that holds for what comes next, if any.
const toolbar = (actions, run, pressed) => {
  const bar = make("div", "bar");
  bar.setAttribute("role", "toolbar");
  for (const { id, key, words, sign, color, always } of actions) {
    const button = make("button", "act");
    button.type = "button";
    button.dataset.action = id;
    button.dataset.always = always ? "yes" : "";
    button.setAttribute("aria-keyshortcuts", key);
    if (pressed !== undefined && id.startsWith("label:")) button.setAttribute("aria-pressed", String(pressed === id));
    if (sign) {
      const field = make("span", "sign", sign);
      if (color) Object.assign(field.style, { background: color, color: textOn(color) });
      button.append(field);
    }
    button.append(words, make("kbd", "", key.toUpperCase()));
    button.onclick = () => run(id);
    bar.append(button);
  }
  return bar;
};
const actionOf = (actions, event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const key = { Delete: "x", Backspace: "x" }[event.key] || event.key.toLowerCase();
  return actions.find((action) => action.key === key) || null;
};
