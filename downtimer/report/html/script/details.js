// --- Details: all that the report knows of one target, on demand. ---

const EPISODES_SHOWN = 100;

const details = element("section", { className: "details", hidden: true, "aria-label": "Details of a target" });
let opened = null;

function openDetails(target) {
  opened = target;
  drawDetails();
  details.querySelector("h3").focus({ preventScroll: true });
  const { top } = details.getBoundingClientRect();
  if (top > innerHeight * 0.75) scrollBy({ top: top - innerHeight * 0.6 }); // the timeline stays in sight
  redraw();
}

function closeDetails() {
  opened = null;
  dropCharts();
  details.hidden = true;
  tree.focus();
  redraw();
}

function drawDetails() {
  dropCharts();
  if (!opened) return;
  const target = opened;
  const close = element("button", { type: "button", onclick: closeDetails }, "Close");
  details.hidden = false;
  details.replaceChildren(
    element(
      "header",
      {},
      element("h3", { tabIndex: -1 }, named(target.name), element("small", {}, kindOf(target))),
      close,
    ),
    figures(target),
    element("div", { className: "tables-of-details" }, ...[episodes, byPhase, byCheck].map((part) =>
      element("div", {}, ...part(target)))),
  );
  if (target.latencies === null) return;
  const box = element("div", {});
  details.append(element("h4", {}, "Latency of good answers; shaded: down, not observed"), box);
  latencyCharts(target, box);
  if (!box.children.length) box.append(element("p", {}, "No latencies are on record."));
}

function kindOf(target) {
  return target.kind === "address" ? groupTitle(target.group) : target.kind;
}

function figures(target) {
  const all = [
    ["Down", target.outages.length ? `${target.down}, ${target.percent} %` : "never"],
    ["Longest episode", target.longest],
    ["Slow", target.slowText],
    ["Not observed", target.unobservedText],
    ["Measured", target.isMeasured ? period(target.start, target.end) : "not at all"],
    ["Resolution", target.resolution],
    ["Server", target.server],
    ...target.facts,
  ];
  const pairs = all.filter(([, fact]) => fact).map(([title, fact]) =>
    element("div", {}, element("dt", {}, title), element("dd", {}, named(fact))));
  if (target.isSilent) {
    pairs.unshift(element("div", {}, element("dt", {}, "Never answered"), element("dd", {},
      "down, or not allowed to answer: a default security group drops ICMP")));
  }
  return element("dl", {}, ...pairs);
}

function episodes(target) {
  if (!target.episodes.length) return [];
  const when = ({ start, end, isOngoing }) =>
    element(
      "button",
      { type: "button", className: "link", title: "Show it", onclick: () => showAround(start, end) },
      isOngoing ? `${moment(start)} \u2013 not ended` : period(start, end),
    );
  const rows = target.episodes.slice(0, EPISODES_SHOWN).map((episode) => [
    when(episode),
    episode.duration,
    `${episode.share} %`,
    episode.causes + (episode.checks ? ` [${episode.checks}]` : ""),
    episode.remarks,
  ]);
  const more = target.episodes.length - rows.length;
  return [
    element("h4", {}, `${plural(target.episodes.length, "episode")} (${zone()})`),
    table(["When", "Length (bounds)", "Failed", "Causes", ""], rows),
    more > 0 ? element("p", {}, `and ${more} more; the table of targets has all.`) : "",
  ];
}

function byPhase(target) {
  if (!target.byPhase.some(Boolean)) return [];
  const names = ["before the first mark", ...marks.map(({ text }) => text)];
  const rows = target.byPhase.map((down, number) => [named(names[number]), down]).filter(([, down]) => down);
  return [element("h4", {}, "Downtime by phase"), table(["Phase", "Down (bounds)"], rows)];
}

function byCheck(target) {
  if (!target.checks.length) return [];
  return [element("h4", {}, "By check"), table(["Check", "Probes", "Down", "Slow", "Not observed"], target.checks)];
}

details.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeDetails();
});
