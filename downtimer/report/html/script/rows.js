// --- The rows: only those that are on the screen exist, however many there are. ---

const HEIGHT = 26; // px of a row
const BEYOND = 8; // rows made above and below what is seen
const PRINTED = 400; // rows

const spacer = element("div", { className: "spacer" });
const tree = element(
  "div",
  {
    className: "tree",
    role: "tree",
    tabIndex: 0,
    "aria-label": "Targets. Up and down: rows. Left and right: outages of a row, or close and open a group. "
      + "Enter: details. Plus and minus: zoom. Shift and left or right: pan. 0: the whole run.",
  },
  spacer,
);
const cursor = { at: 0, step: -1 };
let isPrinted = false;

function drawRows() {
  const { items } = list;
  cursor.at = Math.min(cursor.at, Math.max(items.length - 1, 0));
  const first = isPrinted ? 0 : Math.max(Math.floor(tree.scrollTop / HEIGHT) - BEYOND, 0);
  const shown = Math.ceil(tree.clientHeight / HEIGHT) + 2 * BEYOND;
  const last = Math.min(isPrinted ? PRINTED : first + shown, items.length);
  spacer.style.height = `${(isPrinted ? last : items.length) * HEIGHT}px`;
  spacer.replaceChildren(...items.slice(first, last).map((item, i) => row(item, first + i)));
  lines.style.right = `${tree.offsetWidth - tree.clientWidth}px`;
  axis.style.marginRight = lines.style.right;
  if (items.length) tree.setAttribute("aria-activedescendant", `row${cursor.at}`);
  else tree.removeAttribute("aria-activedescendant");
}

function row(item, number) {
  const made = item.target ? rowOfTarget(item.target) : rowOfGroup(item);
  made.id = `row${number}`;
  made.dataset.number = number;
  made.style.top = `${number * HEIGHT}px`;
  made.setAttribute("role", "treeitem");
  made.setAttribute("aria-level", item.target && choice.isGrouped ? 2 : 1);
  made.setAttribute("aria-setsize", list.items.length);
  made.setAttribute("aria-posinset", number + 1);
  made.setAttribute("aria-selected", number === cursor.at);
  made.classList.toggle("opened", item.target !== undefined && item.target === opened);
  return made;
}

function rowOfTarget(target) {
  const track = element("div", { className: "track" });
  drawTarget(track, target);
  const figure = target.isSilent ? "never answered" : estimate(target.down);
  return element(
    "div",
    { className: "row", "aria-label": inWords(target) },
    element("div", { className: "name", title: target.name }, named(target.name)),
    element("div", { className: "figure" }, figure),
    track,
  );
}

function rowOfGroup({ group, members }) {
  const isClosed = closed.has(group);
  const title = groupTitle(group);
  const { all, down } = groupCounts.get(group);
  const track = element("div", { className: "track" });
  if (isClosed) {
    const down = members.filter((target) => !target.isSilent).flatMap((target) => target.outages);
    bars(track, "down", down.sort((a, b) => a.start - b.start));
  }
  const count = down ? `${down} of ${all} down` : `${all}`;
  return element(
    "div",
    { className: "row group", "aria-expanded": !isClosed, "aria-label": `${title}: ${count}` },
    element("div", { className: "name", title }, named(title)),
    element("div", { className: "figure" }, count),
    track,
  );
}

function drawTarget(track, target) {
  if (target.isMeasured) bars(track, "seen", [target]);
  bars(track, "unobserved", target.unobserved);
  bars(track, "slow", target.slow);
  bars(track, "edge", target.outages.map(({ earliest, latest }) => ({ start: earliest, end: latest })));
  bars(track, target.isSilent ? "silent" : "down", target.outages);
  bars(track, "unobserved", target.unseen);
}

/** Draw intervals, ordered by start; what would not be told apart is one bar. */
function bars(track, name, intervals) {
  const least = (view.end - view.start) * (2 / Math.max(track.isConnected ? track.clientWidth : times.clientWidth, 1));
  let last = null;
  for (const { start, end } of intervals) {
    if (end < view.start || start > view.end) continue;
    if (last && start <= last.end + least) {
      last.end = Math.max(last.end, end);
      place(last.bar, last.start, last.end);
      continue;
    }
    const bar = element("i", { className: name });
    if (place(bar, start, end)) track.append(bar);
    last = { bar, start, end };
  }
}

function inWords(target) {
  const told = [target.name];
  if (target.isSilent) told.push("never answered");
  else if (target.outages.length) {
    told.push(`down ${target.down}, ${target.percent} %, in ${plural(target.episodes.length, "episode")}`);
  }
  if (target.slowText) told.push(`slow ${target.slowText}`);
  if (target.unobservedText) told.push(`not observed ${target.unobservedText}`);
  if (!target.isMeasured) told.push("not measured");
  return told.length > 1 ? told.join("; ") : `${target.name}; up`;
}

// Pointer: hover tells, a click opens, a drag pans.

let dragged = null;

tree.addEventListener("scroll", redraw, { passive: true });
tree.addEventListener("pointermove", (event) => {
  if (dragged && event.buttons) {
    const by = instantAt(dragged.x) - instantAt(event.clientX);
    dragged.hasMoved ||= Math.abs(event.clientX - dragged.from) > 4;
    dragged.x = event.clientX;
    if (dragged.hasMoved) {
      hideTooltip();
      show(view.start + by, view.end + by);
    }
    return;
  }
  const item = itemOf(event);
  if (!item?.target || !event.target.closest(".track")) return hideTooltip();
  const perPixel = (view.end - view.start) / times.clientWidth;
  const at = instantAt(event.clientX);
  showTooltip(item.target.name, tell(item.target, at, 3 * perPixel), event.clientX, event.clientY);
});
tree.addEventListener("pointerleave", hideTooltip);
tree.addEventListener("pointerdown", (event) => {
  if (event.target.closest(".track")) dragged = { x: event.clientX, from: event.clientX, hasMoved: false };
});
addEventListener("pointerup", () => setTimeout(() => (dragged = null)));
tree.addEventListener("click", (event) => {
  const item = itemOf(event);
  if (!item || dragged?.hasMoved) return;
  moveTo(list.items.indexOf(item));
  activate(item);
});
tree.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.shiftKey) return;
  event.preventDefault();
  zoomByWheel(event);
}, { passive: false });
tree.addEventListener("dblclick", (event) => {
  if (event.target.closest(".track")) zoom(0.25, instantAt(event.clientX));
});

function itemOf(event) {
  const found = event.target.closest?.(".row");
  return found ? list.items[found.dataset.number] : null;
}

function activate(item) {
  if (item.target) openDetails(item.target);
  else toggle(item.group);
}

// Keyboard: the tree has the focus, one of its rows the cursor.

function moveTo(number) {
  cursor.at = Math.min(Math.max(number, 0), list.items.length - 1);
  cursor.step = -1;
  const top = cursor.at * HEIGHT;
  if (top < tree.scrollTop) tree.scrollTop = top;
  if (top + HEIGHT > tree.scrollTop + tree.clientHeight) tree.scrollTop = top + HEIGHT - tree.clientHeight;
  hideTooltip();
  redraw();
}

/** Go to the next outage of the row, or the one before. */
function step(by) {
  const { target, group } = list.items[cursor.at] ?? {};
  if (!target) {
    if (group !== undefined && closed.has(group) === by > 0) toggle(group);
    return;
  }
  if (!target.outages.length) return say(inWords(target));
  cursor.step = Math.min(Math.max(cursor.step + by, 0), target.outages.length - 1);
  const outage = target.outages[cursor.step];
  if (outage.start < view.start || outage.end > view.end) showAround(outage.start, outage.end);
  const told = tellOutage(outage);
  say(`${cursor.step + 1} of ${target.outages.length}: ${told.join(", ")}`);
  const box = times.getBoundingClientRect();
  const top = tree.getBoundingClientRect().top + (cursor.at + 1) * HEIGHT - tree.scrollTop;
  const middle = Math.min(Math.max((outage.start + outage.end) / 2, view.start), view.end);
  showTooltip(target.name, told, box.left + (box.width * percentOf(middle)) / 100, top - 10);
}

const KEYS = {
  ArrowUp: () => moveTo(cursor.at - 1),
  ArrowDown: () => moveTo(cursor.at + 1),
  PageUp: () => moveTo(cursor.at - Math.floor(tree.clientHeight / HEIGHT)),
  PageDown: () => moveTo(cursor.at + Math.floor(tree.clientHeight / HEIGHT)),
  Home: () => moveTo(0),
  End: () => moveTo(list.items.length - 1),
  ArrowLeft: (event) => (event.shiftKey ? pan(-0.2) : step(-1)),
  ArrowRight: (event) => (event.shiftKey ? pan(0.2) : step(1)),
  Enter: () => list.items.length && activate(list.items[cursor.at]),
  " ": () => list.items.length && activate(list.items[cursor.at]),
  "+": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => show(whole.start, whole.end),
  Escape: () => hideTooltip(),
};

tree.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  act(event);
});
tree.addEventListener("blur", hideTooltip);

addEventListener("beforeprint", () => {
  isPrinted = true;
  drawRows();
});
addEventListener("afterprint", () => {
  isPrinted = false;
  drawRows();
});
watch(drawRows);
