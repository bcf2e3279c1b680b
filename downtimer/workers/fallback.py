"""Finds how to reach addresses that answer no echo: tries a few TCP ports of each, one after another.

Runs in the api worker. What it sends is in no span: a filtered port is no downtime of an address that
answers on the next one. The first port that accepts or refuses is told; it is the address's method from
then on, for the supervisor to say.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from downtimer.clock import RunClock
from downtimer.model import SECOND_NS, TargetId, Verdict
from downtimer.pace import Bucket
from downtimer.source import Source
from downtimer.verdicts import verdict_of
from downtimer.workers.talk import Conversation, Result
from downtimer.workers.tcp_probe import TcpQuestion

AGAIN_NS: Final = 10 * SECOND_NS
"""Between two rounds over the ports of one address."""

UNDER_WAY_MAX: Final = 200
"""So many attempts are under way at most: the descriptors are the services', too."""

_TICK_S: Final = 0.05  # at least, between two looks for what is due


@dataclass(slots=True)
class _Silent:
    """An address that is tried.

    Attributes:
        address: Its text.
        due_ns: When the next port is to be tried.
        tried: Ports of this round that have not answered.
        probe: The attempt under way.
        deadline: Its timer.
    """

    address: str
    due_ns: int
    tried: int = 0
    probe: Conversation | None = None
    deadline: asyncio.TimerHandle | None = None

    def rest(self) -> None:
        """End the attempt under way, if there is one."""
        if self.deadline is not None:
            self.deadline.cancel()
        if self.probe is not None:
            self.probe.close()
        self.probe = self.deadline = None


class Fallback:
    """Tries silent addresses.

    Args:
        ports: To try; none, and nothing is.
        source: Where connections leave from.
        clock: The run's.
        bucket: The cap on what is sent.
        found: Is told which port of which address has answered.
    """

    def __init__(
        self,
        ports: Sequence[int],
        *,
        source: Source,
        clock: RunClock,
        bucket: Bucket,
        found: Callable[[TargetId, int], None],
    ) -> None:
        self._ports = ports
        self._source = source
        self._clock = clock
        self._bucket = bucket
        self._found = found
        self._silent: dict[TargetId, _Silent] = {}
        self._has_work = asyncio.Event()  # an address is new, or an attempt has ended

    def add(self, target: TargetId, address: str) -> None:
        """Try this address until a port of it answers, or it is removed."""
        if self._ports and target not in self._silent:
            self._silent[target] = _Silent(address, self._clock.now_ns())
            self._has_work.set()

    def remove(self, target: TargetId) -> None:
        """Try it no more."""
        silent = self._silent.pop(target, None)
        if silent is not None:
            silent.rest()

    def keep_only(self, targets: set[TargetId]) -> None:
        """Try no others than these."""
        for target in self._silent.keys() - targets:
            self.remove(target)

    async def run(self, timeout_ns: Callable[[], int]) -> None:
        """Try whatever is due, within the budget. `timeout_ns` tells how long to wait for an answer."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._has_work.wait()
            self._has_work.clear()
            self._try_due(timeout_ns)
            await asyncio.sleep(_TICK_S)

    def _wait_s(self) -> float | None:
        """Return how long until an address is due; None if none is before something happens."""
        resting = (silent.due_ns for silent in self._silent.values() if silent.probe is None)
        due_ns = min(resting, default=None)
        return None if due_ns is None else max(due_ns - self._clock.now_ns(), 0) / SECOND_NS

    def _try_due(self, timeout_ns: Callable[[], int]) -> None:
        now_ns = self._clock.now_ns()
        under_way = sum(silent.probe is not None for silent in self._silent.values())
        due = [
            (target, silent)
            for target, silent in self._silent.items()
            if silent.probe is None and silent.due_ns <= now_ns
        ]
        for target, silent in sorted(due, key=lambda each: each[1].due_ns):
            if under_way >= UNDER_WAY_MAX or self._bucket.wait_ns(self._clock.now_ns()):
                break
            under_way += 1
            self._try(target, silent, timeout_ns())

    def _try(self, target: TargetId, silent: _Silent, timeout_ns: int) -> None:
        """Try the next port of an address."""
        port = self._ports[silent.tried]

        def done(_: Conversation, result: Result) -> None:
            self._tried(target, silent, port, result)

        question = TcpQuestion(silent.address, port, self._source)
        silent.probe = probe = question.conversation(lambda: None, done)
        silent.deadline = asyncio.get_running_loop().call_later(timeout_ns / SECOND_NS, probe.expire)
        probe.start(question.resolution().endpoints)

    def _tried(self, target: TargetId, silent: _Silent, port: int, result: Result) -> None:
        silent.rest()
        self._has_work.set()
        if result.cause is None:
            self.remove(target)
            self._found(target, port)
            return
        if verdict_of(result.cause) is Verdict.UNKNOWN:  # our own trouble: the same port again, later
            silent.due_ns = self._clock.now_ns() + AGAIN_NS
            return
        silent.tried += 1
        if silent.tried == len(self._ports):
            silent.tried, silent.due_ns = 0, self._clock.now_ns() + AGAIN_NS
