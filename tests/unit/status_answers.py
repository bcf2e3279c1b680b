"""Answers to `status`, as a daemon gives them, for what shows them."""

from typing import Any

START = "2026-11-26T02:10:00.000000Z"


def counts(**given: int) -> dict[str, int]:
    """Return counts of targets; those that are not given are 0."""
    found = dict.fromkeys(("probed", "up", "slow", "down", "unknown", "unseen"), 0) | given
    return found | {"probed": found["probed"] or sum(given.values())}


def failing(target: str, check: str = "answers", cause: str = "refused", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return what is said of a check that is down: for 16.2 s."""
    kind, _, name = target.partition("/")
    since = {"since": "2026-11-26T02:11:00.123456Z", "for_s": 16.2}
    of_target = {"target": target, "kind": kind, "name": name, "region": None, "is_keystone": False}
    return of_target | {"check": check, "cause": cause} | since | more


def service(name: str, state: str = "up", *down: dict[str, Any], region: str = "One") -> dict[str, Any]:
    """Return how a service stands."""
    return {
        "target": f"service/{name}",
        "name": name,
        "region": region,
        "state": state,
        "latency_s": 0.0123 if state != "unseen" else None,
        "down": list(down),
    }


def answer(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the answer of a daemon of which all is well, but for what is given."""
    processes = [
        {"name": name, "state": "running", "pid": 7, "restarts": 0, "beat_age_s": 0.5, "reason": None}
        for name in ("discovery", "api", "icmp", "writer")
    ]
    found: dict[str, Any] = {
        "run": {"id": "20261126-021000-abcd", "label": "", "vantage": "monitor", "start": START},
        "uptime_s": 76.5,
        "starting": False,
        "ending": False,
        "processes": processes,
        "targets": {"service": counts(up=1), "address": counts(), "agent": counts()},
        "references": {"answered": 1, "down": 0},
        "lacking": [],
        "complaints": [],
        "unverified": [],
        "services": [service("nova")],
        "down": [],
        "more_down": 0,
        "marks": [],
        "paused": None,
        "journal": {"path": "/j", "rows": 12, "size_bytes": 200_000, "error": None},
        "influxdb": {"state": "off", "backlog": 0, "rejected": 0, "error": None, "address_window_s": None},
        "control": {"refused": 0},
        "dropped": 0,
    }
    return found | given
