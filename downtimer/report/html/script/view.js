// --- The view: which part of the run is shown. ---

const SHORTEST = 20; // ms
const MARGIN = 0.01; // of the run, on either side

const whole = {
  start: -MARGIN * Math.max(run.length, SHORTEST),
  end: (1 + MARGIN) * Math.max(run.length, SHORTEST),
};
const view = { ...whole };
const watchers = [];

/** Have `draw` called whenever what is shown may have changed; several changes at once are one. */
function watch(draw) {
  watchers.push(draw);
}

let isDue = false;
function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    for (const draw of watchers) draw();
  });
}

function show(start, end) {
  const length = Math.min(Math.max(end - start, SHORTEST), whole.end - whole.start);
  const middle = (start + end) / 2;
  view.start = Math.min(Math.max(middle - length / 2, whole.start), whole.end - length);
  view.end = view.start + length;
  redraw();
}

function zoom(factor, at = (view.start + view.end) / 2) {
  show(at - (at - view.start) * factor, at + (view.end - at) * factor);
}

function pan(share) {
  const by = (view.end - view.start) * share;
  show(view.start + by, view.end + by);
}

/** Show something as a whole, with some time around it. */
function showAround(start, end) {
  const around = Math.max((end - start) * 0.75, 2 * SECOND);
  show(start - around, end + around);
}

function isWhole() {
  return view.start <= whole.start && view.end >= whole.end;
}

/** Where an instant is, in percent of the width. */
function percentOf(at) {
  return (100 * (at - view.start)) / (view.end - view.start);
}

/** Place an element from one instant to another; tells whether any of it is to be seen. */
function place(placed, start, end) {
  const left = Math.max(percentOf(start), -1);
  const right = Math.min(percentOf(end), 101);
  if (right < 0 || left > 100) return false;
  placed.style.left = `${left}%`;
  placed.style.width = `${right - left}%`;
  return true;
}
