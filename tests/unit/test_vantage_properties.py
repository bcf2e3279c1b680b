"""Whatever our own link does and whatever befalls targets meanwhile: only what is theirs is their downtime.

A cloud of references and targets is generated, each probed at a phase and a rate of its own; when our
link was down, when each failed by itself, and the spans that come of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from downtimer.intervals import Interval, measure, subtract, unite
from downtimer.model import MILLISECOND_NS, SECOND_NS, Incarnation, Span, Verdict
from downtimer.outages import summarize
from downtimer.tracker import Outcome, Tracker
from downtimer.vantage import (
    RECOVERY_NS,
    Answers,
    Failures,
    answers_of_reference,
    attribute,
    evidence_of,
    find_blind,
)
from tests.unit.runs import address

ADDRESS: Final = address("10.0.0.7")
BASELINE_NS: Final = 10 * MILLISECOND_NS
MAX_GAP_NS: Final = 2 * SECOND_NS
UNTIL_NS: Final = 120 * SECOND_NS
SETTLED_NS: Final = 20 * SECOND_NS
"""By then the normal of each is known."""

NEAR_NS: Final = RECOVERY_NS + 3 * SECOND_NS
"""What is farther from a failure of the link is beyond all of its effects."""


@dataclass(frozen=True)
class Probed:
    """Something that is probed.

    Attributes:
        interval_ns: How often.
        phase_ns: When first.
        faults: When it fails by itself.
    """

    interval_ns: int
    phase_ns: int
    faults: Sequence[Interval]

    def spans(self, link: Sequence[Interval]) -> list[Span]:
        """Return what comes of it with a link that was down at times."""
        told: dict[int, Span] = {}

        def emit(span: Span, *, is_open: bool) -> None:
            assert span.probes == 1 or not is_open
            told[span.first_sent_ns] = span

        tracker = Tracker(ADDRESS.target.id, "icmp", Incarnation("icmp.1"), emit)
        for sent_ns in range(self.phase_ns, UNTIL_NS, self.interval_ns):
            is_down = any(start_ns <= sent_ns < end_ns for start_ns, end_ns in (*self.faults, *link))
            verdict, cause = (Verdict.DOWN, "no-reply") if is_down else (Verdict.UP, None)
            tracker.issue(sent_ns)
            tracker.resolve(sent_ns, Outcome(verdict, cause, MAX_GAP_NS))
        tracker.close()
        return list(told.values())


@dataclass(frozen=True)
class Cloud:
    """Everything that is probed in a run."""

    references: Sequence[Probed]
    targets: Sequence[Probed]

    def attributed(self, link: Sequence[Interval]) -> list[tuple[list[Span], list[Span]]]:
        """Return the spans of each target, and what they are when it is known whose fault it was."""
        references = [each.spans(link) for each in self.references]
        targets = [each.spans(link) for each in self.targets]
        evidence: list[Answers | Failures] = []
        for spans in references:
            evidence += answers_of_reference(spans, BASELINE_NS)
        for spans in targets:
            evidence += evidence_of(spans, BASELINE_NS)
        blind = find_blind(references, lambda _: evidence, tuple, UNTIL_NS)
        return [(spans, list(attribute(spans, blind, BASELINE_NS))) for spans in targets]


def _milliseconds(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most).map(lambda value: value * MILLISECOND_NS)


@st.composite
def faults(draw: st.DrawFn, shortest_ms: int) -> list[Interval]:
    """Draw up to three times in which something is down, seconds apart."""
    at_ns, found = SETTLED_NS, []
    for _ in range(draw(st.integers(0, 3))):
        at_ns += draw(_milliseconds(3_000, 20_000))
        end_ns = at_ns + draw(_milliseconds(shortest_ms, 10_000))
        found.append((at_ns, end_ns))
        at_ns = end_ns
    return found


def _probed(
    interval_ms: Sequence[int], failing: st.SearchStrategy[list[Interval]]
) -> st.SearchStrategy[Probed]:
    intervals = st.sampled_from(interval_ms).map(lambda value: value * MILLISECOND_NS)
    return st.builds(Probed, intervals, _milliseconds(0, 99), failing)


STEADY = _probed([100, 200], st.just([]))
TARGETS = st.lists(_probed([50, 100, 500], faults(20)), min_size=1, max_size=4)
CLOUDS = st.builds(Cloud, st.lists(STEADY, min_size=1, max_size=2), TARGETS)
LINKS = faults(shortest_ms=1_000)


def _summary(spans: Sequence[Span]) -> tuple[int, int, int]:
    """Return the downtime at least, as estimated, and at most."""
    summary = summarize(ADDRESS, spans)
    return summary.down_min_ns, summary.down_ns, summary.down_max_ns


@given(CLOUDS, LINKS)
@settings(max_examples=150, deadline=None)
def test_what_failed_with_the_link_only_has_no_downtime(cloud: Cloud, link: list[Interval]) -> None:
    for target, (_, spans) in zip(cloud.targets, cloud.attributed(link), strict=True):
        if not target.faults:
            assert _summary(spans) == (0, 0, 0)


@given(CLOUDS, LINKS)
@settings(max_examples=150, deadline=None)
def test_no_more_is_claimed_than_was_a_targets_own_fault(cloud: Cloud, link: list[Interval]) -> None:
    for target, (_, spans) in zip(cloud.targets, cloud.attributed(link), strict=True):
        assert _summary(spans)[0] <= measure(target.faults)


@given(CLOUDS, LINKS)
@settings(max_examples=150, deadline=None)
def test_what_happens_far_from_a_failure_of_the_link_is_as_if_there_were_none(
    cloud: Cloud, link: list[Interval]
) -> None:
    near = unite((start_ns - NEAR_NS, end_ns + NEAR_NS) for start_ns, end_ns in link)
    for target, (_, spans) in zip(cloud.targets, cloud.attributed(link), strict=True):
        if measure(subtract(target.faults, near)) == measure(target.faults):
            failed = [span for span in target.spans([]) if span.verdict is Verdict.DOWN]
            assert [_core(span) for span in spans if span.verdict is Verdict.DOWN] == [
                _core(span) for span in failed
            ]


def _core(span: Span) -> tuple[int, int, int]:
    return span.first_sent_ns, span.last_sent_ns, span.probes


@given(CLOUDS)
@settings(max_examples=100, deadline=None)
def test_link_that_was_never_down_excuses_nothing(cloud: Cloud) -> None:
    assert all(spans == before for before, spans in cloud.attributed([]))


@given(st.builds(Cloud, st.lists(_probed([100, 200], faults(20)), max_size=2), TARGETS), LINKS)
@settings(max_examples=150, deadline=None)
def test_what_was_answered_stays_so_and_nothing_becomes_down(cloud: Cloud, link: list[Interval]) -> None:
    """Also with references that fail by themselves, or without any."""
    for before, after in cloud.attributed(link):
        assert _of(after, Verdict.UP) == _of(before, Verdict.UP)
        assert subtract(_extent(after, Verdict.DOWN), _extent(before, Verdict.DOWN)) == []


def _of(spans: Sequence[Span], verdict: Verdict) -> list[Span]:
    return [span for span in spans if span.verdict is verdict]


def _extent(spans: Sequence[Span], verdict: Verdict) -> list[Interval]:
    return unite((span.first_sent_ns, span.last_sent_ns) for span in _of(spans, verdict))


@st.composite
def lossy(draw: st.DrawFn) -> Probed:
    """Draw a reference that loses echoes, up to a third of them."""
    interval_ns = draw(st.sampled_from([100, 200])) * MILLISECOND_NS
    chance = Random(draw(st.integers(0, 1000)))  # noqa: S311 - that hypothesis can play again
    share = draw(st.floats(0, 0.33))
    slots = range(SETTLED_NS, UNTIL_NS, interval_ns)
    return Probed(interval_ns, 0, [(at_ns, at_ns + 1) for at_ns in slots if chance.random() < share])


LONG = st.lists(_probed([50, 100, 500], faults(1_500)), min_size=1, max_size=4)


@given(st.lists(lossy(), min_size=1, max_size=2), LONG, _probed([100], st.just([])))
@settings(max_examples=100, deadline=None)
def test_reference_that_loses_echoes_hides_no_outage(
    references: list[Probed], targets: list[Probed], steady: Probed
) -> None:
    """As long as twice as many others are well as may begin to fail with it."""
    others = [steady] * 2 * len(targets)
    for before, after in Cloud(references, [*targets, *others]).attributed([]):
        assert after == before
