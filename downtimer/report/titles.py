"""How the targets, the instants and the judgements of a run are written in its reports."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from downtimer.assertions import Result
from downtimer.findings import TargetSummary
from downtimer.model import Kind
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.summary import Summary

KINDS: Final[Mapping[Kind, str]] = MappingProxyType({Kind.SERVICE: "Service", Kind.ADDRESS: "Address"})

RESULTS: Final[Mapping[Result, str]] = MappingProxyType(
    {Result.FAIL: "failed", Result.UNDECIDED: "undecided", Result.PASS: "passed"}
)
"""What is said of assertions with each result, the worst first."""


def told_counts(counts: Mapping[Kind, int]) -> list[str]:
    """Return ``9 services`` and ``20 addresses``, each if there are any; what else there is, is no target."""
    return [wording.plural(counts[kind], kind.value) for kind in KINDS if counts.get(kind)]


def name_of(summary: Summary, target: TargetSummary) -> str:
    """Return ``nova``, or ``nova (RegionTwo)``; safe to print."""
    return printable(summary.name_of(target.target))


def title_of(summary: Summary, target: TargetSummary) -> str:
    """Return ``Service nova``."""
    return f"{KINDS[target.target.kind]} {name_of(summary, target)}"


def moment_of(summary: Summary, at_ns: int) -> str:
    """Return an instant of the run in UTC."""
    return wording.moment(summary.run.start_utc_ns + at_ns)


def period_of(summary: Summary, start_ns: int, end_ns: int) -> str:
    """Return two instants of the run in UTC, the latter without its date if that is the same."""
    origin_ns = summary.run.start_utc_ns
    return wording.period(origin_ns + start_ns, origin_ns + end_ns)
