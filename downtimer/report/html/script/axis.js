// --- The axis: times, and below them the marks; both have lines through the rows. ---

const TICK_WIDTH = 110; // px that a label wants

const corner = element("div", { className: "corner" });
const times = element("div", { className: "times" });
const phases = element("div", { className: "phases", hidden: !marks.length });
const lines = element("div", { className: "lines" });
const axis = element("div", { className: "axis", title: "Wheel zooms, drag selects what to show" }, times, phases);

function drawAxis() {
  const most = Math.max(Math.floor(times.clientWidth / TICK_WIDTH), 2);
  const found = ticks(view.start, view.end, most);
  const full = 100 - (100 * TICK_WIDTH * 0.75) / times.clientWidth; // what begins later would be cut off
  times.replaceChildren(
    ...found.map(({ at, label }) => placed("span", at, at, percentOf(at) < full ? label : "")),
  );
  lines.replaceChildren(
    ...found.map(({ at }) => placed("i", at, at, "")),
    ...marks.map(({ at }) => placed("b", at, at, "")).filter(Boolean),
  );
  phases.replaceChildren(...marks.map(phaseOf).filter(Boolean));
  corner.replaceChildren(
    element("b", {}, moment(Math.max(view.start, 0)).slice(0, 10)),
    ` ${zone()}, ${lengthOf(Math.min(view.end, run.length) - Math.max(view.start, 0))} shown`,
  );
}

/** A mark's text has the room up to the next mark. */
function phaseOf({ at, text }, number) {
  const end = marks[number + 1]?.at ?? run.length;
  const made = placed("span", at, end, "");
  made?.append(named(text));
  if (made) made.title = `${moment(at)} ${text}`;
  return made;
}

function placed(tag, start, end, text) {
  const made = element(tag, {}, text);
  return place(made, start, end) ? made : null;
}

/** The instant that is at a point of the screen. */
function instantAt(clientX) {
  const box = times.getBoundingClientRect();
  return view.start + ((clientX - box.left) / box.width) * (view.end - view.start);
}

const selection = element("div", { className: "selection", hidden: true });
let selectedFrom = null;

axis.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomByWheel(event);
});
axis.addEventListener("pointerdown", (event) => {
  axis.setPointerCapture(event.pointerId);
  selectedFrom = instantAt(event.clientX);
});
axis.addEventListener("pointermove", (event) => {
  if (selectedFrom === null) return;
  const to = instantAt(event.clientX);
  selection.hidden = !place(selection, Math.min(selectedFrom, to), Math.max(selectedFrom, to));
});
axis.addEventListener("pointerup", (event) => {
  const to = instantAt(event.clientX);
  const share = Math.abs(to - selectedFrom) / (view.end - view.start);
  if (selectedFrom !== null && share > 0.005) show(Math.min(selectedFrom, to), Math.max(selectedFrom, to));
  selectedFrom = null;
  selection.hidden = true;
});

function zoomByWheel(event) {
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    pan(Math.sign(event.deltaX || event.deltaY) * 0.1);
  } else {
    zoom(Math.exp(Math.sign(event.deltaY) * 0.25), instantAt(event.clientX));
  }
}
watch(drawAxis);
