"""The lines of an exported run: JSON, an object each, whose only key says what it is. Pure.

``doc/export.schema.json`` is the contract, ``doc/guide/export.rst`` explains it. What is absent has its
default. An instant is an integer, ns since the start of the run, or a text, RFC 3339. All that comes in is
checked here as far as a line alone can tell, for it may come from anybody.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, cast, get_args

import msgspec
from msgspec import Meta

from downtimer.exchange import instants
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

VERSION: Final = 1
LINE_MAX: Final = 1 << 20
"""So many bytes a line may have."""

INSTANT_MAX_NS: Final = 2**61
"""No instant is further from the start of its run: 73 years."""

START_MAX_NS: Final = 7_258_118_400 * 10**9
"""No run begins later than in the year 2200."""

Format = Literal["downtimer-run"]
FORMAT: Final[Format] = "downtimer-run"

Instant = Annotated[int, Meta(ge=0, le=INSTANT_MAX_NS)] | Annotated[str, Meta(max_length=64)]
Length = Annotated[int, Meta(ge=0, le=INSTANT_MAX_NS)]
Count = Annotated[int, Meta(ge=1, le=2**53)]
Id = Annotated[str, Meta(min_length=1, max_length=4096)]
RunName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]
Check = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
Text = Annotated[str, Meta(max_length=65536)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What stands behind the key of a line."""


class RunLine(_Part, frozen=True, kw_only=True):
    """The first line: what the file is, and the run. `through`: up to when all of it is recorded."""

    format: Format
    version: int
    id: RunName
    start: str
    label: Text = ""
    vantage: Text = ""
    cloud: Text = ""
    end: Instant | None = None
    interrupted: bool = False
    through: Instant | None = None


class SpanLine(_Part, frozen=True, kw_only=True):
    """A `Span`. `life` is its incarnation; without `max_gap_ns` no distance is too large to be observed."""

    target: Id
    check: Check
    verdict: Verdict
    first: Instant
    last: Instant
    probes: Count
    widest_ns: Length = 0
    causes: dict[str, Count] = {}
    max_gap_ns: Length | None = None
    dated: Instant | None = None
    watched: Instant | None = None
    life: Text = ""


class SampleLine(_Part, frozen=True, kw_only=True):
    """One probe. `check` is the usual one of its kind of target; `verdict` is what `cause` says, else up."""

    target: Id
    sent: Instant
    check: Check | None = None
    verdict: Verdict | None = None
    cause: str | None = None
    latency_s: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    max_gap_ns: Length | None = None


class LatencyLine(_Part, frozen=True, kw_only=True):
    """How soon a check of a service was answered from `start` on, see `Latency`."""

    target: Id
    check: Check
    start: Instant
    answers: Count
    min_ns: Length
    median_ns: Length
    max_ns: Length


class MarkLine(_Part, frozen=True, kw_only=True):
    """A `Mark`."""

    at: Instant
    text: Text


class EventLine(_Part, frozen=True, kw_only=True):
    """An `Event`."""

    at: Instant
    kind: Text
    text: Text


class EndLine(_Part, frozen=True, kw_only=True):
    """The last line: how many lines of each kind there are, as far as it says."""

    targets: int | None = None
    spans: int | None = None
    samples: int | None = None
    latencies: int | None = None
    marks: int | None = None
    events: int | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A line. One of these is there."""

    run: RunLine | None = None
    target: dict[str, Any] | None = None
    span: SpanLine | None = None
    sample: SampleLine | None = None
    latency: LatencyLine | None = None
    mark: MarkLine | None = None
    event: EventLine | None = None
    end: EndLine | None = None


class _AnyRun(msgspec.Struct):
    format: Any = None
    version: Any = None


class _AnyHead(msgspec.Struct):
    run: _AnyRun


_LINE: Final = msgspec.json.Decoder(Line)
_HEAD: Final = msgspec.json.Decoder(_AnyHead)
_OF_TARGET: Final = frozenset(field.name for field in dataclasses.fields(Target))
_OF_STATE: Final = frozenset(field.name for field in dataclasses.fields(TargetState)) - {"target"}


def encode(line: Line) -> str:
    """Return a line as text."""
    return msgspec.json.encode(line).decode() + "\n"


def decode(text: bytes) -> Line:
    """Return a line.

    Raises:
        ValueError: It is none.
    """
    line = _LINE.decode(text)
    if sum(getattr(line, field) is not None for field in line.__struct_fields__) != 1:
        raise ValueError("not one of run, target, span, sample, latency, mark, event, end")
    return line


def decode_head(text: bytes) -> RunLine:
    """Return the first line.

    Raises:
        ValueError: It is none, or of a version that is not known here.
    """
    try:
        head = _HEAD.decode(text).run
    except ValueError:
        head = _AnyRun()
    if head.format not in get_args(Format):
        raise ValueError(f'not an exported run, which begins with {{"run": {{"format": "{FORMAT}", …}}}}')
    if head.version != VERSION:
        raise ValueError(f"the format's version is {head.version!r:.20}; this downtimer knows {VERSION}")
    return cast("RunLine", decode(text).run)


# --- a run --------------------------------------------------------------------------------------


def head_of(run: Run, through_ns: int) -> RunLine:
    """Return the first line on a run."""
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
        if value is not None and value is not False and value not in ([], {})
    }


def state_of(fields: Mapping[str, Any]) -> TargetState:
    """Return the target that a line tells of.

    Raises:
        ValueError: It is none.
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
        widest_ns=span.widest_ns,
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
    return Span(
        target=TargetId(line.target),
        check=line.check,
        verdict=line.verdict,
        first_sent_ns=first_ns,
        last_sent_ns=last_ns,
        probes=line.probes,
        widest_ns=line.widest_ns,
        causes=line.causes,
        max_gap_ns=NEVER_NS if line.max_gap_ns is None else line.max_gap_ns,
        dated_ns=optional_ns(line.dated, start_ns),
        watched_ns=watched_ns,
        incarnation=Incarnation(line.life),
    )


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
