"""The writer process: the only one that writes storage.

It takes facts from the probing workers over the points connection, commits them to the journal once
a second, acknowledges them, and only then lets them go to InfluxDB, at InfluxDB's own pace. Commits
and requests to InfluxDB are made in a thread each; neither waits for the other.

What is not committed is not acknowledged, so the workers keep it. While the journal can't be written
(disk full) facts wait here, spans before details; beyond a limit nothing more is read.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from downtimer import messages, wire
from downtimer.errors import MessageError, StoreError
from downtimer.messages import (
    Ack,
    Batch,
    Beat,
    Done,
    Finish,
    Flush,
    Knock,
    Ready,
    Record,
    Targets,
    WriterState,
)
from downtimer.model import SECOND_NS
from downtimer.store.facts import Delivered
from downtimer.store.journal import JournalWriter, TransientStoreError
from downtimer.workers.intake import Intake, Received
from downtimer.workers.shipping import Shipping
from downtimer.workers.worker import Blocking, CannotStartError, Child, main

log = logging.getLogger(__name__)

COMMIT_S: Final = 1.0
HURRY_S: Final = 0.05
HURRIED_NS: Final = 2 * SECOND_NS
"""So long after a flush was asked for commits follow each other closely; somebody waits for a report."""

COMMIT_DEADLINE_S: Final = 60.0
FLUSH_DEADLINE_S: Final = 8.0
MUCH: Final = 2 << 20
"""Bytes; if so many have come, the next commit does not wait for its second: more may have to follow."""

PENDING_MAX: Final = 64 << 20
"""Bytes that wait for a commit; beyond this the workers have to keep them."""

DETAILS_MAX: Final = 16 << 20
"""While the journal can't be written and more bytes than this wait, the details among them go."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How the journal stands after a commit."""

    rows: int = 0
    size_bytes: int = 0
    backlog: int = 0
    dropped: int = 0
    rejected: int = 0


class Writer:
    """The writer's loop."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._epoch = str(child.incarnation)
        self._thread = Blocking("journal", child.clock)
        self._intake = Intake()
        self._unwritten: Intake | None = None  # what the last commit could not write
        self._committing = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._hurry_until_ns = 0
        self._greeted: set[bytes] = set()
        self._malformed = 0
        self._given_up = 0
        self._error: str | None = None
        self._figures = Figures()
        self._told: WriterState | None = None
        self._shipping: Shipping | Off = Off()

    async def run(self) -> None:
        """Work until told to finish."""
        settings = self._child.settings
        self._journal = await self._open()
        self._figures = self._journal_figures()
        self._socket = wire.router(self._child.context, settings.points)
        if settings.config.db is not None:
            self._shipping = Shipping(settings.journal, settings.config.db, self._child.clock)
        tasks = [
            asyncio.create_task(task)
            for task in (
                self._obey(),
                self._listen(),
                self._commit_forever(),
                self._shipping.run(),
                self._child.beat_forever(self._beat),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._socket.close()
        await self._shipping.close()
        await self._thread.call(self._journal.close, COMMIT_DEADLINE_S)

    async def _open(self) -> JournalWriter:
        """Open the journal, however long that takes if it is there: what is in it is not given up.

        Raises:
            CannotStartError: There can be none.
        """
        settings = self._child.settings
        ships = settings.config.db is not None
        while True:
            is_there = Path(settings.journal).exists()  # noqa: ASYNC240 - before there is anything to do
            try:
                return await self._thread.call(
                    lambda: JournalWriter(settings.journal, settings.run, ships=ships), COMMIT_DEADLINE_S
                )
            except StoreError as exc:
                if not (is_there and isinstance(exc, TransientStoreError)):
                    raise CannotStartError(str(exc)) from exc
                self._cannot_write(Intake(), exc)
            self._tell_state()
            self._child.bus.send(Beat(dropped=self._given_up))
            await asyncio.sleep(COMMIT_S)

    # --- orders ---

    async def _obey(self) -> None:
        while True:
            order = await self._child.bus.receive()
            match order:
                case Targets():
                    self._intake.add_states(order.changed)
                    self._arrived()
                case Record():
                    self._intake.add_record(order)
                    self._arrived()
                case Flush():
                    await self._flush(order)
                case Finish():
                    await self._finish(order)
                    return
                case _:
                    log.warning("bus: an order that is not for the writer: %s", type(order).__name__)

    async def _flush(self, order: Flush) -> None:
        """Commit what is here. Without a journal to write to there is no answer."""
        now_ns = self._child.clock.now_ns()
        self._hurry_until_ns = now_ns + HURRIED_NS
        self._arrived()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_DEADLINE_S):
                await self._commit_all()
                self._child.bus.send(Done(serial=order.serial, through_ns=now_ns))

    async def _finish(self, order: Finish) -> None:
        """Commit all, end the run, ship, answer."""
        await self._commit_all()
        while not await self._end_run(order):  # noqa: ASYNC110 - the disk signals nothing
            await asyncio.sleep(COMMIT_S)
        await self._shipping.drain(order.ship_s)
        await self._commit_all()  # what was delivered leaves the outbox
        self._tell_state()
        self._child.bus.send(Done(serial=order.serial, through_ns=order.end_ns))

    async def _end_run(self, order: Finish) -> bool:
        """End the run; return False if that could not be written."""

        def end() -> None:
            self._journal.end_run(order.end_ns, label=order.label)

        async with self._committing:
            try:
                await self._thread.call(end, COMMIT_DEADLINE_S)
            except TransientStoreError as exc:
                self._cannot_write(Intake(), exc)
                return False
            return True

    # --- the points connection ---

    async def _listen(self) -> None:
        while True:
            await self._room.wait()
            identity, *frames = await self._socket.receive()
            try:
                self._receive(identity, frames)
            except MessageError as exc:
                self._malformed += 1
                log.warning("points: %s (%d so far)", exc, self._malformed)

    def _receive(self, identity: bytes, frames: list[bytes]) -> None:
        """Take what a worker says.

        Raises:
            MessageError: It is no message.
        """
        match messages.POINTS_UP.decode(frames[0]) if frames else None, len(frames):
            case Knock(), 1:
                self._greet(identity)
            case Batch() as batch, 2:
                self._take(identity, batch, frames[1])
            case _:
                raise MessageError(f"{len(frames)} frames make no message")

    def _greet(self, identity: bytes) -> None:
        self._greeted.add(identity)
        self._send(identity, Ready(epoch=self._epoch))

    def _take(self, identity: bytes, batch: Batch, body: bytes) -> None:
        """Take a batch. One meant for an earlier writer comes again once its worker knows of this one."""
        if batch.epoch != self._epoch:
            if identity not in self._greeted:
                self._greet(identity)
            return
        sender = (identity, batch.serial)
        if self._unwritten is None or sender not in self._unwritten.batches:
            self._intake.add_batch(sender, Received(body, batch.details))
        self._arrived()
        self._bound()

    def _send(self, identity: bytes, message: Ready | Ack) -> None:
        try:
            self._socket.send([identity, messages.encode(message)])
        except zmq.ZMQError as exc:
            log.info("points: %r is gone: %s", identity, exc)
            self._greeted.discard(identity)

    def _bound(self) -> None:
        """Stop reading while too much waits."""
        waiting = self._intake.size + (self._unwritten.size if self._unwritten is not None else 0)
        if waiting > PENDING_MAX:
            self._room.clear()
        else:
            self._room.set()

    # --- commits ---

    async def _commit_forever(self) -> None:
        """Commit once a second, however long that takes, and closely while somebody waits for it."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + COMMIT_S
            self._hurry.clear()
            await self._commit()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(max(due_s, loop.time() + HURRY_S)):
                    await self._hurry.wait()
                    await asyncio.sleep(HURRY_S)

    def _arrived(self) -> None:
        """Something is there to be committed; it is soon if somebody waits for that, or it is much."""
        if self._child.clock.now_ns() < self._hurry_until_ns or self._intake.size >= MUCH:
            self._hurry.set()

    async def _commit_all(self) -> None:
        """Commit what has been received, however often that takes."""
        while not await self._commit():  # noqa: ASYNC110 - the disk signals nothing
            await asyncio.sleep(COMMIT_S)

    async def _commit(self) -> bool:
        """Commit what has been received; return False if it could not be written."""
        async with self._committing:
            self._intake.own.delivered = self._shipping.take_delivered()
            work = self._unwritten or Intake()
            work.absorb(self._intake)
            self._intake = Intake()
            if work.is_empty():
                return True
            self._unwritten = work
            try:
                self._figures = await self._thread.call(lambda: self._write(work), COMMIT_DEADLINE_S)
            except TransientStoreError as exc:
                self._cannot_write(work, exc)
                return False
            self._unwritten = None
            self._wrote(work)
            return True

    def _write(self, work: Intake) -> Figures:
        """Write it, in one transaction. Runs in the journal's thread."""
        try:
            self._journal.apply_all(facts for _, facts in work.parts())
        except (OverflowError, UnicodeEncodeError) as exc:
            log.warning("a fact that no journal can hold: %s", exc)
            self._write_parts(work)
        return self._journal_figures()

    def _journal_figures(self) -> Figures:
        outbox = self._journal.outbox
        return Figures(
            rows=self._journal.rows,
            size_bytes=self._journal.size_bytes(),
            backlog=outbox.points,
            dropped=outbox.dropped,
            rejected=outbox.rejected,
        )

    def _write_parts(self, work: Intake) -> None:
        """Write what can be written, sender by sender, so that one bad batch does not hold up the others."""
        for sender, facts in work.parts():
            try:
                self._journal.apply(facts)
            except (OverflowError, UnicodeEncodeError) as exc:
                self._malformed += 1
                log.warning("dropped, from %r: %s", sender, exc)

    def _wrote(self, work: Intake) -> None:
        if self._error is not None:
            log.warning("the journal can be written again")
            self._error = None
        for identity, serial in work.batches:
            self._send(identity, Ack(epoch=self._epoch, serial=serial))
        self._bound()
        self._shipping.hurry()

    def _cannot_write(self, work: Intake, exc: StoreError) -> None:
        """Keep it all for the next attempt; say so once."""
        if self._error is None:
            log.error("cannot write, and will try again: %s", exc)
        self._error = str(exc)
        if work.size > DETAILS_MAX:
            self._given_up += work.drop_details()
        self._bound()

    # --- signs of life ---

    def _beat(self) -> Beat | None:
        """Return a beat, unless a call hangs; how the storage fares is told in any case."""
        self._tell_state()
        if self._thread.is_overdue() or self._shipping.is_overdue():
            return None
        return Beat(late_ns=self._child.watch.take_worst_ns(), dropped=self._given_up)

    def _tell_state(self) -> None:
        """Tell how the storage fares, if there is news of that."""
        figures = self._figures
        state = WriterState(
            rows=figures.rows,
            size_bytes=figures.size_bytes,
            influxdb=self._shipping.state,
            backlog=max(0, figures.backlog - self._shipping.unsettled),
            error=self._shipping.error,
            journal_error=self._error,
            dropped=figures.dropped + self._given_up,
            rejected=figures.rejected,
        )
        if state != self._told:
            self._told = state
            self._child.bus.send(state)


class Off:
    """Stands in for `Shipping` where there is no InfluxDB."""

    state = "off"
    error: str | None = None
    unsettled = 0

    async def run(self) -> None:
        """Do nothing, for ever."""
        await asyncio.Event().wait()

    async def drain(self, deadline_s: float) -> None:
        """There is nothing to wait for."""

    async def close(self) -> None:
        """There is nothing to close."""

    def take_delivered(self) -> Delivered:
        """Return nothing."""
        return Delivered()

    def is_overdue(self) -> bool:
        """Tell that nothing is."""
        return False

    def hurry(self) -> None:
        """There is nothing to hurry."""


async def body(child: Child) -> None:
    """Run the writer, with its settings."""
    await Writer(child).run()


if __name__ == "__main__":
    main("writer", body)
