// --- Latencies: how soon a service answered, drawn by uPlot; its outages are shaded. ---

const LATENCY_HEIGHT = 170; // px
let charts = [];

function latencyCharts(target, box) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  for (const { check, data, every } of readLatencies(target)) {
    const title = `${check}: least, median and most of every ${lengthOf(every || 10 * SECOND)}`;
    const holder = element("div", { className: "latency", role: "img", "aria-label": latencyInWords(check, data) });
    box.append(element("h4", {}, title), holder);
    charts.push({ chart: new uPlot(latencyOptions(target, colour, box.clientWidth), data, holder), holder });
  }
  followView();
}

function latencyInWords(check, [, least, median, most]) {
  const known = (column) => column.filter((value) => value !== null);
  const middle = known(median).sort((a, b) => a - b)[known(median).length >> 1];
  const [shortest, longest] = [Math.min(...known(least)), Math.max(...known(most))];
  return `Latency of ${check}: ${milliseconds(shortest)} to ${milliseconds(longest)}, usually ${milliseconds(middle)}`;
}

function latencyOptions(target, colour, width) {
  const line = (label, width, alpha) => ({
    label,
    stroke: colour("accent") + alpha,
    width,
    points: { show: (chart) => chart.data[0].length < 100, size: 4 },
    value: (_, value) => (value === null ? "\u2013" : milliseconds(value)),
  });
  const axisOf = (more) => ({
    stroke: colour("soft"),
    grid: { stroke: colour("line"), width: 1, ...(more.filter && { filter: more.filter }) },
    ticks: { show: false },
    ...more,
  });
  return {
    width: Math.max(width, 200),
    height: LATENCY_HEIGHT,
    scales: { x: { time: false, range: (_, min, max) => [min, max] }, y: { distr: 3, range: decades } },
    series: [
      { label: "At", value: (_, at) => (at === null ? "\u2013" : moment(at).slice(11)) },
      line("least", 1, "80"),
      line("median", 2, ""),
      line("most", 1, "80"),
    ],
    bands: [{ series: [3, 1], fill: colour("accent") + "28" }],
    axes: [
      axisOf({
        size: 28,
        splits: (chart, _, min, max) => chartTicks(chart, min, max).map(({ at }) => at),
        values: (chart) => chartTicks(chart, chart.scales.x.min, chart.scales.x.max).map(({ label }) => label),
      }),
      axisOf({
        size: 64,
        filter: wholeDecades,
        values: (_, values) => values.map((value) => (value === null ? null : milliseconds(value))),
      }),
    ],
    cursor: { drag: { setScale: false } },
    hooks: {
      drawClear: [(chart) => shade(chart, target, colour)],
      setSelect: [(chart) => {
        if (!chart.select.width) return;
        show(chart.posToVal(chart.select.left, "x"), chart.posToVal(chart.select.left + chart.select.width, "x"));
        chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      }],
    },
  };
}

function chartTicks(chart, min, max) {
  return ticks(min, max, Math.max(chart.width / TICK_WIDTH, 2));
}

/** From one power of ten to another, so that every chart has labels. */
function decades(_, min, max) {
  const low = 10 ** Math.floor(Math.log10(Math.max(min ?? 1, 0.001)));
  return [low, Math.max(10 ** Math.ceil(Math.log10(Math.max(max ?? 1, 0.001))), low * 10)];
}

function wholeDecades(_, values) {
  return values.map((value) => (Math.abs(Math.log10(value) % 1) < 1e-9 ? value : null));
}

function milliseconds(value) {
  if (value < 1) return `${Number((value * 1000).toPrecision(3))} us`;
  return value < 1000 ? `${Number(value.toPrecision(3))} ms` : `${Number((value / 1000).toPrecision(3))} s`;
}

function shade(chart, target, colour) {
  const { left, top, width, height } = chart.bbox;
  chart.ctx.save();
  chart.ctx.beginPath();
  chart.ctx.rect(left, top, width, height);
  chart.ctx.clip();
  chart.ctx.fillStyle = colour("down") + "50";
  for (const { start, end } of target.outages) {
    const from = chart.valToPos(start, "x", true);
    chart.ctx.fillRect(from, top, Math.max(chart.valToPos(end, "x", true) - from, 2), height);
  }
  chart.ctx.fillStyle = colour("unobserved") + "50";
  for (const { start, end } of target.unobserved) {
    const from = chart.valToPos(start, "x", true);
    chart.ctx.fillRect(from, top, Math.max(chart.valToPos(end, "x", true) - from, 1), height);
  }
  chart.ctx.restore();
}

/** The charts show what the timeline shows. */
function followView() {
  for (const { chart, holder } of charts) {
    const width = holder.clientWidth;
    if (width && width !== chart.width) chart.setSize({ width, height: LATENCY_HEIGHT });
    chart.setScale("x", { min: view.start, max: view.end });
  }
}

function dropCharts() {
  for (const { chart } of charts) chart.destroy();
  charts = [];
}
watch(followView);
