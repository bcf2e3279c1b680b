// --- The run: what the report says, from the JSON in the page (`data.py` names the keys). ---

const source = JSON.parse(document.getElementById("data").textContent);
const run = source.about;
const marks = run.marks.map(([at, text]) => ({ at, text }));
const targets = source.targets.map(readTarget);

function readTarget(told) {
  const [start, end] = told.w ?? [0, 0];
  const target = {
    name: told.n,
    kind: told.k ?? "address",
    group: told.k ?? told.g ?? "address",
    server: told.s ?? "",
    isMeasured: Boolean(told.w),
    isSilent: Boolean(told.a),
    start,
    end,
    downMs: told.d ?? 0,
    down: told.D ?? "",
    percent: told.p ?? "0.0",
    slow: (told.o ?? []).map(([from, length]) => ({ start: from, end: from + length })),
    slowText: told.O ?? "",
    unobserved: (told.u ?? []).map(([from, length, cause]) => ({ start: from, end: from + length, cause })),
    unobservedText: told.U ?? "",
    resolution: told.r ?? "",
    facts: told.f ?? [],
    checks: told.c ?? [],
    byPhase: told.h ?? [],
    latencies: told.i ?? null,
  };
  target.episodes = (told.e ?? []).map(readEpisode);
  if (target.episodes.length) target.down ||= target.episodes[0].duration;
  const longest = target.episodes.reduce((a, b) => (b.end - b.start > a.end - a.start ? b : a), target.episodes[0]);
  target.longestMs = longest ? longest.end - longest.start : 0;
  target.longest = longest ? estimate(longest.duration) : "";
  target.outages = target.episodes.flatMap((episode) => episode.outages);
  target.unseen = within(target.unobserved, target.outages);
  return target;
}

/** The parts of intervals that lie within others; both are in order of time. */
function within(these, those) {
  const found = [];
  let first = 0;
  for (const one of these) {
    while (first < those.length && those[first].end <= one.start) first += 1;
    for (let i = first; i < those.length && those[i].start < one.end; i += 1) {
      found.push({ ...one, start: Math.max(one.start, those[i].start), end: Math.min(one.end, those[i].end) });
    }
  }
  return found;
}

/** A figure without its bounds. */
function estimate(duration) {
  return duration.replace(/ \(.*/, "");
}

function readEdges([start, length, before, after]) {
  return { start, end: start + length, earliest: start - before, latest: start + length + after };
}

function readEpisode(told) {
  const [duration, share, causes, checks, remarks, isOngoing, several] = told.slice(4);
  const episode = {
    ...readEdges(told),
    duration,
    share: share || "100.0",
    causes: causes ?? "",
    checks: checks ?? "",
    remarks: remarks ?? "",
    isOngoing: Boolean(isOngoing),
  };
  episode.outages = several
    ? several.map((one) => ({ ...readEdges(one), duration: one[4], causes: one[5] ?? "", episode }))
    : [{ ...episode, episode }];
  return episode;
}

/** The latencies of a service, by check; null where there was no answer for a while. */
function readLatencies(target) {
  const series = target.latencies === null ? [] : source.latencies[target.latencies];
  return series.map(([check, distances, ...columns]) => {
    let at = 0;
    const starts = distances.map((distance) => (at += distance));
    const usual = distances.slice(1).sort((a, b) => a - b)[(distances.length - 1) >> 1] ?? 0;
    const data = [[], [], [], []];
    starts.forEach((start, i) => {
      if (i && distances[i] > 2.5 * usual) data.forEach((column, c) => column.push(c ? null : starts[i - 1] + usual));
      data[0].push(start + Math.min(usual, distances[i] || usual) / 2);
      columns.forEach((column, c) => data[c + 1].push(Math.max(column[i], 1) / 1000));
    });
    return { check, data, every: usual };
  });
}

/** How many targets there are in a group, and how many of them were down. */
function countGroups() {
  const counts = new Map();
  for (const { group, outages, isSilent } of targets) {
    const count = counts.get(group) ?? { all: 0, down: 0 };
    counts.set(group, count);
    count.all += 1;
    if (outages.length && !isSilent) count.down += 1;
  }
  return counts;
}
const groupCounts = countGroups();

/** How many of some targets are of each kind. */
function countKinds(some) {
  const counts = new Map();
  for (const { kind } of some) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}
const kindCounts = countKinds(targets);

/** What can be searched for in a target. */
function haystack(target) {
  target.haystack ??= [
    target.name,
    target.server,
    groupTitle(target.group),
    ...target.facts.map(([, fact]) => fact),
    ...target.episodes.map((episode) => `${episode.causes} ${episode.remarks}`),
  ]
    .join("\n")
    .toLowerCase();
  return target.haystack;
}

function groupTitle(group) {
  if (group === "service") return "Services";
  if (group === "agent") return "Agents, as the cloud reports them";
  if (group === "address") return "Addresses";
  const [name, id] = run.projects[group];
  return `Project ${name || id || "(none)"}`;
}
