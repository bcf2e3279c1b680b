"""What `status` answers: the run, the processes, the targets, and what is down right now. Pure."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from downtimer.certificates import unverified
from downtimer.checks import is_identity
from downtimer.clock import format_utc, to_utc
from downtimer.messages import Counts, Turned
from downtimer.model import SECOND_NS, Kind
from downtimer.supervisor import services
from downtimer.supervisor.children import Child
from downtimer.supervisor.measurement import Measurement
from downtimer.workers.window_length import window_of

DOWN_MAX: Final = 1_000


def status(measurement: Measurement, refused: int) -> dict[str, Any]:
    """Return the picture of a run under way, as JSON values. Seconds are numbers, instants RFC 3339 UTC.

    Args:
        measurement: Of the run.
        refused: How many requests on the control socket were.
    """
    run = measurement.settings.run
    now_ns = measurement.clock.now_ns()
    picture = measurement.picture
    writer = picture.writer
    down, more_down = measurement.down(DOWN_MAX)
    return {
        "run": {
            "id": run.id,
            "label": run.label,
            "vantage": run.vantage,
            "start": format_utc(to_utc(run.start_utc_ns, 0)),
        },
        "uptime_s": now_ns / SECOND_NS,
        "starting": measurement.is_starting,
        "ending": measurement.is_ending,
        "paused": utc(measurement, measurement.paused_ns),
        "marks": [
            {"at": utc(measurement, mark.at_ns), "text": mark.text} for mark in reversed(measurement.marks)
        ],
        "processes": [_process(child, now_ns) for child in measurement.roster.children.values()],
        "targets": {
            kind.value: _counts(picture.counts(kind), measurement.targets.count_probed(kind)) for kind in Kind
        },
        "references": _references(measurement),
        "lacking": list(_lacking(measurement)),
        "complaints": list(picture.complaints),
        "unverified": unverified(measurement.settings.config),
        "services": services.list_services(measurement, now_ns),
        "down": [_down(measurement, turned, now_ns) for turned in down],
        "more_down": more_down,
        "journal": {
            "path": measurement.settings.journal,
            "rows": writer.rows if writer is not None else None,
            "size_bytes": writer.size_bytes if writer is not None else None,
            "error": writer.journal_error if writer is not None else None,
        },
        "influxdb": {
            "state": writer.influxdb if writer is not None else "unknown",
            "backlog": writer.backlog if writer is not None else None,
            "rejected": writer.rejected if writer is not None else None,
            "error": writer.error if writer is not None else None,
            "address_window_s": _address_window_s(measurement),
        },
        "control": {"refused": refused},
        "dropped": sum(beat.dropped for beat in picture.beats.values())
        + (writer.dropped if writer is not None else 0),
    }


def _address_window_s(measurement: Measurement) -> float | None:
    """Return of how long InfluxDB gets a point for each address; None if it gets none of them."""
    addresses = measurement.targets.count_probed(Kind.ADDRESS)
    length_ns = window_of(measurement.settings.config.db, addresses)
    return None if length_ns is None else length_ns / SECOND_NS


def utc(measurement: Measurement, at_ns: int | None) -> str | None:
    """Return an instant of the run in RFC 3339; None for None."""
    return None if at_ns is None else format_utc(to_utc(measurement.settings.run.start_utc_ns, at_ns))


def _process(child: Child, now_ns: int) -> dict[str, Any]:
    return {
        "name": child.name,
        "state": child.state.value,
        "pid": child.pid,
        "restarts": child.restarts,
        "beat_age_s": round(child.age_s(now_ns), 3) if child.pid is not None else None,
        "reason": child.reason,
    }


def _references(measurement: Measurement) -> dict[str, int]:
    answered, down = measurement.references()
    return {"answered": answered, "down": down}


def _lacking(measurement: Measurement) -> Iterator[dict[str, Any]]:
    """Yield each check that a service of the catalog has not."""
    for state in measurement.targets.others():
        for check, why in state.lacks.items():
            yield {"name": state.target.name, "region": state.target.region, "check": check, "why": why}


def _counts(counts: Counts, probed: int) -> dict[str, int]:
    return {"probed": probed, **msgspec.structs.asdict(counts)}


def _down(measurement: Measurement, turned: Turned, now_ns: int) -> dict[str, Any]:
    state = measurement.targets.get(turned.target)
    target = state.target if state is not None else None
    return {
        "target": turned.target,
        "kind": target.kind.value if target is not None else None,
        "name": target.name if target is not None else turned.target,
        "region": target.region if target is not None else None,
        "is_keystone": target is not None and is_identity(target),
        **services.told_of(measurement, turned, now_ns),
    }
