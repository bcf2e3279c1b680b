"""How `status` puts instants, durations and names, for all who show its answer. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from downtimer.printable import printable

_WORDS: Final = {"service": ("service", "services"), "address": ("address", "addresses")}

SEEN: Final = ("up", "slow", "down", "unknown")
"""Columns of a kind's counts in a `status` answer: those of which a probe is resolved."""

_DOWN_SHOWN: Final = 5
"""So many names a line has."""


def duration(seconds: float) -> str:
    """Return a duration as people say it."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def count(kind: str, number: int) -> str:
    """Return so many services, or addresses."""
    return f"{number} {_WORDS[kind][number != 1]}"


def name_of(item: Mapping[str, Any]) -> str:
    """Return the name of a target, with its region if it has one."""
    region = f" ({printable(item['region'])})" if item["region"] else ""
    return f"{printable(item['name'])}{region}"


def down_already(answer: Mapping[str, Any]) -> str:
    """Return what is down by a `status` answer, in part of a line; empty if nothing is."""
    causes: dict[str, set[str]] = {}
    for item in answer["down"]:
        causes.setdefault(name_of(item), set()).add(item["cause"])
    if not causes:
        return ""
    shown = [f"{name} ({printable(', '.join(sorted(causes[name])))})" for name in list(causes)[:_DOWN_SHOWN]]
    more = len(causes) - len(shown) + answer["more_down"]
    return f"down already: {', '.join(shown)}{f' and {more} more' if more else ''}"


def moment_of(instant: str) -> str:
    """Return an RFC 3339 instant as reports put it: ``2026-11-22 16:37:05.123 UTC``."""
    at = datetime.fromisoformat(instant) + timedelta(microseconds=500)  # rounded, halves up
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"


def seen_as(state: str, answer: Mapping[str, Any]) -> str:
    """Return the word for how a target stands: while probing rests, one that was not seen since is paused."""
    return "paused" if state == "unseen" and answer["paused"] else state


def rests(process: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Tell whether a process has ended because probing is paused."""
    return bool(answer["paused"]) and process["state"] == "ended"


def clock_of(instant: str) -> str:
    """Return the time of day of an RFC 3339 instant, to the second."""
    return instant[11:19]


def now_of(answer: Mapping[str, Any]) -> datetime:
    """Return when a `status` answer was given."""
    return datetime.fromisoformat(answer["run"]["start"]) + timedelta(seconds=answer["uptime_s"])
