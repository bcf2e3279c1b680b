// --- Time: instants are ms since the run's start; shown in UTC, or as this browser's clock has it. ---

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((step) => step * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((step) => step * MINUTE),
  ...[1, 2, 3, 6, 12].map((step) => step * HOUR),
  ...[1, 2, 7, 14, 28].map((step) => step * DAY),
];

const clock = { isLocal: false };

/** How far the time that is shown is ahead of UTC, in ms. */
function aheadOfUtc(at) {
  return clock.isLocal ? -new Date(run.origin + at).getTimezoneOffset() * MINUTE : 0;
}

/** The fields of the time that is shown: 2026-11-25T14:31:54.223. */
function fields(at) {
  return new Date(run.origin + at + aheadOfUtc(at)).toISOString().slice(0, 23);
}

function moment(at) {
  return fields(at).replace("T", " ");
}

function period(start, end) {
  const [from, to] = [moment(start), moment(end)];
  return `${from} \u2013 ${from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to}`;
}

function zone() {
  return clock.isLocal ? "local time" : "UTC";
}

/** About so many instants as an axis has room for, each with its label; of a midnight that is the date. */
function ticks(start, end, most) {
  const step = STEPS.find((step) => (end - start) / step <= most) ?? 56 * DAY;
  const ahead = run.origin + aheadOfUtc(start);
  const found = [];
  for (let at = Math.ceil((start + ahead) / step) * step - ahead; at <= end; at += step) {
    found.push({ at, label: tickLabel(fields(at), step) });
  }
  return found;
}

function tickLabel(text, step) {
  if (text.endsWith("T00:00:00.000") || step >= DAY) return text.slice(5, 10);
  if (step < SECOND) return text.slice(11, 23);
  return step < MINUTE ? text.slice(11, 19) : text.slice(11, 16);
}

/** How long something is, as the report words it: 9 h 27 min 35.1 s; what is short in ms. */
function lengthOf(length) {
  if (length < SECOND) return `${Math.round(length)} ms`;
  const tenths = Math.round(length / 100);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600)];
  const parts = [`${((tenths % 600) / 10).toFixed(1)} s`];
  if (minutes) parts.unshift(`${minutes % 60} min`);
  if (hours) parts.unshift(`${hours} h`);
  return parts.join(" ");
}
