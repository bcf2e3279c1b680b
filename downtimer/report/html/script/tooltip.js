// --- The tooltip: what happened at an instant; the same is said to those who do not see it. ---

const tooltip = element("div", { className: "tooltip", hidden: true });
const said = element("div", { className: "said", role: "status" });

/** What there is to say of a target at an instant, give or take: lines, the first of which names it. */
function tell(target, at, tolerance) {
  const touches = ({ start, end }) => start <= at + tolerance && at - tolerance <= end;
  const outages = target.outages.filter(touches);
  if (outages.length > 1) return [...tellSeveral(outages), ...tellOutage(outages[0]).map((line) => `  ${line}`)];
  if (outages.length) {
    const unseen = target.unseen.find(({ start, end }) => start <= at && at <= end);
    const more = unseen ? [`but not observed then: ${unseen.cause}`, period(unseen.start, unseen.end)] : [];
    return [...tellOutage(outages[0]), ...more];
  }
  const edge = target.outages.find(({ earliest, latest }) => touches({ start: earliest, end: latest }));
  const unobserved = target.unobserved.find(touches);
  if (unobserved) return [`not observed: ${unobserved.cause}`, period(unobserved.start, unobserved.end)];
  const slow = target.slow.find(touches);
  if (slow) return ["slow", period(slow.start, slow.end)];
  if (edge) return ["maybe down: within the bounds of", ...tellOutage(edge)];
  return touches(target) && target.isMeasured ? ["up", moment(at)] : ["not measured", moment(at)];
}

function tellSeveral(outages) {
  return [`${plural(outages.length, "outage")} here: zoom in to tell them apart. The first:`];
}

function tellOutage(outage) {
  const { episode } = outage;
  const lines = [
    `down ${outage.duration}`,
    episode.isOngoing && outage.end === episode.end
      ? `${moment(outage.start)} \u2013 not ended, last seen ${moment(outage.end)}`
      : period(outage.start, outage.end),
    `not before ${moment(outage.earliest).slice(11)}, not after ${moment(outage.latest).slice(11)}`,
    outage.causes + (episode.checks ? ` [${episode.checks}]` : ""),
  ];
  if (episode.outages.length > 1) {
    lines.push(`one of ${episode.outages.length} in an episode of ${episode.duration}, ${episode.share} % failed`);
  }
  if (episode.remarks) lines.push(episode.remarks);
  return lines.filter(Boolean);
}

function showTooltip(title, lines, x, y) {
  tooltip.replaceChildren(element("b", {}, named(title)), ...lines.map((line) => element("div", {}, line)));
  tooltip.hidden = false;
  const { width, height } = tooltip.getBoundingClientRect();
  const left = x + 14 + width > innerWidth ? x - width - 14 : x + 14;
  const top = y + 14 + height > innerHeight ? y - height - 10 : y + 14;
  tooltip.style.left = `${Math.max(left, 4)}px`;
  tooltip.style.top = `${Math.max(top, 4)}px`;
}

function hideTooltip() {
  tooltip.hidden = true;
}

function say(text) {
  said.textContent = text;
}
