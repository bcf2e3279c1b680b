// --- The toolbar: what is shown, how it is ordered, zoom; light and dark; UTC and local time. ---

const count = element("span", { className: "count", role: "status" });
const more = element("button", { type: "button", onclick: () => pickShown("all") }, "Show all");
const back = element("button", { type: "button", onclick: () => show(whole.start, whole.end) }, "Whole run");

function select(label, options, value, onchange) {
  const made = element("select", { onchange: () => onchange(made.value) });
  for (const [name, title] of options) made.append(element("option", { value: name, selected: name === value }, title));
  return element("label", {}, `${label} `, made);
}

function button(text, label, onclick) {
  return element("button", { type: "button", title: label, "aria-label": label, onclick }, text);
}

const titles = (choices) => Object.entries(choices).map(([name, { title }]) => [name, title]);
const shownChoice = select("Show", titles(SHOWN), choice.shown, (shown) => choose({ shown }));
const search = element("input", {
  type: "search",
  placeholder: "name, project, server, cause",
  oninput: () => choose({ text: search.value }),
});
const grouping = element("input", {
  type: "checkbox",
  checked: true,
  onchange: () => choose({ isGrouped: grouping.checked }),
});
const kinds = [["", "all kinds"], ["service", "services"], ["address", "addresses"], ["agent", "agents"]].filter(
  ([kind]) => !kind || targets.some((target) => target.kind === kind),
);

const toolbar = element(
  "div",
  { className: "toolbar", role: "toolbar", "aria-label": "What the timeline shows" },
  element("label", {}, "Filter ", search),
  shownChoice,
  select("of", kinds, "", (kind) => choose({ kind })),
  select("by", titles(ORDERS), choice.order, (order) => choose({ order })),
  element("label", {}, grouping, " in groups"),
  element(
    "span",
    { className: "zoom" },
    button("\u2212", "Zoom out", () => zoom(2)),
    button("+", "Zoom in", () => zoom(0.5)),
    button("\u25c0", "Earlier", () => pan(-0.25)),
    button("\u25b6", "Later", () => pan(0.25)),
    back,
  ),
);

function pickShown(shown) {
  shownChoice.querySelector("select").value = shown;
  choose({ shown });
}

/** How many of a kind are shown. Agents are apart: what the cloud says of itself is nobody's probe. */
function partOf(kind) {
  const all = kindCounts.get(kind);
  return all && `${(list.fitting.get(kind) ?? 0).toLocaleString("en")} of ${plural(all, kind)}`;
}

function drawToolbar() {
  const others = targets.length - list.found;
  const parts = ["service", "address", "agent"].map((kind) => partOf(kind)).filter(Boolean);
  count.textContent = (parts.join(", ") || "No targets")
    + (others ? `; ${others.toLocaleString("en")} ${others === 1 ? "is" : "are"} not shown. ` : ". ");
  more.hidden = choice.shown === "all" || !others;
  back.disabled = isWhole();
}
watch(drawToolbar);

const THEMES = ["", "light", "dark"]; // the first as the system has it
const root = document.documentElement;

function setTheme(theme) {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
  setTheme(theme);
  try {
    localStorage.setItem("downtimer-theme", theme);
  } catch {} // it is forgotten, then
  themeChanged();
}

const themeButton = element("button", { type: "button", onclick: nextTheme });
const zoneButton = element("button", {
  type: "button",
  onclick: () => {
    clock.isLocal = !clock.isLocal;
    zoneChanged();
  },
});

function themeChanged() {
  themeButton.textContent = `Theme: ${root.dataset.theme ?? "system"}`;
  drawDetails();
  redraw();
}

function zoneChanged() {
  zoneButton.textContent = `Times: ${zone()}`;
  drawDetails();
  redraw();
}

// What is drawn on a canvas does not change its colours by itself when it comes on paper.
let themeOfScreen;
addEventListener("beforeprint", () => {
  themeOfScreen = root.dataset.theme;
  setTheme("light");
  drawOverview();
  drawDetails();
});
addEventListener("afterprint", () => {
  setTheme(themeOfScreen);
  themeChanged();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);
