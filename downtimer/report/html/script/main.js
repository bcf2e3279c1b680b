// --- Everything in its place. ---

function legend() {
  const entries = [
    ["down", "down"],
    ["edge", "maybe down: the bounds"],
    ["slow", "slow"],
    ["unobserved", "not observed"],
    ["seen", "up"],
  ];
  if (targets.some((target) => target.isSilent)) entries.splice(1, 0, ["silent", "never answered"]);
  return element("div", { className: "legend" }, ...entries.map(([name, title]) =>
    element("span", {}, element("span", { className: "track" }, element("i", { className: name })), title)));
}

function build() {
  const timeline = document.getElementById("timeline");
  const tables = document.getElementById("table");
  timeline.append(
    element("h2", {}, "Timeline", element("span", { className: "settings" }, zoneButton, themeButton)),
    toolbar,
    element(
      "div",
      { className: "chart" },
      element("div", { className: "top" }, peak, strip),
      element("div", { className: "top" }, corner, axis),
      element("div", { className: "body" }, element("div", { className: "under" }, lines, selection), tree),
    ),
    element("p", { className: "below" }, count, more, legend()),
    element("p", { className: "hint" },
      "Click a row for details. Drag pans, Ctrl and wheel zooms; on the axis a drag selects, and the wheel zooms. "
      + "Keys: arrows, Enter, + and \u2212, Shift and arrows, 0."),
    details,
    said,
  );
  timeline.hidden = false;
  document.body.append(tooltip);
  const heading = tables.querySelector("h2");
  const fold = element("details", { className: "tables" }, element("summary", {}, "The same as a table"));
  tables.before(fold);
  fold.append(tables);
  heading.hidden = true;
  addEventListener("beforeprint", () => (fold.open ||= tables.querySelectorAll("tr").length <= PRINTED));
}

build();
fill();
themeChanged();
zoneChanged();
addEventListener("resize", redraw);
requestAnimationFrame(() => setTimeout(() => {
  performance.mark("usable"); // what was drawn is on the screen
  document.documentElement.dataset.ready = "yes";
}));
