"""Names → addresses, looked up in the background every 30 s, never inside a probe.

Each lookup has a thread of its own, for getaddrinfo() can't be cancelled, and a daemon thread, so that
one that hangs does not keep the process. The loop owns all state; threads only hand results to it.
"""

import asyncio
import contextlib
import heapq
import itertools
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from downtimer.clock import RunClock
from downtimer.model import MILLISECOND_NS, SECOND_NS
from downtimer.pace import Bucket

log = logging.getLogger(__name__)

REFRESH_NS: Final = 30 * SECOND_NS
RETRY_NS: Final = SECOND_NS
"""How soon a name is asked for again that has no address, or whose answer is in doubt."""

FIRST_WAIT_NS: Final = SECOND_NS
"""How long probes wait for the first lookup of a name; after that they say that the resolver failed."""

NOES: Final = 2
"""An authoritative no must be heard so often in a row before a known address is given up."""

_LOOK_NS: Final = SECOND_NS  # at least so often, for the host may have been suspended meanwhile
_LOOKUPS_MAX: Final = 8
LOOKUPS_A_SECOND: Final = 100
"""So many at most: a catalog with thousands of names that do not exist is no reason to flood a resolver."""

_ADDRESSES_MAX: Final = 4
_NO = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


class Endpoint(NamedTuple):
    """Where a socket can connect to: a family and its address tuple."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


class Resolution(NamedTuple):
    """What is known of a name: its endpoints in the resolver's order, or why there are none.

    `cause` is ``dns`` (an authoritative no), ``resolver`` (it failed, and no earlier address is
    known) or None; then there is at least one endpoint.
    """

    endpoints: tuple[Endpoint, ...]
    cause: str | None


Lookup = Callable[[str, int], list[Endpoint]]
"""Returns the endpoints of a host and port; raises what getaddrinfo() does."""


@dataclass(slots=True)
class _Name:
    host: str
    port: int
    added_ns: int
    due_ns: int
    known: Resolution | None = None
    noes: int = 0
    users: int = 0

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where it can be reached, as far as that is known."""
        return () if self.known is None else self.known.endpoints


def look_up(host: str, port: int) -> list[Endpoint]:
    """Ask the system's resolver. Blocks."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(Endpoint(family, address) for family, _, _, _, address in found))


class Names:
    """All names that are probed. A client tries a name's addresses in the resolver's order; so do we."""

    def __init__(self, clock: RunClock, lookup: Lookup = look_up, *, refresh_ns: int = REFRESH_NS) -> None:
        self._clock = clock
        self._lookup = lookup
        self._refresh_ns = refresh_ns
        self._retry_ns = min(refresh_ns, RETRY_NS)
        self._names: dict[tuple[str, int], _Name] = {}
        self._due: list[tuple[int, int, _Name]] = []  # a heap, by when; those under way are not in it
        self._serials = itertools.count()
        self._under_way = 0
        self._bucket = Bucket(LOOKUPS_A_SECOND)
        self._has_changed = asyncio.Event()

    def add(self, host: str, port: int) -> None:
        """Look a name up from now on, for one more user.

        The text of an address is known at once, and for good.
        """
        key, now_ns = (host, port), self._clock.now_ns()
        name = self._names.get(key)
        if name is not None:
            name.users += 1
            return
        name = self._names[key] = _Name(host, port, now_ns, now_ns, users=1)
        try:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            )
        except (socket.gaierror, UnicodeError):
            self._wait_until_due(name)
            self.refresh()
        else:
            name.known = Resolution((Endpoint(found[0][0], found[0][4]),), None)

    def remove(self, host: str, port: int) -> None:
        """Forget a name, if this was its last user."""
        key = (host, port)
        name = self._names[key]
        name.users -= 1
        if not name.users:
            del self._names[key]

    def resolution(self, host: str, port: int) -> Resolution | None:
        """Return what is known of a name that was added; None while a probe should wait for it."""
        name = self._names[(host, port)]
        if name.known is not None:
            return name.known
        if self._clock.now_ns() - name.added_ns < FIRST_WAIT_NS:
            return None
        return Resolution((), "resolver")

    async def run(self) -> None:
        """Look names up whenever they are due."""
        while True:
            self._has_changed.clear()
            self.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._next_s()):
                    await self._has_changed.wait()

    def _next_s(self) -> float | None:
        """Return how long to wait for what is due next; None if something else must happen first."""
        if not self._due or self._under_way >= _LOOKUPS_MAX:
            return None
        now_ns = self._clock.now_ns()
        least_ns = SECOND_NS // LOOKUPS_A_SECOND if self._bucket.is_empty(now_ns) else MILLISECOND_NS
        return min(max(self._due[0][0] - now_ns, least_ns), _LOOK_NS) / SECOND_NS

    def refresh(self) -> None:
        """Begin the lookups that are due, a few at a time."""
        now_ns = self._clock.now_ns()
        loop = asyncio.get_running_loop()
        while self._due and self._due[0][0] <= now_ns and self._under_way < _LOOKUPS_MAX:
            if not self._due[0][2].users:
                heapq.heappop(self._due)
                continue
            if not self._bucket.take(1, now_ns):
                return
            name = heapq.heappop(self._due)[2]
            self._under_way += 1
            threading.Thread(target=self._work, args=(loop, name), name="resolver", daemon=True).start()

    def _work(self, loop: asyncio.AbstractEventLoop, name: _Name) -> None:
        """Run one lookup, in its thread."""
        found: list[Endpoint] | Exception
        try:
            found = self._lookup(name.host, name.port)
        except (OSError, UnicodeError) as exc:
            found = exc
        try:
            loop.call_soon_threadsafe(self._take, name, found)
        except RuntimeError:
            log.debug("resolver: %s came after the end", name.host)

    def _take(self, name: _Name, found: list[Endpoint] | Exception) -> None:
        """Note what came of a lookup; back in the loop."""
        self._under_way -= 1
        if isinstance(found, list) and found:
            self._note(name, tuple(found[:_ADDRESSES_MAX]), None)
            name.noes = 0
        elif _is_no(found):
            name.noes += 1
            if name.noes >= NOES or not name.endpoints:
                self._note(name, (), "dns")
        elif name.known is None:
            self._note(name, (), "resolver")
        is_sure = bool(name.endpoints) and not name.noes
        name.due_ns = self._clock.now_ns() + (self._refresh_ns if is_sure else self._retry_ns)
        self._wait_until_due(name)

    def _wait_until_due(self, name: _Name) -> None:
        heapq.heappush(self._due, (name.due_ns, next(self._serials), name))
        self._has_changed.set()

    def _note(self, name: _Name, endpoints: tuple[Endpoint, ...], cause: str | None) -> None:
        """Put down a change, and log it once."""
        found = Resolution(endpoints, cause)
        if found != name.known:
            text = cause or ", ".join(str(endpoint.address[0]) for endpoint in endpoints)
            log.info("resolver: %s: %s", name.host, text)
            name.known = found


def _is_no(found: list[Endpoint] | Exception) -> bool:
    """Tell whether this is the authoritative answer that there is no such name, or no address of it."""
    if isinstance(found, socket.gaierror):
        return found.errno in _NO
    return not isinstance(found, OSError)
