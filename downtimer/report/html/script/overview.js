// --- The overview: how many targets were down when, in the whole run; what is shown of it can be moved. ---

const overview = element("canvas", { className: "overview" });
const lens = element("div", { className: "lens" });
const peak = element("div", { className: "corner" });
const strip = element(
  "div",
  { className: "strip", title: "The whole run: drag to move what is shown" },
  overview,
  lens,
);

/** How many targets are down in each of so many equal parts of the run: the most at a time. */
function countDown(parts) {
  const width = (whole.end - whole.start) / parts;
  const changes = new Float64Array(parts + 1);
  for (const target of targets) {
    if (target.isSilent || target.kind === "agent") continue;
    let last = -1; // so that none counts twice in a part
    for (const { start, end } of target.outages) {
      const from = Math.max(Math.floor((start - whole.start) / width), last + 1);
      const to = Math.min(Math.floor((end - whole.start) / width), parts - 1);
      if (to < from) continue;
      changes[from] += 1;
      changes[to + 1] -= 1;
      last = to;
    }
  }
  let count = 0;
  return Array.from(changes.subarray(0, parts), (change) => (count += change));
}

let drawnOverview = "";

function drawOverview() {
  lens.style.left = `${(100 * (view.start - whole.start)) / (whole.end - whole.start)}%`;
  lens.style.width = `${(100 * (view.end - view.start)) / (whole.end - whole.start)}%`;
  lens.hidden = isWhole();
  const { clientWidth: width, clientHeight: height } = strip;
  const style = getComputedStyle(strip);
  const drawn = `${width} ${style.color} ${devicePixelRatio}`;
  if (!width || drawn === drawnOverview) return;
  drawnOverview = drawn;
  overview.width = width * devicePixelRatio;
  overview.height = height * devicePixelRatio;
  const context = overview.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  const counts = countDown(width);
  const most = Math.max(...counts, 1);
  context.fillStyle = style.color;
  counts.forEach((count, x) => {
    const tall = count ? Math.max((count / most) * (height - 4), 3) : 0;
    context.fillRect(x, height - tall, 1, tall);
  });
  context.globalAlpha = 0.5;
  for (const { at } of marks) {
    context.fillRect(Math.round(((at - whole.start) / (whole.end - whole.start)) * width), 0, 1, height);
  }
  const down = Math.max(...counts);
  peak.textContent = `Whole run: ${down ? `at most ${down.toLocaleString("en")} down at a time` : "nothing down"}`;
}

strip.addEventListener("pointerdown", (event) => {
  strip.setPointerCapture(event.pointerId);
  moveLens(event);
});
strip.addEventListener("pointermove", (event) => {
  if (event.buttons) moveLens(event);
});

function moveLens(event) {
  const box = strip.getBoundingClientRect();
  const middle = whole.start + ((event.clientX - box.left) / box.width) * (whole.end - whole.start);
  const half = (view.end - view.start) / 2;
  show(middle - half, middle + half);
}
watch(drawOverview);
