"""The short way to the figures of what was observed without a break leads where the long one does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from msgspec import structs

from downtimer.model import MILLISECOND_NS, SECOND_NS, Power, PowerChange, Span, TargetState, Verdict
from downtimer.outages import summarize, summarize_any
from downtimer.seamless import summarize_seamless
from tests.unit.runs import address, service
from tests.unit.sampled import Sampled, samples

KNOWN: Final = (Verdict.UP, Verdict.SLOW, Verdict.DOWN)
CAUSES: Final = ("no-reply", "unreachable", "refused", "timeout-answer")
STATES: Final = (
    address("10.0.0.7"),
    service("nova"),
    replace(
        address("10.0.0.8"),
        powers=(PowerChange(20 * SECOND_NS, 30 * SECOND_NS, Power.STOPPED),),
    ),
)


@st.composite
def seamless(draw: st.DrawFn, *, is_dated: bool = True, least_ns: int = 1) -> list[Span]:
    """Draw the spans of a check that was probed from beginning to end, at least so far from each other."""
    at_ns, spans = draw(st.integers(0, SECOND_NS)), []
    dates = [None, None, None, 0, 1, 30 * MILLISECOND_NS] if is_dated else [None]
    for _ in range(draw(st.integers(2, 12))):
        verdict = draw(st.sampled_from(KNOWN))
        probes = draw(st.sampled_from([1, 1, 2, 5, 40, 300]))
        every_ns = draw(st.sampled_from([1, 50 * MILLISECOND_NS + 1, 200 * MILLISECOND_NS]))
        last_ns = at_ns + (probes - 1) * every_ns
        distance_ns = draw(st.sampled_from([least_ns, 2, 50 * MILLISECOND_NS, 2 * SECOND_NS]))
        before_ns = draw(st.sampled_from(dates))
        spans.append(
            Span(
                target=STATES[0].target.id,
                check="icmp",
                verdict=verdict,
                first_sent_ns=at_ns,
                last_sent_ns=last_ns,
                probes=probes,
                widest_ns=every_ns if probes > 1 else 0,
                causes=draw(_causes(probes)) if verdict is Verdict.DOWN else {},
                max_gap_ns=2 * SECOND_NS,
                dated_ns=None if before_ns is None else at_ns - before_ns,
            )
        )
        at_ns = last_ns + distance_ns
    return spans


@st.composite
def _causes(draw: st.DrawFn, probes: int) -> dict[str, int]:
    """Draw the causes of so many failures."""
    first, second = draw(st.lists(st.sampled_from(CAUSES), min_size=2, max_size=2, unique=True))
    share = draw(st.integers(0, probes))
    return {cause: count for cause, count in ((first, share), (second, probes - share)) if count}


@given(seamless(), st.sampled_from(STATES))
@settings(max_examples=800, deadline=None)
def test_short_way_leads_where_the_long_one_does(spans: list[Span], state: TargetState) -> None:
    figures = summarize_seamless(state, spans)
    event("taken" if figures is not None else "not taken")
    if figures is not None:
        assert figures == summarize_any(state, spans)


@given(samples(), st.sampled_from(STATES))
@settings(max_examples=300, deadline=None)
def test_what_has_breaks_comes_to_the_same(check: Sampled, state: TargetState) -> None:
    for spans in (check.spans(), check.spans(cut=True)):
        assert summarize(state, spans) == summarize_any(state, spans)


@given(seamless(is_dated=False, least_ns=2))
@settings(max_examples=200, deadline=None)
def test_outages_with_a_good_answer_between_them_are_on_the_short_way(spans: list[Span]) -> None:
    assert summarize_seamless(STATES[0], spans) is not None


@given(
    seamless(), st.integers(0, 11), st.sampled_from(["gap", "unknown", "life", "check", "watched", "overlap"])
)
@settings(max_examples=200, deadline=None)
def test_any_break_bars_the_short_way(spans: list[Span], index: int, kind: str) -> None:
    index %= len(spans)
    assume(index or kind in ("unknown", "watched"))
    assert summarize_seamless(STATES[0], _broken(spans, index, kind)) is None


def _broken(spans: Sequence[Span], index: int, kind: str) -> list[Span]:
    """Return the spans with a break at one of them."""
    span, last_ns = spans[index], spans[index].last_sent_ns
    rest = [*spans[index + 1 :]]
    if kind == "gap":
        shift_ns = 3 * SECOND_NS
        return [*spans[:index], *(_shifted(one, shift_ns) for one in [span, *rest])]
    if kind == "overlap":
        before = structs.replace(spans[index - 1], last_sent_ns=span.first_sent_ns + 1)
        return [*spans[: index - 1], before, span, *rest]
    changes: dict[str, object] = {
        "unknown": {"verdict": Verdict.UNKNOWN, "causes": {"send": span.probes}},
        "life": {"incarnation": "icmp.2"},
        "check": {"check": "tcp"},
        "watched": {"watched_ns": last_ns},
    }[kind]  # type: ignore[assignment]
    return [*spans[:index], structs.replace(span, **changes), *rest]


def _shifted(span: Span, by_ns: int) -> Span:
    return structs.replace(
        span, first_sent_ns=span.first_sent_ns + by_ns, last_sent_ns=span.last_sent_ns + by_ns, dated_ns=None
    )
