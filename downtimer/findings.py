"""What is concluded from spans: outages, episodes, and the figures of one target.

Pure values. `downtimer.outages` makes them, the reports show them. All times are int
nanoseconds; seconds, percentages and UTC are a matter of rendering.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from downtimer.model import TCP, Kind, Target, TargetState


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a target was down, as a whole and with its bounds.

    Attributes:
        start_ns: Estimated edge.
        end_ns: Estimated edge; while it is ongoing, the last failed probe.
        earliest_ns: The start is not before this: the last good answer, or the window's start.
        latest_ns: The end is not after this: the first good answer, or the window's end.
        min_ns: Lower bound of the duration: from the first failed probe to the last, less unobserved time.
        max_ns: Upper bound of it.
        down_ns: Downtime inside: the duration less good answers and unobserved time.
        down_min_ns: Lower bound of the downtime.
        down_max_ns: Upper bound of it; what was not observed counts in full.
        unobserved_ns: Time from start to end in which no check observed the target.
        probes: Probes sent from start to end that were good or failed.
        failed: Those that failed.
        causes: Failed probes by cause.
        checks: Names of the checks that failed, sorted.
        is_ongoing: Not ended when last seen, also in a run that was stopped.
        is_start_censored: The start was not observed: it began before the first probe, or in
            unobserved time. Only `earliest_ns` limits it.
        is_end_censored: Likewise the end; never while it is ongoing.
        label: What attribution says of it; None if nothing.
    """

    start_ns: int
    end_ns: int
    earliest_ns: int
    latest_ns: int
    min_ns: int
    max_ns: int
    down_ns: int
    down_min_ns: int
    down_max_ns: int
    unobserved_ns: int
    probes: int
    failed: int
    causes: Mapping[str, int]
    checks: tuple[str, ...]
    is_ongoing: bool
    is_start_censored: bool
    is_end_censored: bool
    label: str | None = None

    @property
    def duration_ns(self) -> int:
        """From edge to edge; `min_ns` and `max_ns` bound it."""
        return self.end_ns - self.start_ns

    @property
    def failed_share(self) -> float:
        """Downtime as a share (0-1) of the observed time inside; 1 where that has no length.

        What lies before the first failed probe and after the last one counts only as much as the mean
        distance of the probes between them. For before an outage probes are sparser, so that its first
        failure, which is always one, would weigh more than all others.
        """
        seen_ns, seen_min_ns = self.duration_ns - self.unobserved_ns, self.min_ns
        distance_ns = seen_min_ns // (self.probes - 1) if self.probes > 1 else 0
        excess_ns = max(seen_ns - seen_min_ns - distance_ns, 0)
        observed_ns = seen_ns - excess_ns
        return max(self.down_ns - excess_ns, 0) / observed_ns if observed_ns > 0 else 1.0


class Episode(Outage, frozen=True, kw_only=True):
    """Outages of one target with little good between them: what a reader calls one outage.

    Attributes:
        several: Its outages, in order of time; empty if it is but one, with the same figures.
    """

    several: tuple[Outage, ...] = ()

    @property
    def outages(self) -> tuple[Outage, ...]:
        """At least one, in order of time."""
        return self.several or (self,)


class CheckSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one check of a target saw.

    Attributes:
        name: Of the check.
        interval_ns: The mean distance of its probes in its longest run of good answers; None if
            there is none.
        resolution_ns: The largest distance between two neighbouring good answers, in observed time:
            an outage longer than this cannot have hidden there. None if there were no two.
        probes: All of them, unknown ones too.
        observed_ns: Time that this check observed.
        down_ns: Its downtime.
        slow_ns: Its slow time.
        unobserved: Time without a verdict, between its first probe and its last one, by cause.
    """

    name: str
    interval_ns: int | None
    resolution_ns: int | None
    probes: int
    observed_ns: int
    down_ns: int
    slow_ns: int
    unobserved: Mapping[str, int]


class Impairment(NamedTuple):
    """Probes, one after another, that a service failed for want of Keystone; in no downtime of its own.

    Attributes:
        start_ns: The first of them was sent.
        end_ns: The last of them was sent.
        probes: How many.
    """

    start_ns: int
    end_ns: int
    probes: int


class PhaseFigures(NamedTuple):
    """What of a target's time lies within one phase of the run. Over all phases each of them sums up exactly.

    Attributes:
        down_ns: Its downtime, as estimated.
        down_min_ns: The lower bound.
        down_max_ns: The upper bound.
        observed_ns: Time with a verdict.
    """

    down_ns: int
    down_min_ns: int
    down_max_ns: int
    observed_ns: int


class TargetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one target: ``up + slow + down + unobserved = window``, exactly.

    Attributes:
        state: The target, and what the run has learnt of it.
        start_ns: The window's start: its first probe; None if there was none in time.
        end_ns: The window's end: its last resolved probe, or its retirement.
        up_ns: Time with good answers.
        slow_ns: Time with good but late answers; in no downtime.
        down_ns: Downtime, as estimated.
        down_min_ns: Its lower bound.
        down_max_ns: Its upper bound.
        unobserved: Time without a verdict, by cause.
        probes: Of all checks.
        has_answered: Whether any probe ever had a good answer.
        checks: Those that count for this target, by name.
        episodes: In order of time.
        impairments: Likewise.
        phases: A part of the figures for each phase of the run; empty if it has none.
    """

    state: TargetState
    start_ns: int | None
    end_ns: int | None
    up_ns: int
    slow_ns: int
    down_ns: int
    down_min_ns: int
    down_max_ns: int
    unobserved: Mapping[str, int]
    probes: int
    has_answered: bool
    checks: tuple[CheckSummary, ...]
    episodes: tuple[Episode, ...]
    impairments: tuple[Impairment, ...] = ()
    phases: tuple[PhaseFigures, ...] = ()

    @property
    def target(self) -> Target:
        """The target itself."""
        return self.state.target

    @property
    def is_silent(self) -> bool:
        """An address that never answered: down, or not allowed to answer, nobody can tell."""
        return self.target.kind is Kind.ADDRESS and not self.has_answered

    @property
    def retired_ns(self) -> int | None:
        """From when on it no longer counts; None if it is not retired."""
        state = self.state
        if state.retired_ns is None:
            return None
        return next(at for at in (self.end_ns, state.missing_ns, state.retired_ns) if at is not None)

    @property
    def window_ns(self) -> int:
        """Length of the window; 0 if nothing was probed."""
        if self.start_ns is None or self.end_ns is None:
            return 0
        return self.end_ns - self.start_ns

    @property
    def observed_ns(self) -> int:
        """Time with a verdict: what percentages are of."""
        return self.up_ns + self.slow_ns + self.down_ns

    @property
    def unobserved_ns(self) -> int:
        """Time of the window without a verdict."""
        return self.window_ns - self.observed_ns

    @property
    def longest_ns(self) -> int:
        """The longest episode, from edge to edge; 0 if there is none."""
        return max([episode.end_ns - episode.start_ns for episode in self.episodes], default=0)

    @property
    def resolution_ns(self) -> int | None:
        """An outage that any check could see, and longer than this, was not missed while up."""
        known = [check.resolution_ns for check in self.checks if check.resolution_ns is not None]
        return max(known, default=None)

    @property
    def method(self) -> str | None:
        """How an address was reached: ``icmp``, ``tcp-22``; None for services and if it never answered."""
        if self.target.kind is Kind.SERVICE or not self.has_answered:
            return None
        check = self.checks[0].name
        return self.state.method if check == TCP and self.state.method is not None else check
