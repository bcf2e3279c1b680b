"""The list of runs, for people and as JSON. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from downtimer.clock import to_utc
from downtimer.model import RunId
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.store.runs import RunEntry


def render(entries: Sequence[RunEntry], under_way: RunId | None) -> Iterator[str]:
    """Yield a line for each run, the oldest first."""
    if not entries:
        yield "No runs yet; `downtimer start` begins one.\n"
        return
    yield f"{'run':<22}{'start (UTC)':<21}{'length':>18}{'targets':>9}{'MB':>8}  state\n"
    for entry in entries:
        if entry.error is not None:
            yield f"{printable(entry.id):<22}{printable(entry.error)}\n"
            continue
        label = f"  {printable(entry.label)}" if entry.label else ""
        length = "-" if entry.end_ns is None else wording.length(entry.end_ns)
        yield (
            f"{entry.id:<22}{to_utc(entry.start_utc_ns, 0):%Y-%m-%d %H:%M:%S}  {length:>18}"
            f"{entry.targets:>9}{entry.size_bytes / 1e6:>8.1f}  {_state(entry, under_way)}{label}\n"
        )


def render_json(entries: Sequence[RunEntry], under_way: RunId | None) -> Iterator[str]:
    """Yield the list as a JSON array; instants in RFC 3339 UTC, None where there is none."""
    runs = [
        {
            "id": entry.id,
            "label": entry.label,
            "state": _state(entry, under_way),
            "start": None if entry.error else _utc(entry, 0),
            "end": None if entry.end_ns is None else _utc(entry, entry.end_ns),
            "targets": entry.targets,
            "size_bytes": entry.size_bytes,
            "influxdb_backlog": entry.backlog,
            "path": entry.path,
            "error": entry.error,
        }
        for entry in entries
    ]
    yield msgspec.json.format(msgspec.json.encode(runs), indent=2).decode() + "\n"


def _state(entry: RunEntry, under_way: RunId | None) -> str:
    if entry.error is not None:
        return "unreadable"
    if entry.is_imported:
        return "imported"
    if entry.id == under_way:
        return "running"
    if entry.end_ns is None or entry.interrupted:
        return "interrupted"
    return "ended"


def _utc(entry: RunEntry, at_ns: int) -> str:
    return to_utc(entry.start_utc_ns, at_ns).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
