"""Targets that go up and down at random, and what a worker that probes them tells of them.

Every target is probed at the same instants, a tenth of a second apart. Each has its own fate; every third one
answers always.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from downtimer.intervals import Interval
from downtimer.messages import Progress, Sample, SpanFact
from downtimer.model import (
    ANSWERS,
    NEVER_NS,
    SECOND_NS,
    Incarnation,
    Span,
    Target,
    TargetState,
    Verdict,
)
from tests.unit.runs import service

INTERVAL_NS: Final = SECOND_NS // 10
MAX_GAP_NS: Final = 2 * SECOND_NS

_STEADY: Final = 3
_CHANGES: Final = 0.3  # of a probe's verdict, from one to the next
_VERDICTS: Final = (Verdict.UP, Verdict.UP, Verdict.DOWN, Verdict.DOWN, Verdict.SLOW, Verdict.UNKNOWN)
_CAUSES: Final = {Verdict.DOWN: "refused", Verdict.UNKNOWN: "send"}


@dataclass(slots=True)
class _Fate:
    """A target, its span as it stands, and when it was down.

    Attributes:
        outer: For each time it was down, the last good answer before and the first one after.
    """

    target: Target
    is_steady: bool
    verdict: Verdict = Verdict.UP
    first_ns: int = 0
    last_ns: int = 0
    probes: int = 0
    good_ns: int = -NEVER_NS
    is_down: bool = False
    outer: list[Interval] = field(default_factory=list)

    def probe(self, at_ns: int, verdict: Verdict) -> None:
        """Be probed, and found in some state."""
        if self.probes and verdict is self.verdict:
            self.last_ns, self.probes = at_ns, self.probes + 1
        else:
            self.verdict, self.first_ns, self.last_ns, self.probes = verdict, at_ns, at_ns, 1
        if verdict in (Verdict.UP, Verdict.SLOW):
            if self.is_down:
                self.outer.append((self.good_ns, at_ns))
            self.good_ns, self.is_down = at_ns, False
        elif verdict is Verdict.DOWN:
            self.is_down = True

    def span(self, incarnation: Incarnation, widest_ns: int) -> Span:
        """Return the span as it stands."""
        cause = _CAUSES.get(self.verdict)
        return Span(
            target=self.target.id,
            check=ANSWERS,
            verdict=self.verdict,
            first_sent_ns=self.first_ns,
            last_sent_ns=self.last_ns,
            probes=self.probes,
            widest_ns=widest_ns if self.probes > 1 else 0,
            causes={} if cause is None else {cause: self.probes},
            max_gap_ns=MAX_GAP_NS,
            incarnation=incarnation,
        )


class Flapping:
    """Some targets and their worker, which may die and be followed by another.

    Attributes:
        states: The targets.
    """

    def __init__(self, rng: random.Random, count: int) -> None:
        self.states: Sequence[TargetState] = [service(f"s{number:04}") for number in range(count)]
        self._rng = rng
        self._fates = [_Fate(state.target, n % _STEADY == 0) for n, state in enumerate(self.states)]
        self._incarnation = Incarnation("")
        self._at_ns = 0
        self._widest_ns = 0

    def begin(self, incarnation: Incarnation) -> None:
        """Be probed by a new worker from now on, which knows nothing of the spans of the former."""
        self._incarnation, self._widest_ns = incarnation, 0
        for fate in self._fates:
            fate.probes = 0

    def probe(self, at_ns: int) -> list[SpanFact]:
        """Have every target probed; return what there is to tell."""
        if any(fate.probes for fate in self._fates):
            self._widest_ns = max(self._widest_ns, at_ns - self._at_ns)
        told = [fact for fate in self._fates for fact in self._probe(fate, at_ns)]
        self._at_ns = at_ns
        return told

    def progress(self) -> Progress:
        """Return up to when everything is told."""
        through_ns = self._at_ns + INTERVAL_NS
        return Progress(self._incarnation, ANSWERS, through_ns, INTERVAL_NS, self._widest_ns)

    def samples(self) -> Iterator[Sample]:
        """Yield the last probe of each target."""
        for fate in self._fates:
            yield Sample(
                target=fate.target.id, check=ANSWERS, sent_ns=self._at_ns, up=fate.verdict is Verdict.UP
            )

    def outer(self) -> dict[str, list[Interval]]:
        """Return by target when it may have been down: what is outside of that was told to be good."""
        return {
            fate.target.id: [*fate.outer, *([(fate.good_ns, NEVER_NS)] if fate.is_down else [])]
            for fate in self._fates
        }

    def _probe(self, fate: _Fate, at_ns: int) -> Iterator[SpanFact]:
        before = fate.span(self._incarnation, self._widest_ns) if fate.probes else None
        verdict = fate.verdict
        if not fate.is_steady and self._rng.random() < _CHANGES:
            verdict = self._rng.choice(_VERDICTS)
        fate.probe(at_ns, verdict)
        if fate.probes == 1:
            if before is not None:
                yield SpanFact(before, is_open=False)
            yield SpanFact(fate.span(self._incarnation, self._widest_ns), is_open=True)
