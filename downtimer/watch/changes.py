"""What has changed between two answers to `status`, a line each: for a watch without a terminal. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from downtimer.control.wording import SEEN, clock_of, count, duration, name_of, now_of
from downtimer.printable import printable

MANY: Final = 20
"""If more than so many turn between two answers, they are counted instead of named."""

_Answer = Mapping[str, Any]
_Key = tuple[str, str]


def changes(before: _Answer | None, after: _Answer) -> Iterator[str]:
    """Yield a line, without its end, for each change; the first answer of a run is summed up."""
    if before is not None and before["run"]["id"] != after["run"]["id"]:
        before = None
    said = _begin(after) if before is None else ()
    empty: _Answer = {"down": [], "uptime_s": 0.0}
    for line in (*said, *_turned(before or empty, after), *_others(before, after)):
        yield stamp(f"{now_of(after):%Y-%m-%d %H:%M:%S}", line)


def stamp(at: str, line: str) -> str:
    """Return a line with the instant before it."""
    return f"{at} UTC  {line}"


def _begin(answer: _Answer) -> Iterator[str]:
    run, targets = answer["run"], answer["targets"]
    label = f" {printable(run['label'])}" if run["label"] else ""
    counts = ", ".join(count(kind, targets[kind]["probed"]) for kind in ("service", "address"))
    yield f"run {run['id']}{label}: {counts}"


def _turned(before: _Answer, after: _Answer) -> Iterator[str]:
    old, new = _by_key(before), _by_key(after)
    went = [item for key, item in new.items() if key not in old or old[key]["since"] != item["since"]]
    gone = [item for key, item in old.items() if key not in new and not _may_be_cut_off(item, after)]
    passed_s = after["uptime_s"] - before["uptime_s"]
    if len(went) > MANY:
        yield f"down: {len(went)} checks"
    else:
        for item in went:
            yield f"down: {name_of(item)} {item['check']}, {item['cause']}, since {clock_of(item['since'])}"
    for is_lost, word in ((False, "up"), (True, "out of sight")):
        left = [item for item in gone if _is_out_of_sight(item, after) is is_lost]
        if len(left) > MANY:
            yield f"{word}: {len(left)} checks"
            continue
        for item in left:
            length = duration(item["for_s"] + passed_s)
            yield f"{word}: {name_of(item)} {item['check']}, after about {length}"


def _is_out_of_sight(item: _Answer, answer: _Answer) -> bool:
    """Tell whether nothing of its kind is known: probing is paused, or its process begins anew."""
    counts = answer["targets"].get(item["kind"])
    return bool(counts and counts["probed"]) and not any(counts[state] for state in SEEN)


def _may_be_cut_off(item: _Answer, answer: _Answer) -> bool:
    """Tell whether an answer that names only what has been down for longest may have no room for this."""
    if not answer.get("more_down"):
        return False
    return bool(_age(item) > max(map(_age, answer["down"]), default=("", "")))


def _age(item: _Answer) -> _Key:
    """Return what `status` orders by: what has been down for longest comes first."""
    return item["since"], item["target"]


def _by_key(answer: _Answer) -> dict[_Key, _Answer]:
    return {(item["target"], item["check"]): item for item in answer["down"]}


def _others(before: _Answer | None, after: _Answer) -> Iterator[str]:
    known = {(mark["at"], mark["text"]) for mark in (before or {}).get("marks", ())}
    for mark in reversed(after.get("marks", ())):
        if (mark["at"], mark["text"]) not in known:
            yield f"mark at {clock_of(mark['at'])}: {printable(mark['text'])}"
    was_paused, is_paused = bool((before or {}).get("paused")), bool(after.get("paused"))
    if was_paused != is_paused:
        yield "paused" if is_paused else "resumed"
    if after["ending"] and not (before or {}).get("ending"):
        yield "the run is being ended"
    if before is not None:
        yield from _of_daemon(before, after)


def _of_daemon(before: _Answer, after: _Answer) -> Iterator[str]:
    restarts = {process["name"]: process["restarts"] for process in before["processes"]}
    for process in after["processes"]:
        if process["restarts"] > restarts.get(process["name"], 0):
            yield f"the {process['name']} process was restarted"
    for what, error in (("journal", "error"), ("influxdb", "error")):
        old, new = before[what][error], after[what][error]
        if old != new and (old is None or new is None):
            yield f"{what}: {'works again' if new is None else printable(new)}"
