"""Our own link: when the vantage was blind, and what failed for that and not for a target's fault.

Pure. References are addresses that prove the link. While they and everything else fail, the link is
down: such failures are unknown, cause ``vantage``. The rules:

- A reference counts once it has answered. Where all that count fail, from a first failed probe to a
  last one, the link may be down. Any timely good answer to a probe of anything proves that it was not,
  if it was sent, and must have come, within that time. A late answer proves nothing: its packets may
  have been sent again.
- The blind time then reaches out to the nearest good answers of anything on either side; if there is
  none after it, to the end of the measurement.
- A probe needs the link for as long as its answer takes, so what was sent shortly before the blind time
  is judged with it. So are failures that begin in it and go on for a second, after which lost segments
  and unanswered requests for a neighbour are sent again (RFC 6298, RFC 4861).
  Blind times less than that apart are one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

from downtimer.cells import apportion, is_good
from downtimer.intervals import Interval
from downtimer.model import SECOND_NS, Span, Verdict
from downtimer.verdicts import BASELINE_ANSWERS, slow_after_ns

CAUSE: Final = "vantage"
RECOVERY_NS: Final = SECOND_NS
"""Until what was lost with the link is sent again."""

PATIENCE_NS: Final = 2 * SECOND_NS
"""How long an answer may take of which no normal is known."""

_NO_ROUTE: Final = "no-route"
_NEVER: Final = -(2**62)


class Answers(NamedTuple):
    """Timely good answers of one check; of those between the first and the last only the spacing is known.

    Attributes:
        first_ns: When the first probe was sent.
        last_ns: When the last one was.
        widest_ns: How far apart they are at most.
        latency_ns: How long they took at most.
    """

    first_ns: int
    last_ns: int
    widest_ns: int
    latency_ns: int


def answers_of(spans: Iterable[Span], baseline_ns: int | None) -> Iterator[Answers]:
    """Yield the timely good answers of one check.

    Until its normal was known, an answer was taken for timely that came within a user's patience.

    Args:
        spans: Of the check, in order.
        baseline_ns: Its normal, if that is known by now.
    """
    to_learn = BASELINE_ANSWERS
    for span in spans:
        if span.verdict is Verdict.UP:
            yield from _answers_of(span, to_learn, baseline_ns)
        if is_good(span):
            to_learn = max(to_learn - span.probes, 0)


def _answers_of(span: Span, to_learn: int, baseline_ns: int | None) -> Iterator[Answers]:
    first_ns, last_ns = span.first_sent_ns, span.last_sent_ns
    if baseline_ns is None or to_learn >= span.probes:
        yield Answers(first_ns, last_ns, span.widest_ns, PATIENCE_NS)
        return
    learnt_ns = first_ns + (last_ns - first_ns) * to_learn // span.probes
    if to_learn:
        yield Answers(first_ns, learnt_ns, span.widest_ns, PATIENCE_NS)
    yield Answers(learnt_ns, last_ns, span.widest_ns, slow_after_ns(baseline_ns))


@dataclass(slots=True)
class _Suspicion:
    """A time in which all references failed.

    Attributes:
        first_ns: Their first failed probe.
        last_ns: Their last one.
        after_ns: The last good answer before that, of the references, then of anything.
        before_ns: The first good answer after it.
        is_real: Not only a time in which no reference counted yet.
        is_refuted: Something was well answered in the midst of it.
    """

    first_ns: int
    last_ns: int
    after_ns: int
    before_ns: int
    is_real: bool = True
    is_refuted: bool = False

    def hear(self, answers: Answers) -> None:
        """Take good answers into account."""
        first_ns, last_ns, widest_ns, latency_ns = answers
        proof_ns = self.last_ns - latency_ns  # a probe sent later may have been answered after all this
        if self.first_ns <= first_ns <= proof_ns or self.first_ns <= last_ns <= proof_ns:
            self.is_refuted = True
        if first_ns < self.first_ns:
            near_ns = last_ns if last_ns < self.first_ns else self.first_ns - widest_ns
            self.after_ns = max(self.after_ns, near_ns)
        if last_ns > self.last_ns:
            near_ns = first_ns if first_ns > self.last_ns else self.last_ns + widest_ns
            self.before_ns = min(self.before_ns, near_ns)
        if first_ns < self.first_ns and last_ns > proof_ns:
            self.cover(widest_ns, latency_ns)

    def cover(self, widest_ns: int, latency_ns: int) -> None:
        """Good answers came all the time, so far apart at most, after so long at most."""
        self.is_refuted |= widest_ns <= self.last_ns - latency_ns - self.first_ns


def find_blind(
    references: Iterable[Sequence[Span]], answers: Iterable[Answers], until_ns: int
) -> list[Interval]:
    """Return the times in which the vantage was blind, in order.

    Args:
        references: The spans of each reference, in order of time.
        answers: Of everything in the run, in any order; looked at only if there is a suspicion.
        until_ns: The end of the measurement.
    """
    answered = [one for one in references if any(span.verdict is Verdict.UP for span in one)]
    suspicions = _suspicions(answered, until_ns)
    if not suspicions:
        return []
    starts = [suspicion.after_ns for suspicion in suspicions]
    ends = [suspicion.before_ns for suspicion in suspicions]
    covered: dict[tuple[int, int, int], int] = {}  # most answers cover the same ones, so spaced
    for one in answers:
        low, high = bisect_left(ends, one.first_ns), bisect_right(starts, one.last_ns)
        for i in {low, high - 1} if low < high else ():
            suspicions[i].hear(one)
        if high - low > 2:
            inner = (low + 1, high - 1, one.latency_ns)
            covered[inner] = min(one.widest_ns, covered.get(inner, one.widest_ns))
    for (low, high, latency_ns), widest_ns in covered.items():
        for suspicion in suspicions[low:high]:
            suspicion.cover(widest_ns, latency_ns)
    return _joined((each.after_ns, each.before_ns) for each in suspicions if not each.is_refuted)


def _joined(blind: Iterable[Interval]) -> list[Interval]:
    """Join what is so near that the link was only just coming back."""
    joined: list[Interval] = []
    for start_ns, end_ns in blind:
        if joined and start_ns - joined[-1][1] <= RECOVERY_NS:
            joined[-1] = (joined[-1][0], end_ns)
        else:
            joined.append((start_ns, end_ns))
    return joined


def _suspicions(references: Sequence[Sequence[Span]], until_ns: int) -> list[_Suspicion]:
    """Return the times in which every reference failed that had answered before."""
    found: list[_Suspicion] | None = None
    for spans in references:
        failing = list(_failing(spans, until_ns))
        found = failing if found is None else list(_both(found, failing))
    return [each for each in found or () if each.is_real]


def _failing(spans: Sequence[Span], until_ns: int) -> Iterator[_Suspicion]:
    """Yield when one reference failed, each between two timely answers; first of all, before it counts."""
    good = [i for i, span in enumerate(spans) if span.verdict is Verdict.UP]
    begun_ns = spans[good[0]].first_sent_ns
    yield _Suspicion(_NEVER, begun_ns, _NEVER, begun_ns, is_real=False)
    for i, j in pairwise([*good, len(spans)]):
        failed = [span for span in spans[i + 1 : j] if _has_failed(span)]
        if failed:
            before_ns = spans[j].first_sent_ns if j < len(spans) else until_ns
            yield _Suspicion(
                failed[0].first_sent_ns, failed[-1].last_sent_ns, spans[i].last_sent_ns, before_ns
            )


def _has_failed(span: Span) -> bool:
    return span.verdict is Verdict.DOWN or _NO_ROUTE in span.causes


def _both(left: Sequence[_Suspicion], right: Sequence[_Suspicion]) -> Iterator[_Suspicion]:
    """Yield the times in which both failed."""
    i = j = 0
    while i < len(left) and j < len(right):
        one, other = left[i], right[j]
        common = _Suspicion(
            max(one.first_ns, other.first_ns),
            min(one.last_ns, other.last_ns),
            max(one.after_ns, other.after_ns),
            min(one.before_ns, other.before_ns),
            is_real=one.is_real or other.is_real,
        )
        if common.first_ns <= common.last_ns:
            yield common
        if one.before_ns < other.before_ns:
            i += 1
        else:
            j += 1


def attribute(spans: Iterable[Span], blind: Sequence[Interval], baseline_ns: int | None) -> Iterator[Span]:
    """Yield the spans of one check, in order, with the failures of blind times made unknown.

    Args:
        spans: Of one check.
        blind: See `find_blind`.
        baseline_ns: Its normal, if that is known.
    """
    latency_ns = slow_after_ns(baseline_ns) if baseline_ns is not None else PATIENCE_NS
    for span in spans:
        if blind and span.verdict is Verdict.DOWN:
            yield from _cut(span, blind, latency_ns)
        else:
            yield span


def _cut(span: Span, blind: Sequence[Interval], latency_ns: int) -> Iterator[Span]:
    """Yield a span of failures, those of blind times apart and unknown.

    When each probe was sent is not known, only how far apart they are at most. What is left on either
    side is shortened by that, so that it never claims a failure that may have been in blind time.
    """
    rest = span
    for start_ns, end_ns in blind[bisect_left(blind, span.first_sent_ns, key=lambda each: each[1]) :]:
        begin_ns = start_ns - latency_ns
        if begin_ns > rest.last_sent_ns:
            break
        if end_ns < rest.first_sent_ns:
            continue
        if rest.first_sent_ns < begin_ns:
            yield _part(rest, rest.first_sent_ns, max(rest.first_sent_ns, begin_ns - rest.widest_ns))
        over_ns = end_ns + RECOVERY_NS
        lost = _part(rest, max(rest.first_sent_ns, begin_ns), min(rest.last_sent_ns, over_ns))
        yield replace(lost, verdict=Verdict.UNKNOWN, causes={CAUSE: lost.probes})
        if rest.last_sent_ns <= over_ns:
            return
        rest = _part(rest, min(over_ns + rest.widest_ns, rest.last_sent_ns), rest.last_sent_ns)
    yield rest


def _part(span: Span, first_ns: int, last_ns: int) -> Span:
    """Return a part of a span; its probes are taken as evenly spread."""
    length_ns = span.last_sent_ns - span.first_sent_ns
    probes = max(1, round(span.probes * (last_ns - first_ns) / length_ns)) if length_ns else span.probes
    dated_ns = span.dated_ns if first_ns == span.first_sent_ns else None
    return replace(
        span,
        first_sent_ns=first_ns,
        last_sent_ns=last_ns,
        probes=probes,
        causes=apportion(probes, span.causes),
        dated_ns=dated_ns,
    )
