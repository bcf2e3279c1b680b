"""A writer's life, recorded: all that it did to its files, and all that it was told and has acknowledged.

The writer is a real one, under strace. It is killed once, when it has acknowledged all; another goes on and
ends the run. With InfluxDB, which is frozen and thawed, and while somebody reads the journal, so much is told
that its write-ahead log grows beyond its limit, and is truncated, and pages of the journal become free.
"""

import contextlib
import itertools
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from downtimer.clock import SYSTEM
from downtimer.errors import ExitCode
from downtimer.intervals import Interval
from downtimer.messages import Ack, Progress, Record, Sample, SpanFact
from downtimer.model import ANSWERS, NEVER_NS, SECOND_NS, Incarnation, Mark, Run, TargetState
from downtimer.store.journal import JournalReader
from tests.chaos import syscalls
from tests.chaos.flapping import INTERVAL_NS, Flapping
from tests.chaos.syscalls import Step
from tests.fake_supervisor import TIMEOUT_S
from tests.integration.influx_env import InfluxServer
from tests.writer_env import Bench, WorkerLink, WriterProcess

TARGETS: Final = 300
PROBES: Final = 60
"""Of each target in each of the writer's lives."""

LIVES: Final = 2
MANY: Final = 3_500
"""Samples told with each probe: while somebody reads, more than the write-ahead log may keep."""

SHIP_S: Final = 30.0


@dataclass(slots=True)
class Told:
    """Facts that were sent to the writer, as one batch.

    Attributes:
        sent_ns: UTC.
        acknowledged_ns: UTC; `NEVER_NS` until it was.
    """

    sent_ns: int
    facts: Sequence[SpanFact]
    progress: Progress
    acknowledged_ns: int = NEVER_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A run from its beginning to its end.

    Attributes:
        run: As it began.
        states: Its targets.
        steps: What was done to the files in the state folder.
        told: In order.
        marks: With the instants (UTC) at which they were acknowledged.
        outer: By target, the times in which it may have been down.
        ended_ns: When the last writer had ended, and the run with it (UTC).
    """

    run: Run
    states: Sequence[TargetState]
    steps: Sequence[Step]
    told: Sequence[Told]
    marks: Mapping[Mark, int]
    outer: Mapping[str, Sequence[Interval]]
    ended_ns: int


def record(directory: Path, *, seed: int, influx: InfluxServer | None) -> Recording:
    """Let a writer live, work and end.

    Args:
        directory: For state and traces; empty.
        seed: Of what becomes of the targets.
        influx: A running InfluxDB to ship to; None for none.
    """
    state = directory / "state"
    state.mkdir(parents=True)
    db = "" if influx is None else f"[db]\nhost = {influx.host}\nport = {influx.port}\nname = downtimer\n"
    bench = Bench(state.resolve(), db=db)
    flapping = Flapping(random.Random(seed), TARGETS)  # noqa: S311 - repeatable
    logs = [directory / f"life-{life}.strace" for life in range(LIVES)]
    with bench.worker() as link:
        worker = _Worker(bench, flapping, link, influx)
        for life, log in enumerate(logs):
            with bench.writer(flapping.states, prefix=syscalls.traced(log)) as writer:
                worker.work(writer, life)
                if life == LIVES - 1:
                    assert writer.finish_run(_now_ns(bench), ship_s=SHIP_S) == ExitCode.DONE
                    ended_ns = time.time_ns()
            syscalls.await_end(log, writer.process.pid)
    steps = syscalls.read(logs, state.resolve())
    for log in logs:
        log.unlink()  # hundreds of megabytes
    return Recording(
        run=bench.run,
        states=flapping.states,
        steps=steps,
        told=worker.told,
        marks=worker.marks,
        outer=flapping.outer(),
        ended_ns=ended_ns,
    )


@dataclass(slots=True)
class _Worker:
    """Tells the writer of what befalls the targets, ten times a second, and notes what is acknowledged."""

    bench: Bench
    flapping: Flapping
    link: WorkerLink
    influx: InfluxServer | None
    told: list[Told] = field(default_factory=list)
    marks: dict[Mark, int] = field(default_factory=dict)
    _waiting: dict[int, Told] = field(default_factory=dict)
    _serials: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def work(self, writer: WriterProcess, life: int) -> None:
        """Work for one life of the writer; return when all is acknowledged."""
        epoch = self.link.greet()
        self.flapping.begin(Incarnation(f"api.{life}"))
        if self.influx is not None:
            self.influx.pause()
        for number in range(PROBES // 2):
            self._tell(epoch)
            self._hear_for(INTERVAL_NS / SECOND_NS)
            if number == PROBES // 4:
                self._mark(writer)
        with contextlib.closing(JournalReader(self.bench.journal)):
            for _ in range(PROBES // 2):
                self._tell(epoch)
                if self.influx is not None and life == LIVES - 1:
                    self._tell_much(epoch)
                self._hear_for(INTERVAL_NS / SECOND_NS)
        if self.influx is not None:
            self.influx.resume()
        deadline = time.monotonic() + TIMEOUT_S
        while self._waiting:
            assert time.monotonic() < deadline, "no acknowledgement"
            self._hear(TIMEOUT_S)

    def _tell(self, epoch: str) -> None:
        at_ns = _now_ns(self.bench)
        facts = self.flapping.probe(at_ns)
        progress = self.flapping.progress()
        serial = next(self._serials)
        told = self._waiting[serial] = Told(time.time_ns(), facts, progress)
        self.told.append(told)
        samples = tuple(self.flapping.samples()) if self.influx is not None else ()
        self.link.send(epoch, serial, *facts, progress=(progress,), samples=samples)

    def _tell_much(self, epoch: str) -> None:
        ids = itertools.cycle(state.target.id for state in self.flapping.states)
        samples = [
            Sample(target=target, check=ANSWERS, sent_ns=number, up=True)
            for number, target in zip(range(MANY), ids, strict=False)
        ]
        self.link.send(epoch, next(self._serials), samples=tuple(samples))

    def _mark(self, writer: WriterProcess) -> None:
        mark = Mark(at_ns=_now_ns(self.bench), text="a step")
        writer.send(Record(marks=(mark,)))
        writer.flush()
        self.marks[mark] = time.time_ns()

    def _hear_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self._hear(left_s)

    def _hear(self, timeout_s: float) -> None:
        answer = self.link.hear(timeout_s=timeout_s)
        if isinstance(answer, Ack) and answer.serial in self._waiting:
            self._waiting.pop(answer.serial).acknowledged_ns = time.time_ns()


def _now_ns(bench: Bench) -> int:
    return SYSTEM.boot_ns() - bench.anchor.boot_origin_ns
