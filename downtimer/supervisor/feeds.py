"""What each child is told of the target list: the whole of it first, then what changes; in portions.

A child gets what its class has use for. A hundred thousand targets at once would hold up the loops at both
ends, and lie in the memory of both: so a portion is of at most `PORTION` targets, and no more than `AHEAD`
are on their way to a child that has not said that it took them. What changes meanwhile waits, each target
once, and travels as it stands when it leaves.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from downtimer.messages import Targets
from downtimer.model import Kind, TargetId, TargetState

PORTION: Final = 2_000
AHEAD: Final = 2
_POLL_S: Final = 0.01

Wants = Callable[[TargetState], bool]
"""Tells whether a class of process has use for a target."""


def _may_need_tcp(state: TargetState) -> bool:
    """Tell whether the api worker must know a target. What it once had to know it has to for ever."""
    return state.target.kind is Kind.SERVICE or state.silent_ns is not None or state.method is not None


WANTS: Final[Mapping[str, Wants]] = {
    "writer": lambda _: True,
    "discovery": lambda _: True,
    "api": _may_need_tcp,
    "icmp": lambda state: state.target.kind is Kind.ADDRESS,
}
"""By class of process, the writer first: it should know a target before it hears of its probes."""


class Feed:
    """What one child has still to be told. Pure.

    Args:
        wants: What it has use for.
    """

    def __init__(self, wants: Wants) -> None:
        self._wants = wants
        self._whole: deque[TargetId] = deque()  # what was there at hello and is not told yet
        self._waiting: dict[TargetId, None] = {}  # what has changed since, in order, each once
        self._ready: Targets | None = None
        self._serial = 0
        self._taken = 0
        self._is_open = False
        self._is_whole = False  # the next portion begins the whole list

    def begin(self, targets: Iterable[TargetId]) -> None:
        """Begin with everything, for a new process of the class."""
        self.close()
        self._whole = deque(targets)
        self._taken = self._serial
        self._is_open = self._is_whole = True

    def close(self) -> None:
        """There is nobody to be told."""
        self._whole, self._waiting, self._ready = deque(), {}, None
        self._is_open = self._is_whole = False

    def put(self, states: Iterable[TargetState]) -> None:
        """Tell of these, too."""
        if self._is_open:
            self._waiting.update((state.target.id, None) for state in states if self._wants(state))

    def took(self, serial: int) -> None:
        """The child has taken a portion in."""
        self._taken = max(self._taken, serial)

    @property
    def is_done(self) -> bool:
        """Whether everything is on its way."""
        return not (self._whole or self._waiting or self._ready or self._is_whole)

    def next(self, get: Callable[[TargetId], TargetState | None]) -> Targets | None:
        """Return the next portion, for `sent` to follow; None if there is none, or no room for it yet."""
        if self.is_done or self._serial - self._taken >= AHEAD:
            return None
        if self._ready is None:
            changed = (*self._take_whole(get), *self._take_waiting(get))
            more = bool(self._whole or self._waiting)
            self._ready = Targets(serial=self._serial + 1, whole=self._is_whole, more=more, changed=changed)
        return self._ready

    def sent(self, portion: Targets) -> None:
        """That portion is on its way."""
        self._serial = portion.serial
        self._ready, self._is_whole = None, False

    def _take_whole(self, get: Callable[[TargetId], TargetState | None]) -> list[TargetState]:
        """Take what the child has use for of the next portion of the whole list, which may be nothing."""
        states = []
        for _ in range(min(len(self._whole), PORTION)):
            target = self._whole.popleft()
            self._waiting.pop(target, None)
            state = get(target)
            if state is not None and self._wants(state):
                states.append(state)
        return states

    def _take_waiting(self, get: Callable[[TargetId], TargetState | None]) -> list[TargetState]:
        """Take a portion of what has changed, once the whole list is told."""
        if self._whole:
            return []
        targets = list(itertools.islice(self._waiting, PORTION))
        for target in targets:
            del self._waiting[target]
        return [state for target in targets if (state := get(target)) is not None]


class Feeds:
    """The feeds of all children, and who sends what is in them. Runs in the supervisor's loop.

    Args:
        get: Tells how a target stands.
        send: Sends a portion to a child; False if it is not there or does not read.
    """

    def __init__(
        self, get: Callable[[TargetId], TargetState | None], send: Callable[[str, Targets], bool]
    ) -> None:
        self._get = get
        self._send = send
        self._feeds = {name: Feed(wants) for name, wants in WANTS.items()}
        self._work = asyncio.Event()

    def begin(self, name: str, targets: Iterable[TargetId]) -> None:
        """A new process of this class is to be told everything."""
        self._feeds[name].begin(targets)
        self._work.set()

    def close(self, name: str) -> None:
        """The process of this class has ended."""
        self._feeds[name].close()

    def tell(self, states: Iterable[TargetState], names: Iterable[str] = tuple(WANTS)) -> None:
        """Tell these classes how targets stand now."""
        changed = tuple(states)
        if changed:
            for name in names:
                self._feeds[name].put(changed)
            self._work.set()

    def took(self, name: str, serial: int) -> None:
        """A child has taken a portion in."""
        self._feeds[name].took(serial)
        self._work.set()

    async def run(self) -> None:
        """Send what there is to be sent, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while await self._send_round():
                pass

    async def drain(self, name: str, timeout_s: float) -> None:
        """Wait until all that this child is to be told is on its way, or until it takes too long."""
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while not self._feeds[name].is_done and asyncio.get_running_loop().time() < deadline_s:
            self._work.set()
            await asyncio.sleep(_POLL_S)

    async def _send_round(self) -> bool:
        """Send a portion to each child, with a turn for others after each; return whether any was sent."""
        sent = False
        for name, feed in self._feeds.items():
            portion = feed.next(self._get)
            if portion is not None and self._send(name, portion):
                feed.sent(portion)
                sent = True
                await asyncio.sleep(0)
        return sent
