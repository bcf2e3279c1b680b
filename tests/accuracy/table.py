"""What was measured, as tables: what is promised, each kind of fault, our own troubles. Pure."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tabulate import tabulate

from tests.accuracy import kinds
from tests.accuracy.judge import Finding, Tally
from tests.accuracy.kinds import Measure
from tests.accuracy.proof import Results

REQUESTS_A_SECOND: Final = 2.0
_NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise, and whether it was kept.

    Attributes:
        what: What is promised.
        limit: The promise.
        measured: What came of it.
        is_kept: Whether that is within the limit.
    """

    what: str
    limit: str
    measured: str
    is_kept: bool


def p95(values: Iterable[float]) -> float:
    """Return the 95th percentile: the least value that at least 95 % of all do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[math.ceil(0.95 * len(ranked)) - 1]


def errors_s(tallies: Iterable[Tally]) -> list[float]:
    """Return by how much each figure is off; a fault that was missed counts with all its length."""
    return [finding.error_s for tally in tallies for finding in tally.findings]


def peers_errors_s(tallies: Iterable[Tally]) -> list[float]:
    """Return by how much the figures of the peers are off."""
    found = (finding.peer_error_s for tally in tallies for finding in tally.findings)
    return [error_s for error_s in found if error_s is not None]


def promises(results: Results) -> list[Promise]:
    """Return everything that is promised, and what came of it."""
    return [*honest(results), *_sharp(results)]


def honest(results: Results) -> list[Promise]:
    """Return what is promised whatever the machine, and what came of it."""
    invented_s = results.played.invented_s + sum(tally.invented_s for tally in results.tallies)
    if results.crowd is not None:
        invented_s += results.crowd.invented_s
    ours_s = sum(outcome.invented_s for outcome in results.outcomes)
    rate = results.played.requests_a_second
    return [
        *_found(results.tallies),
        Promise("downtime on targets that had no fault", "0 s", f"{invented_s:g} s", invented_s == 0),
        Promise("downtime from our own troubles", "0 s", f"{ours_s:g} s", ours_s == 0),
        Promise(
            "requests to a URL that is up, averaged over a minute",
            f"≤ {REQUESTS_A_SECOND:g} a second",
            f"{rate:.2f} a second",
            round(rate, 2) <= REQUESTS_A_SECOND,
        ),
    ]


def _found(tallies: Sequence[Tally]) -> list[Promise]:
    findings = [finding for tally in tallies for finding in tally.findings]
    detected = [finding for finding in findings if finding.is_detected]
    within = [finding for finding in detected if finding.is_within]
    missed = [finding for finding in findings if not finding.is_detected]
    longer = [finding for finding in missed if not finding.may_be_missed]
    return [
        Promise(
            "outages that were detected: the truth lies in the bounds",
            "all",
            f"{len(within)} of {len(detected)}",
            len(within) == len(detected),
        ),
        Promise(
            "outages that were missed: longer than the stated resolution",
            "none",
            f"{len(longer)} of {len(missed)}",
            not longer,
        ),
    ]


def _sharp(results: Results) -> list[Promise]:
    """Return what is promised of the errors."""
    timed = [tally for tally in results.tallies if tally.kind.measure not in (Measure.SHARE, Measure.QUIET)]
    kept = [tally for tally in timed if tally.kind is kinds.KILLED_KEPT]
    hung = [tally for tally in timed if tally.kind in (kinds.HUNG, kinds.DRIPPING)]
    others = [
        tally for tally in timed if tally.kind in kinds.SERVICES and tally not in kept and tally not in hung
    ]
    addresses = [
        tally for tally in results.played.tallies if tally in timed and tally.kind in kinds.ADDRESSES
    ]
    shared = [tally for tally in results.tallies if tally.kind.measure is Measure.SHARE]
    points = [one.points for tally in shared for one in tally.findings if one.points is not None]
    edges = [edge_s for tally in shared for one in tally.findings for edge_s in one.edges_s]
    found = [
        _at_most("killed and restarted, keeps connections: error, median", kept, 0.02, statistics.median),
        _at_most("killed and restarted, keeps connections: error, P95", kept, 0.045, p95),
        _at_most("all other faults of services but hangs: error, P95", others, 0.3, p95),
        _at_most("hangs, down and slow together: error, P95", hung, 0.45, p95),
        Promise(
            "only some requests fail: failed share, against the injector's log",
            f"within {kinds.SHARE_POINTS:g} points",
            f"{max(points):.1f} at most",
            max(points) <= kinds.SHARE_POINTS,
        ),
        Promise("only some requests fail: edges, P95", "≤ 300 ms", _ms(p95(edges)), p95(edges) <= 0.3),
        _at_most("addresses: error, P95", addresses, 0.15, p95),
    ]
    if results.crowd is not None:
        what = f"addresses, {results.crowd.addresses:,} at once: error, P95"
        found.append(_at_most(what, [results.crowd.tally], 0.15, p95))
    return found


def _at_most(
    what: str, tallies: Sequence[Tally], limit_s: float, statistic: Callable[[list[float]], float]
) -> Promise:
    measured_s = statistic(errors_s(tallies))
    return Promise(what, f"≤ {_ms(limit_s)}", _ms(measured_s), measured_s <= limit_s)


def table_of_promises(results: Results) -> str:
    """Return what is promised, and what came of it, as a table of reStructuredText."""
    rows = [[one.what, one.limit, one.measured, "yes" if one.is_kept else "NO"] for one in promises(results)]
    return _table(["Promise", "Limit", "Measured", "Kept"], rows)


def table_of_kinds(results: Results) -> str:
    """Return a row for each kind of fault, as a table of reStructuredText."""
    rows = [_row(tally.kind.title, tally) for tally in results.played.tallies]
    if results.crowd is not None:
        rows.append(_row(f"dropped, of {results.crowd.addresses:,}", results.crowd.tally))
    head = [
        "Fault",
        "Played",
        "Found",
        "In bounds",
        "Median",
        "P95",
        "Worst",
        "Peer's median",
        "P95",
        "Worst",
    ]
    return _table(head, rows)


def table_of_ours(results: Results) -> str:
    """Return a row for each trouble of our own, as a table of reStructuredText."""
    rows = [
        [one.name, one.times, f"{one.invented_s:g} s", f"{one.unobserved_s:.1f} s"]
        for one in results.outcomes
    ]
    return _table(["Trouble", "Played", "Downtime", "Unobserved, at most"], rows)


def _row(title: str, tally: Tally) -> list[object]:
    findings = tally.findings
    if tally.kind.measure is Measure.QUIET:
        return [title, tally.faults, *[_NONE] * 8]
    detected = [finding for finding in findings if finding.is_detected]
    within = sum(finding.is_within for finding in detected)
    return [
        title,
        tally.faults,
        len(detected),
        within,
        *_spread(_own(findings)),
        *_spread(peers_errors_s([tally])),
    ]


def _own(findings: Sequence[Finding]) -> list[float]:
    """Return the errors of one kind: of the edges, where only some requests fail."""
    edges = [edge_s for finding in findings for edge_s in finding.edges_s]
    return edges or [finding.error_s for finding in findings]


def _spread(errors_s: Sequence[float]) -> tuple[str, str, str]:
    if not errors_s:
        return _NONE, _NONE, _NONE
    return _ms(statistics.median(errors_s)), _ms(p95(errors_s)), _ms(max(errors_s))


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return tabulate(rows, headers=head, tablefmt="rst", disable_numparse=True)
