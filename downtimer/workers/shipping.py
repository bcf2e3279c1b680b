"""The writer's delivery to InfluxDB: this run's outbox, and behind it what earlier runs left.

All calls are made in one thread, a request each. While InfluxDB fails they become rare. Nothing here
touches the run's journal but for reading: what was delivered is fetched by the writer, which removes
it from the outbox with its next commit.
"""

import asyncio
import contextlib
import enum
import logging
import math
import time
from pathlib import Path
from typing import Final

from downtimer.clock import RunClock
from downtimer.errors import StoreError
from downtimer.sections import DbSection
from downtimer.store.facts import Delivered
from downtimer.store.influxclient import InfluxError
from downtimer.store.outbox import OutboxReader
from downtimer.store.ship import Leftover, find_leftovers
from downtimer.store.sink import InfluxSink, Shipper, retry_s
from downtimer.workers.worker import Blocking

log = logging.getLogger(__name__)

IDLE_S: Final = 5.0
OVERDUE_S: Final = 60.0
"""A step makes three requests at most, each of which ends within ten seconds, whatever InfluxDB does."""

BROKEN_RETRY_S: Final = 30.0
REJECTION_S: Final = 60.0
"""Between two lines of the log on why points are rejected, which may have other figures for each batch."""

DRAIN_RETRY_S: Final = 1.0
CLOSE_S: Final = 1.0


class Step(enum.Enum):
    """What one step has done."""

    OWN = enum.auto()  # shipped points of this run
    EARLIER = enum.auto()  # this run's outbox is empty; shipped an earlier one's
    DOUBT = enum.auto()  # was refused, and it will turn out whether points are to blame
    NOTHING = enum.auto()  # nothing is left


class Shipping:
    """Ships while the run lasts.

    Attributes:
        state: ``ok`` or ``failing``, by the last request.
    """

    def __init__(self, journal: str, db: DbSection, clock: RunClock) -> None:
        self.state = "ok"
        self._failure: str | None = None
        self._rejection: str | None = None  # as it was logged
        self._told_s = -math.inf  # when that was
        self._thread = Blocking("influxdb", clock)
        self._work = _Work(journal, db)
        self._failures = 0
        self._wake = asyncio.Event()
        self._is_draining = False
        self._asked = 0  # how often somebody has asked for an empty outbox
        self._empty = asyncio.Condition()
        self._answered = 0

    async def run(self) -> None:
        """Ship for ever."""
        while True:
            asked = self._asked
            self._wake.clear()
            try:
                step = await self._thread.call(self._step, OVERDUE_S)
            except StoreError as exc:
                await self._wait(self._failed(exc))
                continue
            except Exception:
                # A bug of ours in the face of an answer that nobody has thought of must not end the writer.
                log.exception("shipping broke; it will be tried again")
                self.state, self._failure = "failing", "a bug of downtimer, see its log"
                await self._wait(BROKEN_RETRY_S)
                continue
            if step is Step.DOUBT:
                continue
            self._succeeded()
            if step is not Step.OWN:
                await self._note_empty(asked)
            if step is Step.NOTHING:
                await self._wait(IDLE_S)

    async def drain(self, deadline_s: float) -> None:
        """Return when what the outbox holds now is delivered, or `deadline_s` has passed."""
        self._is_draining = True
        self._asked += 1
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s), self._empty:
                await self._empty.wait_for(lambda: self._answered >= self._asked)

    async def close(self) -> None:
        """Close the connections, unless one hangs; the process ends anyway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._thread.call(self._work.close, CLOSE_S)

    @property
    def error(self) -> str | None:
        """Why InfluxDB fails, else why it rejected the last points that it did; None if neither."""
        return self._failure or self._work.rejection

    @property
    def unsettled(self) -> int:
        """Points that are delivered and still in the outbox."""
        return self._work.unsettled

    def take_delivered(self) -> Delivered:
        """Return what was delivered since the last call."""
        return self._work.take_delivered()

    def is_overdue(self) -> bool:
        """Tell whether a request hangs beyond its deadline."""
        return self._thread.is_overdue()

    def hurry(self) -> None:
        """There may be something to ship. A failing InfluxDB is left in peace nevertheless."""
        if not self._failures:
            self._wake.set()

    def _step(self) -> Step:
        return self._work.step(own_only=self._is_draining)

    async def _note_empty(self, asked: int) -> None:
        async with self._empty:
            self._answered = asked
            self._empty.notify_all()

    async def _wait(self, longest_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._wake.wait()

    def _failed(self, exc: StoreError) -> float:
        """Note a failure, say so once, return how long to wait."""
        self._failures += 1
        if self._failure != str(exc):
            log.warning("points wait in the journal: %s", exc)
        self.state, self._failure = "failing", str(exc)
        if self._is_draining or not isinstance(exc, InfluxError):
            return DRAIN_RETRY_S
        return retry_s(exc, self._failures)

    def _succeeded(self) -> None:
        if self._failure is not None:
            log.warning("InfluxDB takes points again")
        self._failures = 0
        self.state, self._failure = "ok", None
        self._tell_rejection()

    def _tell_rejection(self) -> None:
        """Log why points are set apart, if that is new, and not for every batch."""
        now_s = time.monotonic()
        if self._work.rejection != self._rejection and now_s - self._told_s >= REJECTION_S:
            self._rejection, self._told_s = self._work.rejection, now_s
            log.warning("points are set apart: %s", self._rejection)


class _Work:
    """What the thread owns; its connections are made in it."""

    def __init__(self, journal: str, db: DbSection) -> None:
        self._journal = journal
        self._sink = InfluxSink(db)
        self._reader: OutboxReader | None = None
        self._shipper: Shipper | None = None
        self._earlier: list[str] | None = None
        self._leftover: Leftover | None = None

    @property
    def rejection(self) -> str | None:
        return None if self._shipper is None else self._shipper.rejection

    @property
    def unsettled(self) -> int:
        return 0 if self._shipper is None else self._shipper.delivered_points

    def take_delivered(self) -> Delivered:
        return Delivered() if self._shipper is None else self._shipper.take_delivered()

    def step(self, *, own_only: bool) -> Step:
        """Make one request.

        Raises:
            InfluxError: Call again later.
            StoreError: The journal can't be read.
        """
        if self._shipper is None:
            self._reader = OutboxReader(self._journal)
            self._shipper = Shipper(self._reader.next, self._sink)
        if self._shipper.step():
            return Step.DOUBT if self._shipper.is_in_doubt else Step.OWN
        if own_only or not self._step_earlier():
            return Step.NOTHING
        if self._leftover is not None and self._leftover.is_in_doubt:
            return Step.DOUBT
        return Step.EARLIER

    def _step_earlier(self) -> bool:
        if self._earlier is None:
            self._earlier = find_leftovers(Path(self._journal).parent, but=self._journal)
        if self._leftover is None:
            if not self._earlier:
                return False
            self._leftover = self._open(self._earlier.pop(0))
            return True
        try:
            if self._leftover.step():
                return True
        except InfluxError:
            raise
        except StoreError as exc:
            log.warning("an earlier run's points are left: %s", exc)
        self._leftover.close()
        self._leftover = None
        return True

    def _open(self, path: str) -> Leftover | None:
        try:
            return Leftover(path, self._sink)
        except StoreError as exc:
            log.warning("an earlier run's points are left: %s", exc)
            return None

    def close(self) -> None:
        """Close everything."""
        for each in (self._reader, self._leftover, self._sink):
            if each is not None:
                each.close()
