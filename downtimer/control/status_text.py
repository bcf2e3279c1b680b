"""`status` for people: what the daemon answered, as lines. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from downtimer.control.wording import duration, moment_of, name_of, rests, seen_as
from downtimer.model import WORKS
from downtimer.printable import printable

_DOWN_SHOWN: Final = 50
"""So many lines are read; who wants more wants the JSON."""


def render(answer: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines of a `status` answer."""
    run = answer["run"]
    label = f"  {printable(run['label'])}" if run["label"] else ""
    yield f"Run {run['id']}{label}, from {printable(run['vantage'])}, for {duration(answer['uptime_s'])}\n\n"
    if answer["starting"]:
        yield "The run is just being started: not everything has been seen once.\n\n"
    if answer["ending"]:
        yield "The run is being ended; InfluxDB has half a minute to take what waits for it.\n\n"
    if answer["paused"]:
        yield f"Paused since {moment_of(answer['paused'])}: nothing is probed until `downtimer resume`.\n\n"
    yield from _targets(answer)
    yield "\n"
    if not answer["paused"]:
        yield from _down(answer["down"], answer["more_down"], answer["targets"])
    yield from _references(answer["references"])
    yield from _lacking(answer["lacking"])
    yield from _complaints(answer["complaints"])
    yield from (f"{line[:1].upper()}{line[1:]}.\n" for line in answer["unverified"])
    if answer["marks"]:
        yield "\nLatest marks:\n"
    for mark in answer["marks"]:
        yield f"  {moment_of(mark['at'])}  {printable(mark['text'])}\n"
    yield "\n"
    yield from _processes(answer)
    yield "\n"
    yield from _stores(answer)


def _targets(answer: Mapping[str, Any]) -> Iterator[str]:
    targets, columns = answer["targets"], ("probed", "up", "slow", "down", "unknown", "unseen")
    yield f"{'':<12}" + "".join(f"{seen_as(column, answer):>9}" for column in columns) + "\n"
    for kind, name in (("service", "services"), ("address", "addresses")):
        counts = targets[kind]
        yield f"{name:<12}" + "".join(f"{counts[column]:>9}" for column in columns) + "\n"
    agents = targets["agent"]
    if agents["probed"]:
        yield f"{agents['probed']} agents, of which the cloud reports {agents['down']} down.\n"


def _down(
    down: list[Mapping[str, Any]], more: int, targets: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    blind = sum(targets[kind]["unknown"] + targets[kind]["unseen"] for kind in ("service", "address"))
    if blind:
        have = "target has" if blind == 1 else "targets have"
        yield f"{blind} {have} no verdict: the report says why, under `Not observed`.\n"
    if not any(targets[kind]["probed"] for kind in ("service", "address")):
        yield "Nothing is measured.\n"
        return
    if not down:
        yield "Nothing is known to be down.\n" if blind else "Nothing is down.\n"
        return
    yield "Down now:\n"
    for item in down[:_DOWN_SHOWN]:
        yield (
            f"  {name_of(item)}  {item['check']}: {item['cause']}, "
            f"since {moment_of(item['since'])} ({duration(item['for_s'])})\n"
        )
    if (more := more + len(down[_DOWN_SHOWN:])) > 0:
        yield f"  … and {more} more, for less long.\n"
    if any(item["is_keystone"] for item in down) and any(
        item["check"] == WORKS and not item["is_keystone"] for item in down
    ):
        yield "Keystone fails, too: what fails for want of it is an impairment, and in no downtime.\n"


def _references(references: Mapping[str, int]) -> Iterator[str]:
    if references["down"] == references["answered"] > 0:
        yield "The references fail, too: it may be this host's own link, which is nobody's downtime.\n"


def _lacking(lacking: list[Mapping[str, str]]) -> Iterator[str]:
    by_reason: dict[tuple[str, str], list[str]] = {}
    for item in lacking:
        by_reason.setdefault((item["check"], item["why"]), []).append(printable(item["name"]))
    for (check, why), names in by_reason.items():
        yield f"Without the check {check}: {', '.join(names)} ({printable(why)}).\n"


def _complaints(complaints: list[str]) -> Iterator[str]:
    if complaints:
        yield "About the configuration:\n"
    for line in complaints:
        yield f"  {printable(line)}\n"


def _processes(answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'process':<12}{'state':<10}{'pid':>8}{'restarts':>10}{'last beat':>12}\n"
    for process in answer["processes"]:
        age = process["beat_age_s"]
        beat = f"{age:.1f} s ago" if age is not None else "-"
        state = "rests" if rests(process, answer) else process["state"]
        yield (
            f"{process['name']:<12}{state:<10}{process['pid'] or '-':>8}{process['restarts']:>10}{beat:>12}\n"
        )
        if process["reason"]:
            yield f"  {printable(process['reason'])}\n"


def _stores(answer: Mapping[str, Any]) -> Iterator[str]:
    journal, influxdb = answer["journal"], answer["influxdb"]
    size = f", {journal['size_bytes'] / 1e6:.1f} MB" if journal["size_bytes"] is not None else ""
    yield f"journal      {journal['rows']} spans{size}, {printable(journal['path'])}\n"
    if journal["error"]:
        yield f"  cannot be written: {printable(journal['error'])}\n"
    if influxdb["state"] == "off":
        yield "influxdb     off\n"
    else:
        error = f", {printable(influxdb['error'])}" if influxdb["error"] else ""
        rejected = f", {influxdb['rejected']} rejected" if influxdb["rejected"] else ""
        yield f"influxdb     {influxdb['state']}, {influxdb['backlog']} points to ship{rejected}{error}\n"
        if answer["targets"]["address"]["probed"]:
            window_s = influxdb["address_window_s"]
            often = "no points" if window_s is None else f"a point each of {window_s:g} s"
            yield f"  of addresses {often} ([db] address_window)\n"
    if answer["control"]["refused"]:
        yield f"control      {answer['control']['refused']} requests refused\n"
    if answer["dropped"]:
        yield f"dropped      {answer['dropped']} details\n"
