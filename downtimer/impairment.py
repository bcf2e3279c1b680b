"""What of a service's failures is Keystone's. Pure.

While Keystone fails, others refuse our token, or say that they can't reach Keystone. That is no fault of
theirs, and Keystone's downtime is on Keystone's own line. So what failed like that, and was sent in a time in
which Keystone may have been down by any of its checks, is unknown, cause ``keystone``. Where at
least half of what failed in that time is like that, what hung is, too: it waited for a Keystone that came
back before the service gave up on it. Good answers between, for less than half a minute, make no difference,
for of several processes one may have our token cached. Everything else that fails stays down, also a service
that names Keystone while Keystone works: to its users it is down.

What was sent shortly before that time is judged with it, for it was under way when Keystone failed. Between
two outages of Keystone so close that they are one episode the same holds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from downtimer.brackets import find_outages
from downtimer.cells import is_good, order, take_out
from downtimer.episodes import SETTLE_NS
from downtimer.intervals import Interval, unite
from downtimer.model import SECOND_NS, WORKS, Span, Verdict
from downtimer.verdicts import KEYSTONES, is_hang

CAUSE: Final = "keystone"

UNDER_WAY_NS: Final = 2 * SECOND_NS
"""So long a call may be under way."""


TOGETHER_NS: Final = 30 * SECOND_NS
"""Failures with good answers between them for less than that may have one reason."""


def find_failing(checks: Iterable[Sequence[Span]], until_ns: int) -> list[Interval]:
    """Return when Keystone may have failed, in order.

    Args:
        checks: The spans of each check of one Keystone or several.
        until_ns: The end of the measurement.
    """
    outer: list[Interval] = []
    for spans in checks:
        if spans:
            ordered = order(spans)
            window = (ordered[0].first_sent_ns, max(until_ns, ordered[-1].last_sent_ns))
            outer += (outage.outer() for outage in find_outages(ordered, window))
    joined = unite((start_ns - UNDER_WAY_NS, end_ns + SETTLE_NS) for start_ns, end_ns in outer)
    return [(start_ns, end_ns - SETTLE_NS) for start_ns, end_ns in joined]


def attribute(spans: Iterable[Span], failing: Sequence[Interval]) -> Iterator[Span]:
    """Yield the spans of one check of another service, with what is Keystone's fault made unknown.

    Args:
        spans: In order.
        failing: See `find_failing`.
    """
    if not failing:
        yield from spans
        return
    for group in _groups(spans):
        yield from _attribute_group(group, failing)


def _groups(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Yield the spans in groups: of failures that may have one reason, and what is between them."""
    group: list[Span] = []
    good_ns: int | None = None  # since when there are good answers only
    for span in spans:
        if not is_good(span):
            good_ns = None
        elif good_ns is None:
            good_ns = span.first_sent_ns
        if good_ns is not None and span.last_sent_ns - good_ns >= TOGETHER_NS:
            yield group
            group = []
        group.append(span)
    yield group


def _attribute_group(group: Sequence[Span], failing: Sequence[Interval]) -> Iterator[Span]:
    waited_for = [interval for interval in failing if _is_waited_for(group, interval)]
    for span in group:
        if not _has_failed(span):
            yield span
        elif _is_of(span, KEYSTONES.__contains__):
            yield from _cut(span, failing)
        elif _is_of(span, is_hang):
            yield from _cut(span, waited_for)
        else:
            yield span


def _is_waited_for(group: Sequence[Span], failing: Interval) -> bool:
    """Tell whether what failed while Keystone did was mostly for want of it."""
    theirs = others = 0
    for span in filter(_has_failed, group):
        within = sum(one.probes for one in _cut(span, [failing]) if CAUSE in one.causes)
        if _is_of(span, KEYSTONES.__contains__):
            theirs += within
        elif span.verdict is Verdict.DOWN:
            others += within
    return theirs > 0 and theirs >= others


def _has_failed(span: Span) -> bool:
    return span.check == WORKS and not is_good(span)


def _is_of(span: Span, kind: Callable[[str], bool]) -> bool:
    """Tell whether all causes of a span are of that kind."""
    return bool(span.causes) and all(map(kind, span.causes))


def _cut(span: Span, failing: Sequence[Interval]) -> Iterator[Span]:
    """Yield a span, its parts within these times unknown."""
    rest = span
    for start_ns, end_ns in failing:
        if end_ns < rest.first_sent_ns:
            continue
        if start_ns > rest.last_sent_ns:
            break
        done, left = take_out(rest, start_ns, end_ns, CAUSE)
        yield from done
        if left is None:
            return
        rest = left
    yield rest


def impaired(spans: Iterable[Span]) -> list[Span]:
    """Return those spans of a service that say that Keystone's fault kept it from working."""
    return [span for span in spans if CAUSE in span.causes]
