// --- The list: which targets are shown, in which order and groups. ---

const SHOWN = {
  outages: { title: "with outages", fits: (target) => target.outages.length > 0 && !target.isSilent },
  anything: { title: "with anything to see", fits: (target) => hasAnything(target) },
  silent: { title: "that never answered", fits: (target) => target.isSilent },
  all: { title: "all", fits: () => true },
};
const ORDERS = {
  name: { title: "name", rank: () => 0 },
  downtime: { title: "downtime", rank: (target) => -target.downMs },
  longest: { title: "longest episode", rank: (target) => -target.longestMs },
  first: { title: "start of first outage", rank: (target) => target.outages[0]?.start ?? Infinity },
};

const choice = { text: "", shown: firstShown(), kind: "", order: "name", isGrouped: true };
const closed = new Set(); // groups
const list = { items: [], found: 0, fitting: new Map() };

function hasAnything(target) {
  return target.outages.length + target.slow.length + target.unobserved.length > 0 || !target.isMeasured;
}

function firstShown() {
  return ["outages", "anything"].find((name) => targets.some(SHOWN[name].fits)) ?? "all";
}

function choose(changes) {
  Object.assign(choice, changes);
  fill();
  redraw();
}

function fill() {
  const words = choice.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = targets.filter(
    (target) =>
      SHOWN[choice.shown].fits(target) &&
      (!choice.kind || target.kind === choice.kind) &&
      words.every((word) => haystack(target).includes(word)),
  );
  const { rank } = ORDERS[choice.order];
  // Targets come in the order of the report, by name, and sorting is stable.
  const ordered = choice.order === "name" ? found : found.sort((a, b) => rank(a) - rank(b));
  list.found = found.length;
  list.fitting = countKinds(found);
  list.items = choice.isGrouped ? grouped(ordered) : ordered.map((target) => ({ target }));
}

function grouped(ordered) {
  const groups = new Map([["service", []]]); // services first, the rest as their first member comes
  for (const target of ordered) {
    if (!groups.has(target.group)) groups.set(target.group, []);
    groups.get(target.group).push(target);
  }
  const items = [];
  for (const [group, members] of groups) {
    if (!members.length) continue;
    items.push({ group, members });
    if (!closed.has(group)) for (const target of members) items.push({ target, group });
  }
  return items;
}

function toggle(group) {
  if (!closed.delete(group)) closed.add(group);
  fill();
  redraw();
}
