"""Finds how to reach addresses that answer no echo: tries a few TCP ports of each, one after another.

Runs in the api worker. What it sends is in no span: a filtered port is no downtime of an address that
answers on the next one. The first port that accepts or refuses is told; it is the address's method from
then on, for the supervisor to say.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from downtimer.clock import RunClock
from downtimer.model import SECOND_NS, TargetId, Verdict
from downtimer.pace import Bucket
from downtimer.verdicts import verdict_of
from downtimer.workers.reactor import Timer
from downtimer.workers.talk import Conversation, Ground, Result
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
        due_ns: When the next port is to be tried, or was.
        tried: Ports of this round that have not answered.
        probe: The attempt under way.
        deadline: Its timer.
    """

    address: str
    due_ns: int
    tried: int = 0
    probe: Conversation | None = None
    deadline: Timer | None = None


class Fallback:
    """Tries silent addresses.

    Args:
        ports: To try; none, and nothing is.
        ground: What the attempts stand on.
        clock: The run's.
        bucket: The cap on what is sent.
        found: Is told which port of which address has answered.
    """

    def __init__(
        self,
        ports: Sequence[int],
        *,
        ground: Ground,
        clock: RunClock,
        bucket: Bucket,
        found: Callable[[TargetId, int], None],
    ) -> None:
        self._ports = ports
        self._ground = ground
        self._clock = clock
        self._bucket = bucket
        self._found = found
        self._silent: dict[TargetId, _Silent] = {}
        self._due: list[tuple[int, int, TargetId, _Silent]] = []  # a heap; those under way are not in it
        self._serials = itertools.count()
        self._under_way = 0
        self._has_any = asyncio.Event()

    def add(self, target: TargetId, address: str) -> None:
        """Try this address until a port of it answers, or it is removed."""
        if self._ports and target not in self._silent:
            silent = self._silent[target] = _Silent(address, self._clock.now_ns())
            self._wait(target, silent)

    def remove(self, target: TargetId) -> None:
        """Try it no more."""
        silent = self._silent.pop(target, None)
        if silent is not None:
            self._rest(silent)

    def keep_only(self, targets: set[TargetId]) -> None:
        """Try no others than these."""
        for target in self._silent.keys() - targets:
            self.remove(target)

    async def run(self, timeout_ns: Callable[[], int]) -> None:
        """Try whatever is due, within the budget. `timeout_ns` tells how long to wait for an answer."""
        while True:
            if not self._silent:
                self._has_any.clear()
                await self._has_any.wait()
            while self._due and self._due[0][0] <= self._clock.now_ns() and self._under_way < UNDER_WAY_MAX:
                _, _, target, silent = self._due[0]
                is_wanted = self._silent.get(target) is silent
                if is_wanted and self._bucket.wait_ns(self._clock.now_ns()):
                    break
                heapq.heappop(self._due)
                if is_wanted:
                    self._try(target, silent, timeout_ns())
            await asyncio.sleep(_TICK_S)

    def _wait(self, target: TargetId, silent: _Silent) -> None:
        """Have it tried when it is due."""
        heapq.heappush(self._due, (silent.due_ns, next(self._serials), target, silent))
        self._has_any.set()

    def _rest(self, silent: _Silent) -> None:
        """End the attempt under way, if there is one."""
        if silent.deadline is not None:
            silent.deadline.cancel()
        if silent.probe is not None:
            silent.probe.close()
            self._under_way -= 1
        silent.probe = silent.deadline = None

    def _try(self, target: TargetId, silent: _Silent, timeout_ns: int) -> None:
        """Try the next port of an address."""
        port = self._ports[silent.tried]

        def done(_: Conversation, result: Result) -> None:
            self._tried(target, silent, port, result)

        question = TcpQuestion(silent.address, port, self._ground)
        self._under_way += 1
        silent.probe = probe = question.conversation(lambda: None, done)
        silent.deadline = self._ground.reactor.later(timeout_ns / SECOND_NS, probe.expire)
        probe.start(question.resolution().endpoints)

    def _tried(self, target: TargetId, silent: _Silent, port: int, result: Result) -> None:
        self._rest(silent)
        if result.cause is None:
            self.remove(target)
            self._found(target, port)
            return
        if verdict_of(result.cause) is Verdict.UNKNOWN:  # our own trouble: the same port again, later
            silent.due_ns = self._clock.now_ns() + AGAIN_NS
        else:
            silent.tried += 1
        if silent.tried == len(self._ports):
            silent.tried, silent.due_ns = 0, self._clock.now_ns() + AGAIN_NS
        self._wait(target, silent)
