"""Troubles of our own that are played while a cloud is well, and what a report makes of them."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from downtimer.model import SECOND_NS
from tests.accuracy.judge import Report, outages_of

BEFORE_NS: Final = 18 * SECOND_NS // 10
"""What was measured so shortly before a process is killed may not have left it yet."""

AFTER_NS: Final = 4 * SECOND_NS
"""So long after its end a trouble may still be felt."""


class Trouble(NamedTuple):
    """One trouble of ours that was played, and when, on the clock of the record."""

    name: str
    start_ns: int
    end_ns: int


def invented_s(report: Report, played: Sequence[Trouble], but: Collection[str] = ()) -> dict[str, float]:
    """Return all the downtime that is reported, by the latest trouble that had begun by its end.

    Args:
        report: What is reported.
        played: The troubles, in order.
        but: Targets that were really down now and then.
    """
    found = dict.fromkeys((trouble.name for trouble in played), 0.0)
    for name, summary in report.targets.items():
        for outage in outages_of(summary) if name not in but else ():
            before = [one for one in played if one.start_ns - report.origin_ns <= outage.end_ns]
            found[(before or played[:1])[-1].name] += outage.down_ns / SECOND_NS
    return found


def unobserved_s(
    report: Report, trouble: Trouble, until_ns: int | None = None, but: Collection[str] = ()
) -> float:
    """Return the longest time that one trouble left a target unobserved.

    Args:
        report: What is reported.
        trouble: Which.
        until_ns: When the next one began; None if it was not soon.
        but: Targets that were really down now and then.
    """
    start_ns = trouble.start_ns - BEFORE_NS - report.origin_ns
    end_ns = trouble.end_ns + AFTER_NS - report.origin_ns
    if until_ns is not None:
        end_ns = min(end_ns, until_ns - BEFORE_NS - report.origin_ns)
    seen_ns = (report.observed_ns(name, start_ns, end_ns) for name in report.targets if name not in but)
    return (end_ns - start_ns - min(seen_ns)) / SECOND_NS
