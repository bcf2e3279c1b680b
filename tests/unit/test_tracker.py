"""Probes become spans in the order in which they were sent, however they resolve."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from downtimer.model import MILLISECOND_NS, Incarnation, Span, TargetId, Verdict
from downtimer.tracker import Outcome, Tracker

GAP_NS = 2_000 * MILLISECOND_NS
STEP_NS = 500 * MILLISECOND_NS
UP = Outcome(Verdict.UP, None, GAP_NS)
DOWN = Outcome(Verdict.DOWN, "refused", GAP_NS)


class Journal:
    """Keeps spans by their key, as the real one does; a closed span must stay as it is."""

    def __init__(self) -> None:
        self.spans: dict[int, Span] = {}
        self.closed: set[int] = set()

    def __call__(self, span: Span, *, is_open: bool) -> None:
        """Take a span."""
        assert span.first_sent_ns not in self.closed
        self.spans[span.first_sent_ns] = span
        if not is_open:
            self.closed.add(span.first_sent_ns)

    def in_order(self) -> list[Span]:
        """Return all of them."""
        return [self.spans[key] for key in sorted(self.spans)]


def make() -> tuple[Tracker, Journal]:
    """Return a tracker and where its spans go."""
    journal = Journal()
    return Tracker(TargetId("t"), "answers", Incarnation("api.1"), journal), journal


def test_equal_verdicts_make_one_span() -> None:
    """A span is told when it opens and when it ends; between, it costs nothing."""
    tracker, journal = make()
    for number in range(10):
        tracker.issue(number * STEP_NS)
        tracker.resolve(number * STEP_NS, UP)
    assert [span.probes for span in journal.in_order()] == [1]
    tracker.close()
    (span,) = journal.in_order()
    assert (span.probes, span.first_sent_ns, span.last_sent_ns) == (10, 0, 9 * STEP_NS)
    assert journal.closed == {0}


def test_change_of_verdict_ends_the_span_before_it_opens_the_next() -> None:
    """Spans of one check never overlap."""
    tracker, journal = make()
    for number, outcome in enumerate([UP, DOWN, DOWN._replace(cause="reset"), UP]):
        tracker.issue(number)
        tracker.resolve(number, outcome)
    verdicts = [(span.verdict.value, span.probes, dict(span.causes)) for span in journal.in_order()]
    assert verdicts == [("up", 1, {}), ("down", 2, {"refused": 1, "reset": 1}), ("up", 1, {})]
    assert journal.closed == {0, 1}


def test_gap_of_more_than_max_gap_ends_a_span() -> None:
    """What lies further apart was not observed between."""
    tracker, journal = make()
    for sent_ns in (0, GAP_NS, 2 * GAP_NS + 1):
        tracker.issue(sent_ns)
        tracker.resolve(sent_ns, UP)
    assert [(span.first_sent_ns, span.verdict) for span in journal.in_order()] == [
        (0, Verdict.UP),
        (2 * GAP_NS + 1, Verdict.UP),
    ]


def test_the_max_gap_of_the_last_probe_is_in_force() -> None:
    """As the interval stretches, so does what counts as observed."""
    tracker, journal = make()
    for sent_ns, gap_ns in ((0, GAP_NS), (10, 3 * GAP_NS), (10 + 3 * GAP_NS, GAP_NS)):
        tracker.issue(sent_ns)
        tracker.resolve(sent_ns, UP._replace(max_gap_ns=gap_ns))
    assert len(journal.spans) == 1


def test_early_resolution_waits_for_older_probes() -> None:
    """A hanging probe is judged before those that were sent after it."""
    tracker, journal = make()
    tracker.issue(0)
    tracker.issue(1)
    tracker.resolve(1, UP)
    assert not journal.spans
    tracker.resolve(0, DOWN)
    assert [span.verdict for span in journal.in_order()] == [Verdict.DOWN, Verdict.UP]


def test_strange_and_repeated_resolutions_are_passed_over() -> None:
    """Only a probe that is under way can be resolved, once."""
    tracker, journal = make()
    tracker.resolve(7, UP)
    tracker.issue(8)
    tracker.issue(9)
    tracker.resolve(9, UP)
    tracker.resolve(9, DOWN)
    tracker.resolve(8, UP)
    tracker.close()
    assert [(span.verdict, span.probes) for span in journal.in_order()] == [(Verdict.UP, 2)]


def test_dated_instant_is_that_of_the_first_probe() -> None:
    """A date says when the span began; later ones mean nothing."""
    tracker, journal = make()
    for sent_ns, dated_ns in ((5, 3), (6, 4)):
        tracker.issue(sent_ns)
        tracker.resolve(sent_ns, DOWN._replace(dated_ns=dated_ns))
    assert journal.spans[5].dated_ns == 3


def test_close_forgets_what_is_under_way() -> None:
    """A probe whose fate is not known is no part of any span."""
    tracker, journal = make()
    tracker.issue(0)
    tracker.resolve(0, UP)
    tracker.issue(1)
    tracker.close()
    tracker.resolve(1, DOWN)
    assert tracker.current() is None
    assert [span.last_sent_ns for span in journal.in_order()] == [0]


OUTCOMES = st.builds(
    lambda verdict, gap: Outcome(
        verdict, None if verdict in (Verdict.UP, Verdict.SLOW) else "send", gap * STEP_NS
    ),
    st.sampled_from(Verdict),
    st.integers(1, 6),
)
PROBES = st.lists(st.tuples(st.integers(1, 8), OUTCOMES), max_size=40)


def run(probes: list[tuple[int, Outcome]], order: list[int], checkpoints: Random | None) -> list[Span]:
    """Send all probes at their distances, resolve them in some order, perhaps with checkpoints."""
    tracker, journal = make()
    at_ns, sent = 0, []
    for distance, _ in probes:
        at_ns += distance * STEP_NS
        tracker.issue(at_ns)
        sent.append(at_ns)
    for index in order:
        tracker.resolve(sent[index], probes[index][1])
        span = tracker.current()
        if checkpoints is not None and span is not None and checkpoints.random() < 0.3:
            journal(span, is_open=True)
    tracker.close()
    return journal.in_order()


@given(PROBES, st.randoms(use_true_random=False))
def test_any_order_of_resolution_gives_the_same_spans(
    probes: list[tuple[int, Outcome]], random: Random
) -> None:
    """Spans are a function of what was sent when and what came of it; checkpoints change nothing."""
    straight = list(range(len(probes)))
    shuffled = random.sample(straight, len(straight))
    assert run(probes, shuffled, random) == run(probes, straight, None)


@given(PROBES)
def test_spans_are_the_run_length_encoding_of_the_probes(probes: list[tuple[int, Outcome]]) -> None:
    """Each probe is in one span, of its verdict; spans are maximal."""
    spans = run(probes, list(range(len(probes))), None)
    told = [span.verdict for span in spans for _ in range(span.probes)]
    assert told == [outcome.verdict for _, outcome in probes]
    for before, after in pairwise(spans):
        is_far = after.first_sent_ns - before.last_sent_ns > before.max_gap_ns
        assert is_far or before.verdict is not after.verdict
    causes = sum(sum(span.causes.values()) for span in spans)
    assert causes == sum(outcome.cause is not None for _, outcome in probes)


def test_what_may_be_keystones_fault_is_kept_apart_from_what_cannot() -> None:
    """So that it can be judged later, when Keystone's own failures are known."""
    tracker, journal = make()
    causes = ["http-401", "http-503-keystone", "http-503", "http-503", "http-503-keystone"]
    for number, cause in enumerate(causes):
        tracker.issue(number * STEP_NS)
        tracker.resolve(number * STEP_NS, Outcome(Verdict.DOWN, cause, GAP_NS))
    tracker.close()
    assert [dict(span.causes) for span in journal.in_order()] == [
        {"http-401": 1, "http-503-keystone": 1},
        {"http-503": 2},
        {"http-503-keystone": 1},
    ]


def test_probe_that_hangs_on_ends_its_span() -> None:
    """What is known of the time after it is of another kind."""
    tracker, journal = make()
    hung = DOWN._replace(cause="timeout-answer", watched_ns=5, max_gap_ns=100 * GAP_NS)
    for sent_ns, outcome in ((1, DOWN), (2, DOWN), (3, hung), (50, hung._replace(watched_ns=52)), (90, DOWN)):
        tracker.issue(sent_ns)
        tracker.resolve(sent_ns, outcome)
    tracker.close()
    assert [(each.first_sent_ns, each.last_sent_ns, each.watched_ns) for each in journal.in_order()] == [
        (1, 3, 5),
        (50, 50, 52),
        (90, 90, None),
    ]


def test_that_a_probe_hangs_on_is_told_at_once() -> None:
    """Or its open span would be taken to grow by probes."""
    tracker, journal = make()
    for sent_ns, watched_ns in ((1, None), (2, 4)):
        tracker.issue(sent_ns)
        tracker.resolve(sent_ns, DOWN._replace(watched_ns=watched_ns))
    (told,) = journal.in_order()
    assert (told.last_sent_ns, told.watched_ns) == (2, 4)
