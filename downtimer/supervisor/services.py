"""How each service stands, for `status`. Pure."""

from collections import defaultdict
from typing import Any, Final

from downtimer.clock import format_utc, to_utc
from downtimer.messages import Turned
from downtimer.model import SECOND_NS, Kind, TargetId, TargetState, Verdict
from downtimer.supervisor.measurement import Measurement

SERVICES_MAX: Final = 1_000

UNSEEN: Final = "unseen"
"""How a service stands of which no probe is resolved yet."""


def list_services(measurement: Measurement, now_ns: int) -> list[dict[str, Any]]:
    """Return how each service that is probed stands, as JSON values; those first that are not up.

    ``state`` is that of the worst of its checks, ``latency_s`` of the last good answer of its root, ``down``
    the checks that fail. At most `SERVICES_MAX` of them.
    """
    down: defaultdict[TargetId, list[Turned]] = defaultdict(list)
    for turned in measurement.picture.down():
        down[turned.target].append(turned)
    found = [
        _service(measurement, state, down.get(state.target.id, []), now_ns)
        for state in measurement.targets.others()
        if state.target.kind is Kind.SERVICE and state.retired_ns is None
    ]
    found.sort(key=lambda item: (item["state"] == Verdict.UP, item["name"], item["region"] or ""))
    return found[:SERVICES_MAX]


def _service(measurement: Measurement, state: TargetState, down: list[Turned], now_ns: int) -> dict[str, Any]:
    target = state.target
    standing = measurement.picture.standings.get(target.id)
    verdict = standing.verdict if standing is not None else None
    latency_ns = standing.latency_ns if standing is not None else None
    return {
        "target": target.id,
        "name": target.name,
        "region": target.region,
        "state": Verdict.DOWN.value if down else UNSEEN if verdict is None else verdict.value,
        "latency_s": None if latency_ns is None else round(latency_ns / SECOND_NS, 6),
        "down": [
            told_of(measurement, turned, now_ns)
            for turned in sorted(down, key=lambda turned: (turned.since_ns, turned.check))
        ],
    }


def told_of(measurement: Measurement, turned: Turned, now_ns: int) -> dict[str, Any]:
    """Return what is told of a check that is down, as JSON values."""
    return {
        "check": turned.check,
        "since": format_utc(to_utc(measurement.settings.run.start_utc_ns, turned.since_ns)),
        "for_s": round((now_ns - turned.since_ns) / SECOND_NS, 3),
        "cause": turned.cause,
    }
