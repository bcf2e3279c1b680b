"""Our own link: when the vantage was blind, and what failed for that and not for a target's fault.

Pure. References are addresses that prove the link. While they and everything else fail, the link is
down: such failures are unknown, cause ``vantage``. The rules:

- A reference counts once it has answered. Where one fails, or all do, from a first failed probe to a last
  one, the link may be down. Any timely good answer to a probe of anything, other references included, proves
  that it was not, if it was sent, and must have come, within that time. A late answer proves nothing: its
  packets may have been sent again. Nor does one of which we, held up ourselves, can't tell how late it is.
- Also where that time is too short for such a proof, most must have begun to fail with the reference. If
  twice as many were well all the while, it was the reference's own loss. A check that is probed less often
  than that time is long counts in proportion, another reference twice.
- The blind time then reaches out to the nearest good answers of anything on either side; if there is
  none after it, to the end of the measurement.
- A probe needs the link for as long as its answer takes, so what was sent shortly before the blind time
  is judged with it. So are failures that begin in it and go on for as long again, at most a second, after
  which lost segments and unanswered requests for a neighbour are sent again (RFC 6298, RFC 4861).
- A blind time of less than a second excuses only what failed with it and recovered with it. After a longer
  one another that begins within a second is the same.
- What is the other side's own word is excused by nothing: a refusal has come over the link.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Final, NamedTuple

from downtimer.cells import is_good, take_out
from downtimer.intervals import Interval, unite
from downtimer.model import MILLISECOND_NS, SECOND_NS, Span, Verdict
from downtimer.verdicts import BASELINE_ANSWERS, may_be_our_links, slow_after_ns

CAUSE: Final = "vantage"
RECOVERY_NS: Final = SECOND_NS
"""Until what was lost with the link is sent again."""

PATIENCE_NS: Final = 2 * SECOND_NS
"""How long an answer may take of which no normal is known."""

_WELL: Final = 2  # times as many as failed, and the link was up
_REFERENCE: Final = 2  # as many as this a reference counts that was well
_SPACING_NS: Final = 10 * MILLISECOND_NS  # spacings are told apart as finely as that
_FLAP_NS: Final = SECOND_NS  # a check that begins to fail again sooner counts once
_NO_ROUTE: Final = "no-route"
_NEVER: Final = -(2**62)


class Answers(NamedTuple):
    """Timely good answers of one check; of those between the first and the last only the spacing is known.

    Attributes:
        first_ns: When the first probe was sent.
        last_ns: When the last one was.
        widest_ns: How far apart they are at most.
        latency_ns: How long they took at most.
        spacing_ns: How far apart they are on average.
        weight: As how many it counts where what was well is weighed against what failed.
    """

    first_ns: int
    last_ns: int
    widest_ns: int
    latency_ns: int
    spacing_ns: int
    weight: int = 1


class Failures(NamedTuple):
    """Failed probes of one check, one after another.

    Attributes:
        first_ns: When the first one was sent.
        latency_ns: How long its answer should have taken at most.
    """

    first_ns: int
    latency_ns: int


Evidence = Answers | Failures


def evidence_of(spans: Iterable[Span], baseline_ns: int | None) -> Iterator[Evidence]:
    """Yield what one check, no reference's, says of the link: its answers, and when it began to fail.

    Args:
        spans: Of the check, in order.
        baseline_ns: Its normal, if that is known by now.
    """
    kept = list(spans)
    yield from answers_of(kept, baseline_ns)
    told_ns = _NEVER
    for span in kept:
        if _may_be_for_the_link(span) and span.first_sent_ns - told_ns >= _FLAP_NS:
            told_ns = span.first_sent_ns
            yield Failures(told_ns, timely_ns(span.check, baseline_ns))


def answers_of_reference(spans: Iterable[Span], baseline_ns: int | None) -> Iterator[Answers]:
    """Yield the timely good answers of a reference. See `answers_of`."""
    for answers in answers_of(spans, baseline_ns):
        yield answers._replace(weight=_REFERENCE)


def answers_of(spans: Iterable[Span], baseline_ns: int | None) -> Iterator[Answers]:
    """Yield the timely good answers of one check.

    Until its normal was known, an answer was taken for timely that came within a user's patience.

    Args:
        spans: Of the check, in order.
        baseline_ns: Its normal, if that is known by now.
    """
    to_learn = BASELINE_ANSWERS
    for span in spans:
        if _is_timely(span):
            yield from _answers_of(span, to_learn, baseline_ns)
        if is_good(span):
            to_learn = max(to_learn - span.probes, 0)


def _answers_of(span: Span, to_learn: int, baseline_ns: int | None) -> Iterator[Answers]:
    first_ns, last_ns, widest_ns = span.first_sent_ns, span.last_sent_ns, span.widest_ns
    spacing_ns = (last_ns - first_ns) // max(span.probes - 1, 1)
    if baseline_ns is None or to_learn >= span.probes:
        yield Answers(first_ns, last_ns, widest_ns, PATIENCE_NS, spacing_ns)
        return
    learnt_ns = first_ns + (last_ns - first_ns) * to_learn // span.probes
    if to_learn:
        yield Answers(first_ns, learnt_ns, widest_ns, PATIENCE_NS, spacing_ns)
    yield Answers(learnt_ns, last_ns, widest_ns, slow_after_ns(span.check, baseline_ns), spacing_ns)


@dataclass(slots=True)
class _Suspicion:
    """A time in which a reference failed.

    Attributes:
        first_ns: Its first failed probe.
        last_ns: Its last one.
        after_ns: The last good answer before that, of the reference, then of anything.
        before_ns: The first good answer after it.
        failed: How many checks began to fail with it.
        is_refuted: Something was well answered in the midst of it.
    """

    first_ns: int
    last_ns: int
    after_ns: int
    before_ns: int
    failed: int = 0
    is_refuted: bool = False

    @property
    def is_dated(self) -> bool:
        """Whether it is not only a time in which no reference counted yet."""
        return self.first_ns != _NEVER

    def is_real(self, well: float) -> bool:
        """Tell whether it was the link, as far as is known; `well` is how many were well all the while."""
        return not self.is_refuted and (not well or well < _WELL * self.failed)

    def hear(self, answers: Answers) -> None:
        """Take good answers into account."""
        first_ns, last_ns, widest_ns, latency_ns, *_ = answers
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


class _Doubts:
    """Suspicions one after another, as one reference raises them, and what all else says of them.

    Attributes:
        times: From the last good answer before each to the first one after it.
    """

    def __init__(self, suspicions: Sequence[_Suspicion]) -> None:
        self._suspicions = suspicions
        self._starts = [each.after_ns for each in suspicions]
        self._ends = [each.before_ns for each in suspicions]
        self.times: list[Interval] = list(zip(self._starts, self._ends, strict=True))
        # Most checks are well through nearly all suspicions, so only where that begins and ends is kept.
        self._covered: dict[tuple[int, int, int], int] = {}
        self._well: defaultdict[int, list[int]] = defaultdict(lambda: [0] * (len(self._suspicions) + 1))

    def hear(self, evidence: Evidence) -> None:
        """Take what one check says into account."""
        if isinstance(evidence, Failures):
            self._hear_failures(evidence)
        else:
            self._hear_answers(evidence)

    def real(self) -> Iterator[Interval]:
        """Yield the times in which it was the link, by all that was heard.

        What is heard later makes fewer of them real, but for failures.
        """
        for (low, high, latency_ns), widest_ns in self._covered.items():
            for suspicion in self._suspicions[low:high]:
                suspicion.cover(widest_ns, latency_ns)
        for suspicion, well in zip(self._suspicions, self._weigh(), strict=True):
            if suspicion.is_real(well):
                yield suspicion.after_ns, suspicion.before_ns

    def _weigh(self) -> list[float]:
        """Return how many were well all through each suspicion, as far as they were probed."""
        weights = [0.0] * len(self._suspicions)
        for spacing_ns, changes in sorted(self._well.items()):  # whatever was heard first
            well = 0
            for i, (start_ns, end_ns) in enumerate(self.times):
                well += changes[i]
                weights[i] += well * min((end_ns - start_ns) / spacing_ns, 1)
        return weights

    def _hear_failures(self, failures: Failures) -> None:
        i = bisect_left(self._ends, failures.first_ns)
        if i < len(self._starts) and failures.first_ns >= self._starts[i] - failures.latency_ns:
            self._suspicions[i].failed += 1

    def _hear_answers(self, answers: Answers) -> None:
        first_ns, last_ns, widest_ns, latency_ns, spacing_ns, weight = answers
        low, high = bisect_left(self._ends, first_ns), bisect_right(self._starts, last_ns)
        for i in {low, high - 1} if low < high else ():
            self._suspicions[i].hear(answers)
        if high - low > 2:
            inner = (low + 1, high - 1, latency_ns)
            self._covered[inner] = min(widest_ns, self._covered.get(inner, widest_ns))
        begin, end = bisect_left(self._starts, first_ns), bisect_right(self._ends, last_ns)
        if begin < end:
            changes = self._well[(spacing_ns // _SPACING_NS + 1) * _SPACING_NS]
            changes[begin] += weight
            changes[end] -= weight


def find_blind(
    references: Iterable[Sequence[Span]],
    around: Callable[[Sequence[Interval]], Iterable[Evidence]],
    others: Callable[[], Iterable[Evidence]],
    until_ns: int,
) -> list[Interval]:
    """Return the times in which the vantage was blind, in order.

    Most references lose an echo now and then, which is soon seen to be nothing: no more of the evidence is
    looked at than that needs, and none if there is no suspicion.

    Args:
        references: The spans of each reference, in order of time.
        around: Returns the evidence of all that began to fail in one of these times, which are in order and
            do not overlap, or so shortly before that its answer would have come in one. Of references their
            answers, of all else their failures as well.
        others: Returns the evidence of everything else in the run, in any order.
        until_ns: The end of the measurement.
    """
    raised: list[Sequence[_Suspicion]] = [
        list(_failing(spans, until_ns)) for spans in references if _has_answered(spans)
    ]
    if len(raised) > 1:
        raised.append(reduce(_both, raised))
    doubts = [
        _Doubts(suspicions) for one in raised if (suspicions := [each for each in one if each.is_dated])
    ]
    if not doubts:
        return []
    for one in around(unite(time for each in doubts for time in each.times)):
        for each in doubts:
            each.hear(one)
    for number, one in enumerate(others(), start=1):
        for each in doubts:
            each.hear(one)
        if number & (number - 1) == 0 and not any(True for each in doubts for _ in each.real()):
            return []
    return _joined(sorted(interval for each in doubts for interval in each.real()))


def _joined(blind: Iterable[Interval]) -> list[Interval]:
    """Join what overlaps, and to a long blind time what follows so soon that the link was just coming back.

    What only touches does not overlap: there was a good answer between.
    """
    joined: list[Interval] = []
    for start_ns, end_ns in blind:
        if joined and _is_of(joined[-1], start_ns):
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_ns))
        else:
            joined.append((start_ns, end_ns))
    return joined


def _is_of(blind: Interval, at_ns: int) -> bool:
    """Tell whether a blind time that begins then belongs to one before it."""
    return at_ns <= blind[1] + RECOVERY_NS if _is_long(blind) else at_ns < blind[1]


def _is_long(blind: Interval) -> bool:
    return blind[1] - blind[0] >= RECOVERY_NS


def _has_answered(spans: Sequence[Span]) -> bool:
    return any(map(_is_timely, spans))


def _failing(spans: Sequence[Span], until_ns: int) -> Iterator[_Suspicion]:
    """Yield when a reference failed, each between two timely answers; first of all, before it counts."""
    good = [i for i, span in enumerate(spans) if _is_timely(span)]
    begun_ns = spans[good[0]].first_sent_ns
    yield _Suspicion(_NEVER, begun_ns, _NEVER, begun_ns)
    for i, j in pairwise([*good, len(spans)]):
        failed = [span for span in spans[i + 1 : j] if _has_failed(span)]
        if failed:
            before_ns = spans[j].first_sent_ns if j < len(spans) else until_ns
            yield _Suspicion(
                failed[0].first_sent_ns, failed[-1].last_sent_ns, spans[i].last_sent_ns, before_ns
            )


def _both(left: Sequence[_Suspicion], right: Sequence[_Suspicion]) -> Sequence[_Suspicion]:
    """Return the times in which both failed."""
    found = []
    i = j = 0
    while i < len(left) and j < len(right):
        one, other = left[i], right[j]
        common = _Suspicion(
            max(one.first_ns, other.first_ns),
            min(one.last_ns, other.last_ns),
            max(one.after_ns, other.after_ns),
            min(one.before_ns, other.before_ns),
        )
        if common.first_ns <= common.last_ns:
            found.append(common)
        if one.before_ns < other.before_ns:
            i += 1
        else:
            j += 1
    return found


def _is_timely(span: Span) -> bool:
    return span.verdict is Verdict.UP and not span.causes


def _has_failed(span: Span) -> bool:
    return span.verdict is Verdict.DOWN or _NO_ROUTE in span.causes


def attribute(spans: Iterable[Span], blind: Sequence[Interval], baseline_ns: int | None) -> Iterator[Span]:
    """Yield the spans of one check, in order, with the failures of blind times made unknown.

    Args:
        spans: Of one check.
        blind: See `find_blind`.
        baseline_ns: Its normal, if that is known.
    """
    for span in spans:
        if blind and _may_be_for_the_link(span):
            yield from _cut(span, blind, timely_ns(span.check, baseline_ns))
        else:
            yield span


def _may_be_for_the_link(span: Span) -> bool:
    """Tell whether a span is of failures most of which a link of ours that is down may bring about."""
    if span.verdict is not Verdict.DOWN:
        return False
    like_it = sum(count for cause, count in span.causes.items() if may_be_our_links(cause))
    return 2 * like_it >= sum(span.causes.values()) > 0


def timely_ns(check: str, baseline_ns: int | None) -> int:
    """Return how long a timely answer of a check takes at most."""
    return PATIENCE_NS if baseline_ns is None else slow_after_ns(check, baseline_ns)


def _cut(span: Span, blind: Sequence[Interval], latency_ns: int) -> Iterator[Span]:
    """Yield a span of failures, those of blind times apart and unknown."""
    rest = span
    for one in blind[bisect_left(blind, span.first_sent_ns, key=lambda each: each[1]) :]:
        start_ns, end_ns = one
        begin_ns, over_ns = start_ns - latency_ns, end_ns + min(end_ns - start_ns, RECOVERY_NS)
        if begin_ns > rest.last_sent_ns:
            break
        if end_ns < rest.first_sent_ns:
            continue
        if not _is_long(one) and not (begin_ns <= rest.first_sent_ns and rest.last_sent_ns <= over_ns):
            continue
        done, left = take_out(rest, begin_ns, over_ns, CAUSE)
        yield from done
        if left is None:
            return
        rest = left
    yield rest
