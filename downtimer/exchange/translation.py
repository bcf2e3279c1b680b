"""Runs, targets, spans as the model has them, and as lines have them: one into the other, and back. Pure.

What comes from a line may come from anybody; where it can't be, there is a ValueError, whose words name it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from downtimer.exchange import instants
from downtimer.exchange.lines import (
    FORMAT,
    INSTANT_MAX_NS,
    START_MAX_NS,
    VERSION,
    Instant,
    LatencyLine,
    RunLine,
    SampleLine,
    SpanLine,
)
from downtimer.model import (
    ANSWERS,
    ICMP,
    NEVER_NS,
    REPORTED,
    TCP,
    Incarnation,
    Kind,
    Latency,
    Run,
    RunId,
    Span,
    Target,
    TargetId,
    TargetState,
    Verdict,
)
from downtimer.verdicts import HELD_UP, verdict_of

_OF_TARGET: Final = frozenset(field.name for field in dataclasses.fields(Target))
_OF_STATE: Final = frozenset(field.name for field in dataclasses.fields(TargetState)) - {"target"}

# --- a run --------------------------------------------------------------------------------------


def head_of(run: Run, through_ns: int | None) -> RunLine:
    """Return the first line on a run; None if it was never told up to when all is recorded."""
    return RunLine(
        format=FORMAT,
        version=VERSION,
        id=run.id,
        start=instants.render(run.start_utc_ns),
        label=run.label,
        vantage=run.vantage,
        cloud=run.cloud,
        end=run.end_ns,
        interrupted=run.interrupted,
        through=through_ns,
    )


def run_of(head: RunLine) -> Run:
    """Return the run that a first line tells of; it is tied to no boot.

    Raises:
        ValueError: It can't have been like that.
    """
    start_ns = instants.parse(head.start)
    if not 0 <= start_ns <= START_MAX_NS:
        raise ValueError("start: not between the years 1970 and 2200")
    return Run(
        id=RunId(head.id),
        label=head.label,
        vantage=head.vantage,
        cloud=head.cloud,
        start_utc_ns=start_ns,
        boot_origin_ns=0,
        boot_id="",
        end_ns=None if head.end is None else instant_ns(head.end, start_ns),
        interrupted=head.interrupted,
    )


def instant_ns(instant: Instant, start_ns: int) -> int:
    """Return an instant of a line in ns since the start of its run, which is `start_ns` in UTC.

    Raises:
        ValueError: It is none, or lies outside of what a run may last.
    """
    if isinstance(instant, int):
        return instant
    at_ns = instants.parse(instant) - start_ns
    if not 0 <= at_ns <= INSTANT_MAX_NS:
        raise ValueError(f"{instant} is before the start of the run, or 73 years after it")
    return at_ns


def optional_ns(instant: Instant | None, start_ns: int) -> int | None:
    """Return the same for an instant that may be absent."""
    return None if instant is None else instant_ns(instant, start_ns)


# --- targets ------------------------------------------------------------------------------------


def fields_of(state: TargetState) -> dict[str, Any]:
    """Return a target as it stands in a line: all in one object, without what is absent."""
    fields = msgspec.to_builtins(state)
    everything = fields.pop("target") | fields
    return {
        name: value
        for name, value in everything.items()
        if value not in (None, (), {}) and value is not False
    }


def state_of(fields: Mapping[str, Any]) -> TargetState:
    """Return the target that a line tells of.

    Raises:
        WRONG: It is none.
    """
    unknown = fields.keys() - _OF_TARGET - _OF_STATE
    if unknown:
        raise ValueError(f"a target has no {min(unknown)!r:.60}")
    _check_numbers(fields)
    state = {"discovered_ns": 0, "listed_ns": 0} | {name: fields[name] for name in fields.keys() & _OF_STATE}
    state["target"] = {name: fields[name] for name in fields.keys() & _OF_TARGET}
    found = msgspec.convert(state, TargetState)
    if not found.target.id or not found.target.name:
        raise ValueError("a target needs an id and a name")
    if found.method is not None and not _is_method(found.method):
        raise ValueError(f"method {found.method!r:.60}: neither {ICMP} nor {TCP}-PORT")
    return found


def _check_numbers(value: Any) -> None:  # noqa: ANN401 - JSON
    """Refuse numbers that no journal holds, wherever they stand."""
    if isinstance(value, int) and not -INSTANT_MAX_NS <= value <= INSTANT_MAX_NS:
        raise ValueError("a number is out of bounds")
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _check_numbers(part)


def _is_method(method: str) -> bool:
    port = method.removeprefix(f"{TCP}-")
    return method == ICMP or (port != method and port.isascii() and port.isdecimal() and len(port) <= 5)


def usual_check(kind: Kind) -> str:
    """Return the check of a sample that names none."""
    return {Kind.SERVICE: ANSWERS, Kind.ADDRESS: ICMP, Kind.AGENT: REPORTED}[kind]


# --- spans --------------------------------------------------------------------------------------


def span_line(span: Span) -> SpanLine:
    """Return the line of a span."""
    return SpanLine(
        target=span.target,
        check=span.check,
        verdict=span.verdict,
        first=span.first_sent_ns,
        last=span.last_sent_ns,
        probes=span.probes,
        widest_ns=None if span.widest_ns == _widest_at_most(span) else span.widest_ns,
        causes=dict(span.causes),
        max_gap_ns=None if span.max_gap_ns == NEVER_NS else span.max_gap_ns,
        dated=span.dated_ns,
        watched=span.watched_ns,
        life=span.incarnation,
    )


def span_of(line: SpanLine, start_ns: int) -> Span:
    """Return the span that a line tells of.

    Raises:
        ValueError: It can't have been like that.
    """
    first_ns, last_ns = instant_ns(line.first, start_ns), instant_ns(line.last, start_ns)
    watched_ns = optional_ns(line.watched, start_ns)
    if not first_ns <= last_ns <= (last_ns if watched_ns is None else watched_ns):
        raise ValueError("it ends before it begins")
    for cause in line.causes:
        if not _fits(cause, line.verdict):
            raise ValueError(f"cause {cause!r:.60}: no probe that is {line.verdict} has it")
    span = Span(
        target=TargetId(line.target),
        check=line.check,
        verdict=line.verdict,
        first_sent_ns=first_ns,
        last_sent_ns=last_ns,
        probes=line.probes,
        widest_ns=line.widest_ns or 0,
        causes=line.causes,
        max_gap_ns=NEVER_NS if line.max_gap_ns is None else line.max_gap_ns,
        dated_ns=optional_ns(line.dated, start_ns),
        watched_ns=watched_ns,
        incarnation=Incarnation(line.life),
    )
    return span if line.widest_ns is not None else structs.replace(span, widest_ns=_widest_at_most(span))


def _widest_at_most(span: Span) -> int:
    """Return how far two neighbouring probes of a span can have been from each other."""
    return span.last_sent_ns - span.first_sent_ns if span.probes > 1 else 0


def verdict_of_sample(line: SampleLine) -> Verdict:
    """Return what a sample says of its target.

    Raises:
        ValueError: It contradicts itself, or is not good and does not say why.
    """
    if line.cause is None:
        if line.verdict in (Verdict.DOWN, Verdict.UNKNOWN):
            raise ValueError(f"what is {line.verdict} needs a cause (`failed` says no more than that)")
        return line.verdict or Verdict.UP
    verdict = line.verdict or _verdict_of(line.cause)
    if not _fits(line.cause, verdict):
        raise ValueError(f"cause {line.cause!r:.60}: no probe that is {verdict} has it")
    return verdict


def _verdict_of(cause: str) -> Verdict:
    try:
        return verdict_of(cause)
    except KeyError:
        raise ValueError(f"there is no cause {cause!r:.60}") from None


def _fits(cause: str, verdict: Verdict) -> bool:
    """Tell whether probes of a verdict may have this cause."""
    return (verdict is Verdict.UP and cause == HELD_UP) or _verdict_of(cause) is verdict


def latency_line(target: TargetId, latency: Latency) -> LatencyLine:
    """Return the line of a window."""
    return LatencyLine(
        target=target,
        check=latency.check,
        start=latency.start_ns,
        answers=latency.answers,
        min_ns=latency.min_ns,
        median_ns=latency.median_ns,
        max_ns=latency.max_ns,
    )
