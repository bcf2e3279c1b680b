"""What was reported, held against what was injected. Pure, but for reading the journal."""

import contextlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from downtimer.cells import find_edges, order, tile
from downtimer.demo.truth import Bracket, Fault
from downtimer.findings import Outage, TargetSummary
from downtimer.model import ANSWERS, MILLISECOND_NS, SECOND_NS, Verdict
from downtimer.report.attributed import attributed_spans
from downtimer.report.summary import build
from downtimer.store.journal import JournalReader
from downtimer.verdicts import slow_after_ns
from tests.accuracy.kinds import Kind, Measure
from tests.accuracy.peers import SAMPLE_NS, Sample

UNDER_WAY_NS: Final = 20 * MILLISECOND_NS
"""What is sent so shortly before a fault begins or ends is still being answered when it does."""

_NEAR_NS: Final = 2 * SECOND_NS
_PEERS_LATE_NS: Final = 2_500 * MILLISECOND_NS
_ENOUGH: Final = 20
"""Of so many requests a share can be told to within a few points."""


class Request(NamedTuple):
    """One request, by the injector's own log: when it came (the run's instant), and whether it failed."""

    at_ns: int
    has_failed: bool


class Report:
    """What downtimer says of each target, and from which spans. Instants are on the clock of the record."""

    def __init__(self, journal: Path) -> None:
        with contextlib.closing(JournalReader(str(journal))) as reader:
            summary = build(reader)
            self._spans = {state.target.name: spans for state, spans in attributed_spans(reader)}
            self.targets: dict[str, TargetSummary] = dict(summary.of_each(lambda one: (one.target.name, one)))
        self.origin_ns = summary.run.boot_origin_ns

    def bracket(self, when: Bracket) -> Bracket:
        """Return an instant of the record as one of the run."""
        return when.shifted(-self.origin_ns)

    def time_with(self, name: str, verdicts: Iterable[Verdict], start_ns: int, end_ns: int) -> int:
        """Return how long a target had one of these verdicts in a stretch of time, by its first check."""
        wanted, spans = set(verdicts), self._spans[name]
        first = order([span for span in spans if span.check == spans[0].check])
        return sum(
            max(0, min(cell.end_ns, end_ns) - max(cell.start_ns, start_ns))
            for cell in tile(first, find_edges(first))
            if cell.verdict in wanted
        )

    def observed_ns(self, name: str, start_ns: int, end_ns: int) -> int:
        """Return how much of a stretch of time a target was observed by its first check."""
        verdicts = (Verdict.UP, Verdict.SLOW, Verdict.DOWN)
        return self.time_with(name, verdicts, start_ns, end_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, and what was reported of it.

    Attributes:
        true_s: How long it really was, as this kind is measured.
        reported_s: How long it is said to be.
        is_detected: Anything is reported of it.
        is_within: The truth may lie in the bounds.
        may_be_missed: It was no longer than the resolution that is stated.
        peer_error_s: By how much a peer's figure is off.
        points: By how many percentage points the share that failed is off; None where there is none.
        edges_s: By how much the first and the last failed request are off.
    """

    true_s: float
    reported_s: float
    is_detected: bool
    is_within: bool
    may_be_missed: bool
    peer_error_s: float | None
    points: float | None = None
    edges_s: tuple[float, ...] = ()

    @property
    def error_s(self) -> float:
        """By how much the figure is off."""
        return abs(self.reported_s - self.true_s)


@dataclass(slots=True)
class Tally:
    """All findings of one kind of fault.

    Attributes:
        kind: Which.
        faults: How many were played.
        findings: One for each fault that something must be reported of.
        invented_s: Downtime that was reported where there was no fault.
    """

    kind: Kind
    faults: int = 0
    findings: list[Finding] = field(default_factory=list)
    invented_s: float = 0.0


class Judge:
    """Holds one report against one record.

    Args:
        report: What was reported.
        faults: All that were injected.
        samples: Of the peers.
    """

    def __init__(self, report: Report, faults: Sequence[Fault], samples: Sequence[Sample]) -> None:
        self._report = report
        self._faults = faults
        self._samples = {
            target: list(group)
            for target, group in groupby(
                sorted(samples, key=attrgetter("target", "at_ns")), attrgetter("target")
            )
        }

    def tally(self, kind: Kind, targets: Sequence[str], requests: Mapping[str, Sequence[Request]]) -> Tally:
        """Judge all faults of one kind.

        Args:
            kind: Which.
            targets: That had them.
            requests: By the injector's log, of the targets where only some fail.
        """
        tally = Tally(kind)
        for target in targets:
            faults = [fault for fault in self._faults if fault.target == target and fault.end is not None]
            tally.faults += len(faults)
            unmatched = list(outages_of(self._report.targets[target]))
            for fault in faults:
                matched = [outage for outage in unmatched if self._is_of(outage, fault)]
                unmatched = [outage for outage in unmatched if outage not in matched]
                if kind.measure is Measure.SHARE:
                    finding = self._judge_share(target, fault, matched, requests[target])
                elif kind.measure is Measure.QUIET:
                    unmatched += matched
                    continue
                else:
                    finding = self._judge_time(kind, target, fault, matched)
                tally.findings.append(finding)
            tally.invented_s += sum(outage.down_ns for outage in unmatched) / SECOND_NS
        return tally

    def invented_s(self, targets: Sequence[str]) -> float:
        """Return the downtime reported on targets that were left alone."""
        return sum(self._report.targets[target].down_ns for target in targets) / SECOND_NS

    def _is_of(self, outage: Outage, fault: Fault) -> bool:
        """Tell whether an outage is what was made of this fault: they overlap."""
        start, end = self._report.bracket(fault.start), self._report.bracket(_end(fault))
        return start.earliest_ns - UNDER_WAY_NS <= outage.end_ns and outage.start_ns <= end.latest_ns

    def _judge_time(self, kind: Kind, target: str, fault: Fault, outages: Sequence[Outage]) -> Finding:
        low_ns, middle_ns, high_ns = self._true_ns(fault, kind.timeout_s)
        reported_ns = sum(outage.down_ns for outage in outages)
        least_ns = sum(outage.down_min_ns for outage in outages)
        most_ns = sum(outage.down_max_ns for outage in outages)
        true_ns = middle_ns
        if kind.measure is Measure.HANG:
            true_ns, reported_ns = self._hang(target, fault)
        peer_ns = self._peer_ns(target, fault)
        resolution_ns = self._report.targets[target].resolution_ns or 0
        return Finding(
            true_s=true_ns / SECOND_NS,
            reported_s=reported_ns / SECOND_NS,
            is_detected=bool(outages) or (kind.measure is Measure.HANG and reported_ns > 0),
            is_within=not outages or (len(outages) == 1 and least_ns <= high_ns and low_ns <= most_ns),
            may_be_missed=true_ns <= resolution_ns,
            peer_error_s=None if peer_ns is None else abs(peer_ns - middle_ns) / SECOND_NS,
        )

    def _true_ns(self, fault: Fault, timeout_s: float) -> tuple[int, int, int]:
        """Return the least, the probable and the greatest length of the outage that a fault was."""
        edges = fault.down(timeout_s)
        if edges is None:
            return 0, 0, 0
        start, end = edges
        low_ns = end.earliest_ns - UNDER_WAY_NS - start.latest_ns
        high_ns = end.latest_ns - (start.earliest_ns - UNDER_WAY_NS)
        return max(low_ns, 0), max(end.middle_ns - start.middle_ns, 0), high_ns

    def _hang(self, target: str, fault: Fault) -> tuple[int, int]:
        """Return the true and the reported time of being down or slow."""
        start, end = self._report.bracket(fault.start), self._report.bracket(_end(fault))
        baseline = self._report.targets[target].state.baselines[ANSWERS]
        slow_ns = slow_after_ns(ANSWERS, baseline.latency_ns or 0)
        true_ns = max(end.middle_ns - start.middle_ns - slow_ns, 0)
        reported_ns = self._report.time_with(
            target, (Verdict.DOWN, Verdict.SLOW), start.earliest_ns - _NEAR_NS, end.latest_ns + _NEAR_NS
        )
        return true_ns, reported_ns

    def _peer_ns(self, target: str, fault: Fault) -> int | None:
        """Return the downtime that a peer's failed samples make of a fault."""
        if target not in self._samples:
            return None
        start_ns, end_ns = fault.start.earliest_ns - SAMPLE_NS, _end(fault).latest_ns + _PEERS_LATE_NS
        failed = sum(
            sample.has_failed and start_ns <= sample.at_ns <= end_ns for sample in self._samples[target]
        )
        return failed * SAMPLE_NS

    def _judge_share(
        self, target: str, fault: Fault, outages: Sequence[Outage], requests: Sequence[Request]
    ) -> Finding:
        """Judge a fault in which only some requests fail, by the injector's log of them."""
        start, end = self._report.bracket(fault.start), self._report.bracket(_end(fault))
        # While the fault is being made or ended others may answer what the log has as failed.
        sure = _failed(_between(requests, start.latest_ns, end.earliest_ns))
        failed = _failed(_between(requests, start.earliest_ns - UNDER_WAY_NS, end.latest_ns))
        is_within = len(sure) <= sum(outage.failed for outage in outages) <= len(failed)
        if not outages or not sure:
            return Finding(
                true_s=0.0,
                reported_s=sum(outage.down_ns for outage in outages) / SECOND_NS,
                is_detected=bool(outages),
                is_within=is_within,
                may_be_missed=not sure,
                peer_error_s=None,
            )
        first_ns, last_ns = outages[0].start_ns, outages[-1].end_ns
        points = [
            100 * abs(episode.failed_share - len(_failed(inside)) / len(inside))
            for episode in self._report.targets[target].episodes
            if outages[0] in episode.outages or outages[-1] in episode.outages
            if len(inside := _between(requests, episode.start_ns, episode.end_ns)) >= _ENOUGH
        ]
        inside = _between(requests, first_ns, last_ns)
        true_ns = (last_ns - first_ns) * len(_failed(inside)) // max(len(inside), 1)
        peer_ns = self._peer_ns(target, fault)
        return Finding(
            true_s=true_ns / SECOND_NS,
            reported_s=sum(outage.down_ns for outage in outages) / SECOND_NS,
            is_detected=True,
            is_within=is_within,
            may_be_missed=False,
            peer_error_s=None if peer_ns is None else abs(peer_ns - true_ns) / SECOND_NS,
            points=max(points, default=None),
            edges_s=(abs(sure[0] - first_ns) / SECOND_NS, abs(sure[-1] - last_ns) / SECOND_NS),
        )


def outages_of(summary: TargetSummary) -> list[Outage]:
    """Return all outages of a target, in order of time."""
    return [outage for episode in summary.episodes for outage in episode.outages]


def _end(fault: Fault) -> Bracket:
    assert fault.end is not None
    return fault.end


def _failed(requests: Sequence[Request]) -> list[int]:
    return [request.at_ns for request in requests if request.has_failed]


def _between(requests: Sequence[Request], start_ns: int, end_ns: int) -> Sequence[Request]:
    at = [request.at_ns for request in requests]
    return requests[bisect_left(at, start_ns) : bisect_left(at, end_ns)]
