"""Names → addresses, looked up in the background every 30 s, never inside a probe.

Each lookup has a thread of its own, for getaddrinfo() can't be cancelled, and a daemon thread, so that
one that hangs does not keep the process. The loop owns all state; threads only hand results to it.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from downtimer.clock import RunClock
from downtimer.model import SECOND_NS

log = logging.getLogger(__name__)

REFRESH_NS: Final = 30 * SECOND_NS
RETRY_NS: Final = SECOND_NS
"""How soon a name is asked for again that has no address, or whose answer is in doubt."""

FIRST_WAIT_NS: Final = SECOND_NS
"""How long probes wait for the first lookup of a name; after that they say that the resolver failed."""

NOES: Final = 2
"""An authoritative no must be heard so often in a row before a known address is given up."""

_LOOKUPS_MAX: Final = 8
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
    endpoints: tuple[Endpoint, ...] = ()
    cause: str | None = None
    noes: int = 0
    is_under_way: bool = False
    is_literal: bool = False


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
        self._under_way = 0
        self._ended = asyncio.Event()  # a lookup has

    def add(self, host: str, port: int) -> None:
        """Look a name up from now on. The text of an address is known at once, and for good."""
        if (host, port) in self._names:
            return
        now_ns = self._clock.now_ns()
        name = self._names[(host, port)] = _Name(host, port, now_ns, now_ns)
        try:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            )
        except (socket.gaierror, UnicodeError):
            self.refresh()
        else:
            name.is_literal = True
            name.endpoints = (Endpoint(found[0][0], found[0][4]),)

    def keep_only(self, names: set[tuple[str, int]]) -> None:
        """Forget all names but these."""
        self._names = {key: name for key, name in self._names.items() if key in names}

    def resolution(self, host: str, port: int) -> Resolution | None:
        """Return what is known of a name that was added; None while a probe should wait for it."""
        name = self._names[(host, port)]
        if name.endpoints or name.cause is not None:
            return Resolution(name.endpoints, name.cause)
        if self._clock.now_ns() - name.added_ns < FIRST_WAIT_NS:
            return None
        return Resolution((), "resolver")

    async def run(self) -> None:
        """Look names up whenever they are due."""
        while True:
            self._ended.clear()
            self.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._ended.wait()

    def _wait_s(self) -> float | None:
        """Return how long until something is due; None if nothing is before a lookup ends."""
        waiting = (name.due_ns for name in self._names.values() if not (name.is_literal or name.is_under_way))
        due_ns = min(waiting, default=None)
        if due_ns is None or self._under_way >= _LOOKUPS_MAX:
            return None
        return max(due_ns - self._clock.now_ns(), 0) / SECOND_NS

    def refresh(self) -> None:
        """Begin the lookups that are due, a few at a time."""
        now_ns = self._clock.now_ns()
        loop = asyncio.get_running_loop()
        for name in self._names.values():
            if self._under_way >= _LOOKUPS_MAX:
                return
            if name.is_literal or name.is_under_way or name.due_ns > now_ns:
                continue
            name.is_under_way = True
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
        name.is_under_way = False
        self._under_way -= 1
        self._ended.set()
        if isinstance(found, list) and found:
            self._note(name, tuple(found[:_ADDRESSES_MAX]), None)
            name.noes = 0
        elif _is_no(found):
            name.noes += 1
            if name.noes >= NOES or not name.endpoints:
                self._note(name, (), "dns")
        elif not name.endpoints and name.cause is None:
            self._note(name, (), "resolver")
        is_sure = bool(name.endpoints) and not name.noes
        name.due_ns = self._clock.now_ns() + (self._refresh_ns if is_sure else self._retry_ns)

    def _note(self, name: _Name, endpoints: tuple[Endpoint, ...], cause: str | None) -> None:
        """Put down a change, and log it once."""
        if cause != name.cause or endpoints != name.endpoints:
            text = cause or ", ".join(str(endpoint.address[0]) for endpoint in endpoints)
            log.info("resolver: %s: %s", name.host, text)
        name.endpoints, name.cause = endpoints, cause


def _is_no(found: list[Endpoint] | Exception) -> bool:
    """Tell whether this is the authoritative answer that there is no such name, or no address of it."""
    if isinstance(found, socket.gaierror):
        return found.errno in _NO
    return not isinstance(found, OSError)
