"""Probes → spans, for one check of one target.

Pure; runs in the workers. A span is of one verdict, and of one family of causes: what may turn out to be
Keystone's fault is kept apart from what can't. A probe that hangs on without company ends its span. Probes
resolve in any order but are judged in the order in which they were sent: one that resolves early waits for
all before it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from downtimer.model import Incarnation, Span, TargetId, Verdict
from downtimer.verdicts import Family, family_of


class Emit(Protocol):
    """Takes a span that has opened (more probes may follow) or ended."""

    def __call__(self, span: Span, *, is_open: bool) -> None:
        """Take it."""


class Outcome(NamedTuple):
    """What became of a probe. A tuple, for one is made per echo.

    Attributes:
        verdict: What it says.
        cause: Why, for down and unknown, and for an answer of which it is not known how soon it came.
        max_gap_ns: The largest distance to a neighbouring probe that counted as observed when it was sent.
        dated_ns: A sharper instant of the change that this probe shows, if one is known.
        watched_ns: Until when it is known to have hung, if it goes on hanging without company.
    """

    verdict: Verdict
    cause: str | None
    max_gap_ns: int
    dated_ns: int | None = None
    watched_ns: int | None = None


@dataclass(slots=True)
class _Open:
    """The span that is growing."""

    verdict: Verdict
    family: Family
    first_sent_ns: int
    last_sent_ns: int
    max_gap_ns: int
    dated_ns: int | None
    watched_ns: int | None = None
    probes: int = 0
    widest_ns: int = 0
    causes: dict[str, int] = field(default_factory=dict)


class Tracker:
    """Run-length encodes the probes of one check of one target."""

    def __init__(self, target: TargetId, check: str, incarnation: Incarnation, emit: Emit) -> None:
        self.target = target
        self.check = check
        self._incarnation = incarnation
        self._emit = emit
        self._waiting: dict[int, Outcome | None] = {}  # by sent_ns, in that order; None: under way
        self._open: _Open | None = None

    def resume(self, span: Span) -> None:
        """Let this open span go on growing, which has been told."""
        self._open = _Open(
            verdict=span.verdict,
            family=family_of(next(iter(span.causes), None)),
            first_sent_ns=span.first_sent_ns,
            last_sent_ns=span.last_sent_ns,
            max_gap_ns=span.max_gap_ns,
            dated_ns=span.dated_ns,
            watched_ns=span.watched_ns,
            probes=span.probes,
            widest_ns=span.widest_ns,
            causes=dict(span.causes),
        )

    def issue(self, sent_ns: int) -> None:
        """Note a probe as sent; `sent_ns` is larger than that of any before it."""
        self._waiting[sent_ns] = None

    def resolve(self, sent_ns: int, outcome: Outcome) -> None:
        """Note what became of a probe; one that was never issued here, or is resolved, is passed over."""
        waiting = self._waiting
        if waiting.get(sent_ns, outcome) is not None:
            return
        if len(waiting) == 1:  # nothing before it and nothing behind: nearly always so
            waiting.clear()
            self._judge(sent_ns, outcome)
            return
        waiting[sent_ns] = outcome
        for oldest_ns, resolved in list(waiting.items()):
            if resolved is None:
                break
            del waiting[oldest_ns]
            self._judge(oldest_ns, resolved)

    def current(self) -> Span | None:
        """Return the open span as it stands, None before the first judged probe."""
        return self._span(self._open) if self._open is not None else None

    def close(self) -> None:
        """End the open span; what is still under way is forgotten."""
        self._waiting.clear()
        if self._open is not None:
            self._emit(self._span(self._open), is_open=False)
            self._open = None

    def _judge(self, sent_ns: int, outcome: Outcome) -> None:
        """Let the open span grow by this probe, or end it and open the next."""
        span, old, family = self._open, None, family_of(outcome.cause)
        if (
            span is None
            or span.verdict is not outcome.verdict
            or span.family is not family
            or span.watched_ns is not None
            or sent_ns - span.last_sent_ns > span.max_gap_ns
        ):
            old = span
            span = _Open(outcome.verdict, family, sent_ns, sent_ns, outcome.max_gap_ns, outcome.dated_ns)
        span.widest_ns = max(span.widest_ns, sent_ns - span.last_sent_ns)
        span.last_sent_ns = sent_ns
        span.max_gap_ns = outcome.max_gap_ns
        span.watched_ns = outcome.watched_ns
        span.probes += 1
        if outcome.cause is not None:
            span.causes[outcome.cause] = span.causes.get(outcome.cause, 0) + 1
        if span is not self._open:
            self._open = span
            if old is not None:
                self._emit(self._span(old), is_open=False)
            self._emit(self._span(span), is_open=True)
        elif span.watched_ns is not None:
            self._emit(self._span(span), is_open=True)  # from here on it grows in another way

    def _span(self, span: _Open) -> Span:
        return Span(
            target=self.target,
            check=self.check,
            verdict=span.verdict,
            first_sent_ns=span.first_sent_ns,
            last_sent_ns=span.last_sent_ns,
            probes=span.probes,
            widest_ns=span.widest_ns,
            causes=dict(span.causes),
            max_gap_ns=span.max_gap_ns,
            dated_ns=span.dated_ns,
            watched_ns=span.watched_ns,
            incarnation=self._incarnation,
        )
