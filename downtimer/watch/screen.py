"""The picture of a watch for a terminal of a given size. Pure: an answer to `status` → what `rich` shows.

What matters most keeps its place when the terminal is small: the counts, then services that are not up, then
addresses that are down (longest first), then the other services. Of what there is no room for it is said how
much it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from rich.console import Group, RenderableType
from rich.text import Text

from downtimer.control.wording import clock_of, duration, name_of, now_of, rests, seen_as
from downtimer.printable import printable
from downtimer.watch.rooms import share
from downtimer.watch.table import Column, table

_Answer = Mapping[str, Any]
_T = TypeVar("_T")

_STYLES: Final = {"up": "green", "slow": "yellow", "down": "bold red", "unknown": "magenta", "unseen": "dim"}
_COLUMNS: Final = ("up", "slow", "down", "unknown", "unseen")
_MARKS_MAX: Final = 5


class Away(NamedTuple):
    """The daemon does not answer: since when, and why."""

    since: datetime
    why: str


def render(answer: _Answer, away: Away | None, rows: int, columns: int) -> RenderableType:
    """Return the picture.

    Args:
        answer: The last that the daemon gave.
        away: It is not there now; None if it is.
        rows: Of the terminal.
        columns: Likewise.
    """
    head = list(_head(answer, away))
    health = list(_health(answer))
    marks = [_mark(mark) for mark in answer.get("marks", ())[:_MARKS_MAX]]
    services = answer["services"]
    unwell = 0 if answer["paused"] else sum(service["state"] != "up" for service in services)
    down = [item for item in answer["down"] if item["kind"] == "address"]
    more_down = answer["targets"]["address"]["down"] - len(down)
    free = rows - len(head) - len(health) - 1  # and the last line
    room = share(free, unwell=unwell, services=len(services), addresses=len(down), marks=len(marks))
    parts: list[RenderableType] = [*head]
    if room.services:
        parts.append(_services(answer, room.services, columns))
    if room.addresses:
        parts.append(_addresses(down, more_down, room.addresses, columns))
    if room.marks:
        shown, more = _cut(marks, room.marks)
        parts += [Text("\nMarks", style="bold"), *shown, *_more(more, "marks")]
    parts += [Text()] * room.spare
    return Group(*parts, *health, _foot(0 if room.marks else len(marks)))


def _foot(hidden: int) -> Text:
    """Return the last line. `hidden`: so many marks there are, and no room for any."""
    marks = f"{hidden} mark{'s' if hidden > 1 else ''} not shown; " if hidden else ""
    return _line(f"{marks}q quits; instants are UTC", "dim")


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


# --- the head ---


def _head(answer: _Answer, away: Away | None) -> Iterator[Text]:
    run = answer["run"]
    label = f"  {printable(run['label'])}" if run["label"] else ""
    title = _line(f"{now_of(answer):%H:%M:%S}  run {run['id']}{label}", "bold")
    title.append(f"  from {printable(run['vantage'])}, for {duration(answer['uptime_s'])}", "not bold")
    yield title
    for kind, word in (("service", "Services"), ("address", "Addresses")):
        yield _counts(word, answer["targets"][kind], answer)
    yield from _notes(answer, away)


def _counts(word: str, counts: Mapping[str, int], answer: _Answer) -> Text:
    line = _line(f"{word:<10}{counts['probed']:>7}")
    for column in _COLUMNS:
        if counts[column] or (column == "up" and not answer["paused"]):
            line.append("  ")
            line.append(f"{counts[column]} {seen_as(column, answer)}", _STYLES[column])
    return line


def _notes(answer: _Answer, away: Away | None) -> Iterator[Text]:
    if away is not None:
        yield _line(f"No answer since {away.since:%H:%M:%S}: {printable(away.why)}", "bold red")
        yield _line("Waiting for it; what is shown is how things stood.", "red")
    if answer.get("paused"):
        yield _line(f"Paused since {clock_of(answer['paused'])}: nothing is probed.", "bold yellow")
    if answer["starting"]:
        yield _line("The run is just being started.", "yellow")
    if answer["ending"]:
        yield _line("The run is being ended.", "yellow")
    references = answer["references"]
    if references["down"] == references["answered"] > 0:
        yield _line("The references fail, too: it may be this host's own link.", "bold yellow")
    agents = answer["targets"]["agent"]
    if agents["down"]:
        yield _line(
            f"{agents['down']} of {agents['probed']} agents are reported down by the cloud.", "yellow"
        )
    if answer["complaints"]:
        yield _line(
            f"{len(answer['complaints'])} parts of the configuration have no effect: see status.", "dim"
        )


# --- targets ---


def _services(answer: _Answer, rows: int, columns: int) -> RenderableType:
    """Return those for which there is room: if it is for all, none changes its place."""
    services = answer["services"]
    shown, more = _cut(services, rows - 2)
    if not more:
        shown = sorted(shown, key=lambda service: (service["name"], service["region"] or ""))
    has_regions = len({service["region"] for service in services}) > 1
    downs = [service["down"] for service in shown]
    found = (
        Column("Service", [Text(name_of(one) if has_regions else printable(one["name"])) for one in shown]),
        Column("state", [Text(seen_as(one["state"], answer), _STYLES[one["state"]]) for one in shown]),
        Column("since", [Text(clock_of(down[0]["since"]) if down else "") for down in downs]),
        Column("for", [Text(duration(down[0]["for_s"]) if down else "") for down in downs]),
        Column("latency", [Text(_latency(one)) for one in shown]),
        Column("why", [Text(_why(down)) for down in downs]),
    )
    return Group(Text(), table(found, columns, ("latency", "since")), *_more(more, "services"))


def _latency(service: _Answer) -> str:
    """Return how soon the root answered last; empty if that says nothing of now."""
    latency_s = service["latency_s"]
    return "" if latency_s is None or service["down"] else f"{latency_s * 1000:.0f} ms"


def _why(down: Sequence[_Answer]) -> str:
    """Return the causes, each with the checks that fail of it."""
    checks: dict[str, list[str]] = {}
    for each in down:
        checks.setdefault(each["cause"], []).append(each["check"])
    return "; ".join(f"{cause} ({', '.join(names)})" for cause, names in checks.items())


def _addresses(down: Sequence[_Answer], more_down: int, rows: int, columns: int) -> RenderableType:
    shown, more = _cut(down, rows - 2, more_down)
    found = (
        Column("Address that is down", [Text(name_of(item)) for item in shown]),
        Column("since", [Text(clock_of(item["since"])) for item in shown]),
        Column("for", [Text(duration(item["for_s"])) for item in shown]),
        Column("why", [Text(_why([item])) for item in shown]),
    )
    return Group(Text(), table(found, columns, ("since",)), *_more(more, "that are down, for less long"))


def _cut(items: Sequence[_T], rows: int, beyond: int = 0) -> tuple[Sequence[_T], int]:
    """Return those for which there is room, and how many more there are; these take a row, too."""
    if len(items) <= rows and beyond <= 0:
        return items, 0
    shown = items[: max(rows - 1, 0)]
    return shown, len(items) - len(shown) + max(beyond, 0)


def _more(count: int, what: str) -> Iterator[Text]:
    if count:
        yield _line(f"… and {count} more {what}", "dim")


def _mark(mark: Mapping[str, str]) -> Text:
    return _line(f"{clock_of(mark['at'])}  {printable(mark['text'])}")


# --- the daemon itself ---


def _health(answer: _Answer) -> Iterator[Text]:
    processes = answer["processes"]
    running = sum(process["state"] == "running" for process in processes)
    restarts = sum(process["restarts"] for process in processes)
    journal, influxdb = answer["journal"], answer["influxdb"]
    ill = [process for process in processes if process["state"] != "running" and not rests(process, answer)]
    resting = len(processes) - running - len(ill)
    share_of_all = f"{running} of {len(processes)} processes{', the others rest' if resting else ''}"
    words = [f"{share_of_all}, {restarts} restarts"]
    if answer["dropped"]:
        words.append(f"{answer['dropped']} dropped")
    waiting = f", {influxdb['backlog']} wait" if influxdb["backlog"] else ""
    words.append(f"influxdb {influxdb['state']}{waiting}")
    words.append(f"journal {journal['rows'] or 0} spans, {(journal['size_bytes'] or 0) / 1e6:.1f} MB")
    yield _line("daemon: " + "; ".join(words), "yellow" if ill else "dim")
    for process in ill:
        why = f": {printable(process['reason'])}" if process["reason"] else ""
        yield _line(f"  {process['name']}: {process['state']}{why}", "yellow")
    if journal["error"]:
        yield _line(f"  the journal cannot be written: {printable(journal['error'])}", "bold red")
    if influxdb["error"]:
        yield _line(f"  {printable(influxdb['error'])}", "yellow")
