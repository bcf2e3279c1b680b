"""The lines of an exported run: JSON, an object each, whose only key says what it is. Pure.

``doc/export.schema.json`` is the contract, ``doc/guide/export.rst`` explains it. What is absent has its
default. An instant is an integer, ns since the start of the run, or a text, RFC 3339. All that comes in is
checked, here and in `translation`, as far as a line alone can tell, for it may come from anybody.
"""

from typing import Annotated, Any, Final, Literal, cast, get_args

import msgspec
from msgspec import Meta

from downtimer.model import Verdict

WRONG: Final = (ValueError, RecursionError, msgspec.MsgspecError)
"""What is raised where something is no line; the last of them is a ValueError in later versions only."""

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
    """A `Span`. `life` is its incarnation; without `max_gap_ns` no distance is too large to be observed.

    Without `widest_ns` nothing is known of where its probes were, but for the first and the last.
    """

    target: Id
    check: Check
    verdict: Verdict
    first: Instant
    last: Instant
    probes: Count
    widest_ns: Length | None = None
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


_GZIP: Final = b"\x1f\x8b"
_LINE: Final = msgspec.json.Decoder(Line)
_HEAD: Final = msgspec.json.Decoder(_AnyHead)


def encode(line: Line) -> str:
    """Return a line as text."""
    return msgspec.json.encode(line).decode() + "\n"


def decode(text: bytes) -> Line:
    """Return a line.

    Raises:
        WRONG: It is none.
    """
    line = _LINE.decode(text)
    if sum(getattr(line, field) is not None for field in line.__struct_fields__) != 1:
        raise ValueError("not one of run, target, span, sample, latency, mark, event, end")
    return line


def decode_head(text: bytes) -> RunLine:
    """Return the first line.

    Raises:
        WRONG: It is none, or of a version that is not known here.
    """
    if text.startswith(_GZIP):
        raise ValueError("it is compressed: `zcat FILE | downtimer import -` takes it in")
    try:
        head = _HEAD.decode(text).run
    except WRONG:
        head = _AnyRun()
    if head.format not in get_args(Format):
        begins = f'{{"run": {{"format": "{FORMAT}", …}}}}'
        raise ValueError(
            f"not an exported run, which begins with {begins}; for Rally's results say --from rally"
        )
    if head.version != VERSION:
        raise ValueError(f"the format's version is {head.version!r:.20}; this downtimer knows {VERSION}")
    return cast("RunLine", decode(text).run)
