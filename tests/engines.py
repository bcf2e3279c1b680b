"""Probing engines without a supervisor: a child whose bus and outbox keep what they are told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from downtimer import clock
from downtimer.messages import AddressWindow, BusUp, LatencyWindow, Progress, Sample, Settings, Token
from downtimer.model import (
    SECOND_NS,
    Baseline,
    Call,
    Incarnation,
    Kind,
    Run,
    RunId,
    Span,
    Target,
    TargetId,
    TargetState,
)
from downtimer.workers import loop
from downtimer.workers.loop import WatchedSelector
from downtimer.workers.outbox import Outbox
from downtimer.workers.probing import Engine, Findings
from downtimer.workers.worker import Bus, Child
from tests.configured import configured

if TYPE_CHECKING:
    import zmq

POLL_S = 0.01
_T = TypeVar("_T")


class RecordingBus(Bus):
    """Keeps what a child says; has no orders for it."""

    def __init__(self) -> None:
        self.said: list[BusUp] = []

    def send(self, message: BusUp) -> None:
        """Keep it."""
        self.said.append(message)


class RecordingOutbox(Outbox):
    """Keeps every fact; the newest word on each span."""

    def __init__(self) -> None:
        super().__init__(lambda _: True)
        self.spans: dict[tuple[str, str, int], Span] = {}
        self.closed: set[tuple[str, str, int]] = set()
        self.samples: list[Sample] = []
        self.latencies: list[LatencyWindow] = []
        self.addresses: list[AddressWindow] = []

    def span(self, span: Span, *, is_open: bool) -> None:
        """Keep it."""
        key = (span.target, span.check, span.first_sent_ns)
        self.spans[key] = span
        if not is_open:
            self.closed.add(key)

    def sample(self, sample: Sample) -> None:
        """Keep it."""
        self.samples.append(sample)

    def latency(self, window: LatencyWindow) -> None:
        """Keep it."""
        self.latencies.append(window)

    def address(self, window: AddressWindow) -> None:
        """Keep it."""
        self.addresses.append(window)

    def progress(self, *progress: Progress) -> None:
        """Pass over it."""


def make_child(text: str = "", source: clock.Source = clock.SYSTEM) -> Child:
    """Return a child of a run that has just begun, with this configuration besides the least."""
    if "[static]" not in text:
        text += "\n[static]\nips = 127.0.0.1\n"
    parsed = configured(text, "/nowhere/conf.ini")
    anchor = clock.tie(source)
    run = Run(
        id=RunId("test"),
        label="",
        vantage="here",
        cloud="",
        start_utc_ns=anchor.start_utc_ns,
        boot_origin_ns=anchor.boot_origin_ns,
        boot_id=anchor.boot_id,
    )
    settings = Settings(config=parsed, run=run, anchor=anchor, points="", journal="")
    context = cast("zmq.Context[zmq.Socket[bytes]]", None)  # engines have no use for it
    return Child(RecordingBus(), context, Incarnation("test.1"), settings, source)


class Bench:
    """An engine at work, and what it has found."""

    def __init__(
        self,
        make_engine: Callable[[Child, Findings], Engine],
        text: str = "",
        source: clock.Source = clock.SYSTEM,
    ) -> None:
        self.child = make_child(text, source)
        self.outbox = RecordingOutbox()
        self.findings = Findings(self.child, self.outbox)
        self.engine = make_engine(self.child, self.findings)

    def service(
        self,
        name: str,
        url: str,
        *calls: Call,
        baselines: Mapping[str, Baseline] = {},
        service_type: str | None = None,
    ) -> TargetId:
        """Have a service probed; return its id."""
        target = Target(
            id=TargetId(name),
            kind=Kind.SERVICE,
            name=name,
            url=url,
            calls=calls,
            service_type=service_type,
        )
        state = TargetState(target=target, discovered_ns=0, listed_ns=0, baselines=baselines)
        self.engine.update(state)
        return target.id

    def token(self, text: str = "t0", *, age_s: float = 0.0, project_id: str | None = None) -> int:
        """Give the engine a token that was issued some time ago; return when that was."""
        issued_ns = self.child.clock.now_ns() - int(age_s * SECOND_NS)
        self.engine.take_token(Token(token=text, issued_ns=issued_ns, project_id=project_id))
        return issued_ns

    def said(self, kind: type[_T]) -> list[_T]:
        """Return what was said on the bus of one kind."""
        assert isinstance(self.child.bus, RecordingBus)
        return [message for message in self.child.bus.said if isinstance(message, kind)]

    def address(self, text: str) -> TargetId:
        """Have an address probed; return its id."""
        target = Target(id=TargetId(text), kind=Kind.ADDRESS, name=text)
        self.engine.update(TargetState(target=target, discovered_ns=0, listed_ns=0))
        return target.id

    def retire(self, target: TargetId, kind: Kind) -> None:
        """Retire a target now."""
        now_ns = self.child.clock.now_ns()
        state = TargetState(
            target=Target(id=target, kind=kind, name=target), discovered_ns=0, listed_ns=0, retired_ns=now_ns
        )
        self.engine.update(state)

    def spans(self, target: TargetId | None = None) -> list[Span]:
        """Return the spans so far, of all targets or of one, as they stand, in order of time."""
        spans = dict(self.outbox.spans)
        growing = self.engine.open_spans()
        spans |= {(span.target, span.check, span.first_sent_ns): span for span in growing}
        return sorted(
            (span for span in spans.values() if target in (None, span.target)),
            key=lambda span: span.first_sent_ns,
        )

    def causes(self, target: TargetId | None = None) -> dict[str, int]:
        """Return the probes by cause, but for stalls of this process, which a busy machine may bring."""
        causes: dict[str, int] = {}
        for span in self.spans(target):
            for cause, probes in span.causes.items():
                causes[cause] = causes.get(cause, 0) + probes
        causes.pop("stall", None)
        return causes

    def probes(self, target: TargetId | None = None) -> int:
        """Return how many probes are judged."""
        return sum(span.probes for span in self.spans(target))

    async def until(self, predicate: Callable[[], object], timeout_s: float = 10.0) -> None:
        """Wait until something is true.

        Raises:
            TimeoutError: It is not, in all that time; says what was found.
        """
        deadline_ns = self.child.clock.now_ns() + int(timeout_s * SECOND_NS)
        while not predicate():
            if self.child.clock.now_ns() > deadline_ns:
                raise TimeoutError(f"in vain; found {self.spans()}")
            await asyncio.sleep(POLL_S)


def work(bench: Callable[[], Bench], scenario: Callable[[Bench], Awaitable[None]]) -> Bench:
    """Run an engine as long as the scenario lasts, then let it finish."""

    async def run(selector: WatchedSelector) -> Bench:
        made = bench()
        selector.watch = made.child.watch
        made.child.watch.be_sharp()
        probing = asyncio.create_task(made.engine.run())
        try:
            await scenario(made)
            assert not probing.done() or probing.exception() is None
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
            await made.engine.finish()
        return made

    return loop.run(run)
