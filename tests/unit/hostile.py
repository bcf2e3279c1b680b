"""A run whose every name would do harm to a format that trusts it."""

from dataclasses import replace
from typing import Final

from msgspec import structs

from downtimer.model import Event, Mark, Span, TargetId, TargetState
from tests.unit.runs import RUN, MemoryReader, address, down, ns, service, up

NAMES: Final = (
    "]]></system-out><x/>",
    "a|b `c` **d** [e](http://f.invalid) <script>alert(1)</script>",
    "\x1b[31mred\x07\u202e\ufffe\uffff\n# heading\r\n| --- |",
    "```\n~~~",
    "@channel www.g.invalid #12 &amp; \\| $x$ ~~y~~ __z__",
    "\udcff\udc80",
    "=cmd|' /C calc'!A0",
)


def _of(state: TargetState, span: Span) -> Span:
    return structs.replace(span, target=state.target.id)


def reader() -> MemoryReader:
    """Return the run: each of its services was down, and bears one of the names."""
    services = [service(name, id=f"service:{number}") for number, name in enumerate(NAMES)]
    silent = address("10.0.0.1")
    spans = [
        _of(state, span)
        for state in services
        for span in (up(0, 10), down(10.5, 20, causes="http-5<b>0|0"), up(20.5, 100))
    ]
    spans.append(structs.replace(down(0, 100, check="icmp"), target=TargetId("address:10.0.0.1")))
    return MemoryReader(
        states=[*services, silent],
        the_spans=spans,
        the_run=replace(RUN, label=NAMES[2], vantage=NAMES[1]),
        the_marks=[Mark(at_ns=ns(10 + number), text=name) for number, name in enumerate(NAMES)],
        the_events=[Event(at_ns=ns(2), kind="restart", text=name) for name in NAMES],
        the_notes=list(NAMES),
    )
