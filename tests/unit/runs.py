"""Spans, targets and readers as the tests of figures and reports need them. Times are in seconds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from downtimer.intervals import Interval
from downtimer.model import (
    SECOND_NS,
    Event,
    Incarnation,
    Kind,
    Latency,
    Mark,
    Run,
    RunId,
    Span,
    Target,
    TargetId,
    TargetState,
    Verdict,
)

START_UTC_NS = 1_795_365_425_123_000_000
"""2026-11-22 16:37:05.123 UTC."""

RUN = Run(
    id=RunId("20261122T163705-1234"),
    label="",
    vantage="deploy01",
    cloud="http://172.29.236.10:5000",
    start_utc_ns=START_UTC_NS,
    boot_origin_ns=0,
    boot_id="",
    end_ns=100 * SECOND_NS,
)


def ns(seconds: float) -> int:
    """Return seconds as the integer that all of downtimer counts in."""
    return round(seconds * SECOND_NS)


def up(first: float, last: float, **more: object) -> Span:
    """Return a span of good answers, 0.5 s apart."""
    return span(Verdict.UP, first, last, **more)


def slow(first: float, last: float, **more: object) -> Span:
    """Return a span of late answers, 0.5 s apart."""
    return span(Verdict.SLOW, first, last, **more)


def down(first: float, last: float, **more: object) -> Span:
    """Return a span of failed probes, refused, 0.5 s apart."""
    return span(Verdict.DOWN, first, last, **({"causes": "refused"} | more))


def unknown(first: float, last: float, **more: object) -> Span:
    """Return a span of probes that we could not send, 0.5 s apart."""
    return span(Verdict.UNKNOWN, first, last, **({"causes": "send"} | more))


def span(verdict: Verdict, first: float, last: float, **more: object) -> Span:
    """Return a span of probes that are 0.5 s apart, or `every` seconds.

    `causes` is a cause, of all probes, or a dict; `dated` and `watched` are in seconds; `life` tells
    incarnations apart; `target`, `check` and `max_gap` (seconds) are what they are in a span.
    """
    every = more.get("every", 0.5)
    dated, watched, max_gap = more.get("dated"), more.get("watched"), more.get("max_gap", 2.0)
    causes = more.get("causes", {})
    assert isinstance(every, int | float)
    assert isinstance(max_gap, int | float)
    assert isinstance(dated, int | float | None)
    assert isinstance(watched, int | float | None)
    probes = round((last - first) / every) + 1
    if isinstance(causes, dict):
        probes = sum(causes.values()) or probes
    else:
        causes = {str(causes): probes}
    return Span(
        target=TargetId(str(more.get("target", "service:nova"))),
        check=str(more.get("check", "answers")),
        verdict=verdict,
        first_sent_ns=ns(first),
        last_sent_ns=ns(last),
        probes=probes,
        widest_ns=ns(every) if last > first else 0,
        causes=causes,
        max_gap_ns=ns(max_gap),
        dated_ns=None if dated is None else ns(dated),
        watched_ns=None if watched is None else ns(watched),
        incarnation=Incarnation(f"api.{more.get('life', 1)}"),
    )


def service(name: str, region: str | None = "RegionOne", **more: str) -> TargetState:
    """Return a service; its id is ``service:NAME``, or what `id` says."""
    target = Target(
        id=TargetId(more.pop("id", f"service:{name}")),
        kind=Kind.SERVICE,
        name=name,
        region=region,
        interface=more.pop("interface", "public"),
        url=more.pop("url", f"http://172.29.236.10/{name}/"),
    )
    return TargetState(target=target, discovered_ns=0, listed_ns=0)


def address(name: str, *, reference: bool = False, **times: float) -> TargetState:
    """Return an address; its id is ``address:NAME``, or ``reference/NAME``.

    `listed`, `missing` and `retired` are in seconds: when a list last had it, first lacked it, and
    when it was retired. It was listed long ago if that is not said, so lists are no reason to believe
    that it was taken away.
    """
    target = Target(
        id=TargetId(f"{'reference/' if reference else 'address:'}{name}"),
        kind=Kind.ADDRESS,
        name=name,
        project_id="f00d",
        project="shop",
        reference=reference,
    )
    return TargetState(
        target=target,
        discovered_ns=0,
        listed_ns=ns(times.get("listed", -1000)),
        missing_ns=ns(times["missing"]) if "missing" in times else None,
        retired_ns=ns(times["retired"]) if "retired" in times else None,
    )


@dataclass(kw_only=True)
class MemoryReader:
    """A run in memory, in the order that a store yields it."""

    states: Sequence[TargetState] = ()
    the_spans: Sequence[Span] = ()
    the_run: Run = RUN
    the_marks: list[Mark] = field(default_factory=list)
    the_events: list[Event] = field(default_factory=list)
    is_followed: bool = True  # it is told how far it has come
    the_notes: list[str] = field(default_factory=list)
    the_latencies: dict[TargetId, list[Latency]] = field(default_factory=dict)

    def run(self) -> Run:
        """Return the run."""
        return self.the_run

    def targets(self) -> Iterator[TargetState]:
        """Yield the targets by id."""
        return iter(sorted(self.states, key=lambda state: state.target.id))

    def with_spans(self, targets: Iterable[TargetId]) -> Iterator[tuple[TargetState, list[Span]]]:
        """Yield some of the targets, each with its spans by natural key."""
        states = {state.target.id: state for state in self.states}
        for target in targets:
            spans = [span for span in self.the_spans if span.target == target]
            yield states[target], sorted(spans, key=lambda span: (span.check, span.first_sent_ns))

    def stored(self, targets: Iterable[TargetId]) -> Iterator[tuple[TargetState, list[Span]]]:
        """Yield the same."""
        return self.with_spans(targets)

    def decode(self, stored: tuple[TargetState, list[Span]]) -> tuple[TargetState, list[Span]]:
        """Return it as it is."""
        return stored

    def failing(self, times: Sequence[Interval]) -> list[TargetId]:
        """Return those of which failed spans begin in one of these times."""
        return sorted(
            {
                span.target
                for span in self.the_spans
                if span.verdict is Verdict.DOWN
                and any(start_ns <= span.first_sent_ns <= end_ns for start_ns, end_ns in times)
            }
        )

    def latencies(self, target: TargetId) -> list[Latency]:
        """Return how soon a service answered."""
        return self.the_latencies.get(target, [])

    def marks(self) -> list[Mark]:
        """Return the marks."""
        return self.the_marks

    def events(self) -> list[Event]:
        """Return the events."""
        return self.the_events

    def through_ns(self) -> int:
        """Return the end of the last span."""
        return max((span.last_sent_ns for span in self.the_spans), default=0)

    def tells_progress(self) -> bool:
        """Tell whether it is told how far it has come."""
        return self.is_followed

    def notes(self) -> list[str]:
        """Return what is missing."""
        return self.the_notes

    def close(self) -> None:
        """Release nothing."""
