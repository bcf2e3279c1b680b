"""What of a service's failures is Keystone's. Pure.

While Keystone fails, others refuse our token, or say that they can't reach Keystone. That is no fault of
theirs, and Keystone's downtime is on Keystone's own line. So what failed like that, and was sent in a time in
which Keystone may have been down by its *works* or *login* check, is unknown, cause ``keystone``. Where most
of a run of failures is like that, those that hung in it are, too: they waited for a Keystone that came back
before the service gave up on it. Everything else that fails stays down, also a service that names Keystone
while Keystone works: to its users it is down.

What was sent shortly before that time is judged with it, for it was under way when Keystone failed. Between
two outages of Keystone so close that they are one episode the same holds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from downtimer.brackets import find_outages
from downtimer.cells import is_good, order, part
from downtimer.episodes import SETTLE_NS
from downtimer.intervals import Interval, unite
from downtimer.model import LOGIN, SECOND_NS, WORKS, Span, Verdict
from downtimer.verdicts import KEYSTONES, is_hang

CAUSE: Final = "keystone"

UNDER_WAY_NS: Final = 2 * SECOND_NS
"""So long a call may be under way."""


def find_failing(checks: Iterable[Sequence[Span]], until_ns: int) -> list[Interval]:
    """Return when Keystone may have failed, in order.

    Args:
        checks: The spans of each check of one Keystone or several.
        until_ns: The end of the measurement.
    """
    outer: list[Interval] = []
    for spans in checks:
        if spans and spans[0].check in (WORKS, LOGIN):
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
    for has_failed, run in groupby(spans, key=_has_failed):
        if has_failed:
            yield from _attribute_run(list(run), failing)
        else:
            yield from run


def _has_failed(span: Span) -> bool:
    return span.check == WORKS and not is_good(span)


def _attribute_run(run: Sequence[Span], failing: Sequence[Interval]) -> Iterator[Span]:
    """Yield the spans of one run of failures."""
    counts = Counter[str]()
    for span in run:
        counts.update(span.causes)
    theirs = sum(count for cause, count in counts.items() if cause in KEYSTONES)
    hung = sum(count for cause, count in counts.items() if is_hang(cause))
    for span in run:
        if _is_theirs(span, with_hung=theirs >= hung):
            yield from _cut(span, failing)
        else:
            yield span


def _is_theirs(span: Span, *, with_hung: bool) -> bool:
    return bool(span.causes) and all(
        cause in KEYSTONES or (with_hung and is_hang(cause)) for cause in span.causes
    )


def _cut(span: Span, failing: Sequence[Interval]) -> Iterator[Span]:
    """Yield a span, its parts within these times unknown.

    When each probe was sent is not known, only how far apart they are at most. What is left on either
    side is shortened by that, so that it never claims a failure that may have been Keystone's.
    """
    rest = span
    for start_ns, end_ns in failing:
        if end_ns < rest.first_sent_ns:
            continue
        if start_ns > rest.last_sent_ns:
            break
        if rest.first_sent_ns < start_ns:
            yield part(rest, rest.first_sent_ns, max(rest.first_sent_ns, start_ns - rest.widest_ns))
        theirs = part(rest, max(rest.first_sent_ns, start_ns), min(rest.last_sent_ns, end_ns))
        yield replace(theirs, verdict=Verdict.UNKNOWN, causes={CAUSE: theirs.probes})
        if rest.last_sent_ns <= end_ns:
            return
        rest = part(rest, min(end_ns + rest.widest_ns, rest.last_sent_ns), rest.last_sent_ns)
    yield rest


def impaired(spans: Iterable[Span]) -> list[Span]:
    """Return those spans of a service that say that Keystone's fault kept it from working."""
    return [span for span in spans if CAUSE in span.causes]
