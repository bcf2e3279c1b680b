"""How figures, instants and names are worded for people. Pure.

Figures are rounded halves up, in integers, since a float's half is rarely one. Bounds are rounded
outwards, so that what lies within the bounds lies within the bounds shown.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from downtimer.findings import Outage, TargetSummary
from downtimer.model import MILLISECOND_NS, SECOND_NS
from downtimer.printable import printable

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "send": "this host could not send",
        "no-route": "this host had no route",
        "resolver": "this host's resolver failed, and no address was known",
        "stall": "downtimer was held up on this host",
        "restart": "downtimer, or a process of it, was not running",
        "suspended": "this host was suspended",
        "paused": "the measurement was paused",
        "unlisted": "it was in no list that could be had",
        "vantage": "this host's own link was down: the references failed, and most else with them",
        "keystone": "Keystone's fault, which is on its own line",
        "token": "our token was not accepted",
        "throttled": "the service asked for fewer requests (429)",
        "pending": "another call to the service hung, and no second one was made",
        "bug": "a defect of downtimer; its log says more",
    }
)
"""Why a probe said nothing of its target, by cause."""

NO_PROOF: Final = "never answered: it can't prove this host's own link"
"""What is said of such a reference."""

_MICROSECOND_NS = 1_000
_FINE_UNTIL_NS = 10 * SECOND_NS
_FINE_NS = 10 * MILLISECOND_NS
_COARSE_NS = 100 * MILLISECOND_NS
# Looking them up takes a tenth of the time that it takes to format them, and a report has millions.
_TWO_DIGITS: Final = tuple(f"{number:02d}" for number in range(100))
_THREE_DIGITS: Final = tuple(f"{number:03d}" for number in range(1000))


def halves_up(numerator: int, denominator: int) -> int:
    """Return the quotient of two non-negative ints, rounded, halves up."""
    return (numerator + denominator // 2) // denominator


def whole_seconds(length_ns: int) -> str:
    """Return ``16``."""
    return str(halves_up(length_ns, SECOND_NS))


def tenths_of_seconds(length_ns: int) -> str:
    """Return ``30855.0``."""
    return _tenths(halves_up(length_ns, _COARSE_NS))


def percent(part_ns: int, whole_ns: int) -> str:
    """Return ``90.5``; ``0.0`` of nothing."""
    if not part_ns or not whole_ns:
        return "0.0"
    return _tenths(halves_up(part_ns * 1000, whole_ns))


def share(part: float) -> str:
    """Return ``90.5`` for a part of 1."""
    return "100.0" if part == 1 else percent(round(part * 1_000_000), 1_000_000)


def seconds(length_ns: int) -> str:
    """Return ``16.2 s``; with two decimals below 10 s."""
    if length_ns < _FINE_UNTIL_NS:
        return f"{_hundredths(halves_up(length_ns, _FINE_NS))} s"
    return f"{_tenths(halves_up(length_ns, _COARSE_NS))} s"


def seconds_up(length_ns: int) -> str:
    """Return ``0.51 s``, rounded up: so long may be what was missed."""
    return f"{_hundredths(-(-length_ns // _FINE_NS))} s"


def bounded(length_ns: int, min_ns: int, max_ns: int) -> str:
    """Return ``16.2 s (15.9–16.4)``."""
    unit_ns, write = (_FINE_NS, _hundredths) if length_ns < _FINE_UNTIL_NS else (_COARSE_NS, _tenths)
    length = write(halves_up(length_ns, unit_ns))
    return f"{length} s ({write(min_ns // unit_ns)}–{write(-(-max_ns // unit_ns))})"


def duration(outage: Outage) -> str:
    """Return the length of an outage or episode from edge to edge, with its bounds."""
    return bounded(outage.duration_ns, outage.min_ns, outage.max_ns)


def downtime(figures: Outage | TargetSummary) -> str:
    """Return the downtime of an outage, episode or target, with its bounds."""
    return bounded(figures.down_ns, figures.down_min_ns, figures.down_max_ns)


def causes(counts: Mapping[str, int], *, most: int | None = None) -> str:
    """Return ``refused 80, reset 1``: failed probes by cause, so many of these at most."""
    told = [f"{printable(cause)} {number(count)}" for cause, count in counts.items()]
    return ", ".join([*told[:most], "…"] if most is not None and len(told) > most else told)


def unobserved(lengths_ns: Mapping[str, int]) -> str:
    """Return ``3.20 s (stall), 0.50 s (restart)``: time without a verdict by cause."""
    return ", ".join(
        [f"{seconds(length_ns)} ({printable(cause)})" for cause, length_ns in lengths_ns.items()]
    )


def length(length_ns: int) -> str:
    """Return ``9 h 27 min 35.1 s``: a length that is too long to read in seconds."""
    tenths = halves_up(length_ns, _COARSE_NS)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] if hours else []
    parts += [f"{minutes} min"] if minutes or hours else []
    return " ".join([*parts, f"{_tenths(tenths)} s"])


def moment(utc_ns: int) -> str:
    """Return ``2026-11-22 16:37:05.123``, in UTC."""
    minutes, rest = divmod(halves_up(utc_ns, MILLISECOND_NS), 60_000)
    seconds, milliseconds = divmod(rest, 1000)
    return f"{_minute(minutes)}:{_TWO_DIGITS[seconds]}.{_THREE_DIGITS[milliseconds]}"


def period(start_utc_ns: int, end_utc_ns: int) -> str:
    """Return the moments of both ends, the latter without its date if that is the same."""
    start, end = moment(start_utc_ns), moment(end_utc_ns)
    return f"{start} – {end[11:] if start[:10] == end[:10] else end}"


def rfc3339(utc_ns: int) -> str:
    """Return ``2026-11-22T16:37:05.123456Z``."""
    whole_s, microseconds = divmod(halves_up(utc_ns, _MICROSECOND_NS), 1_000_000)
    minutes, seconds = divmod(whole_s, 60)
    minute = _minute(minutes)
    return f"{minute[:10]}T{minute[11:]}:{seconds:02d}.{microseconds:06d}Z"


def number(count: int) -> str:
    """Return ``12,345``."""
    return str(count) if count < 1000 else f"{count:,}"


def plural(count: int, noun: str) -> str:
    """Return ``1 service``, ``2 services``, ``2 addresses``."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{number(count)} {noun}{ending}"


def _tenths(scaled: int) -> str:
    return f"{scaled // 10}.{scaled % 10}"


def _hundredths(scaled: int) -> str:
    return f"{scaled // 100}.{_TWO_DIGITS[scaled % 100]}"


@lru_cache(maxsize=2 * 24 * 60)
def _minute(minutes: int) -> str:
    """Return ``2026-11-22 16:37``; a report names each minute of a day many times."""
    return datetime.fromtimestamp(60 * minutes, UTC).strftime("%Y-%m-%d %H:%M")
