"""The sockets that echo requests leave from: a ping socket where the kernel allows it, else a raw one.

Used by the icmp worker only; says what came back, and judges nothing.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

from downtimer.source import Source
from downtimer.workers import packets, socketfilter
from downtimer.workers.packets import V4, Family, Quote
from downtimer.workers.worker import CannotStartError

NOT_PERMITTED: Final = (
    'ICMP is not permitted; either allow ping sockets: sysctl -w net.ipv4.ping_group_range="0 2147483647", '
    "or give downtimer CAP_NET_RAW: AmbientCapabilities=CAP_NET_RAW in its systemd unit, "
    "or setcap cap_net_raw+ep on its Python interpreter"
)

_MESSAGE_ROOM: Final = 1024
"""What the kernel reckons for a small message, about."""

_MESSAGE_MOST: Final = 2560
"""Likewise where a network card has put it into a buffer of its own."""

_BUFFER_LEAST: Final = 8 * 1024 * 1024
_BUFFER_MOST: Final = 128 * 1024 * 1024
_MESSAGE_MAX: Final = 2048
_CONTROL_MAX: Final = 512

# Not in Python's socket module; from the kernel's headers.
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35
_SO_MEMINFO: Final = 55
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1
_ICMPV6_FILTER: Final = 1
_ORIGINS_ICMP: Final = frozenset({2, 3})  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6

_MEMINFO: Final = struct.Struct("@9I")  # the last is the number of drops
_EXTENDED_ERROR: Final = struct.Struct("@IBBBBII")
_Ancillary = list[tuple[int, int, bytes]]


class EchoSocket:
    """One socket for all addresses of a family.

    Attributes:
        family: Which.
        is_raw: It is a raw socket, else a ping socket.
        identifier: That requests bear.
        has_header: What comes in begins with the IP header; checksums are ours to fill in.

    Raises:
        CannotStartError: Neither kind of socket is permitted.
        OSError: The host does not speak this version of IP, or has no such source now.
    """

    def __init__(self, family: Family, source: Source) -> None:
        self.family = family
        self._socket, self.is_raw = _open(family)
        try:
            source.bind(self._socket)
            self._prepare()
        except BaseException:
            self._socket.close()
            raise
        # The kernel gives a ping socket one of its own.
        self.identifier = self._former_identifier = _random_identifier() if self.is_raw else 0
        self.has_header = self.is_raw and family is V4
        self._filter()
        self._drops = self._count_drops()

    def fileno(self) -> int:
        """Return the descriptor, to wait for replies."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def change_identifier(self) -> None:
        """Send with another one from now on. For raw sockets only."""
        self._former_identifier, self.identifier = self.identifier, _random_identifier()
        self._filter()

    def read_errors(self) -> Iterator[Quote]:
        """Read the requests that met an ICMP error. Raw sockets deliver errors with the replies."""
        while not self.is_raw:
            try:
                message, ancillary, _, source = self._socket.recvmsg(
                    _MESSAGE_MAX, _CONTROL_MAX, socket.MSG_ERRQUEUE
                )
            except BlockingIOError:
                return
            if _is_from_icmp(ancillary):
                packed = socket.inet_pton(self.family.number, source[0]) if source else None
                quote = packets.quote_of_request(self.family, message, packed)
                if quote is not None:
                    yield quote

    def quote(self, message: bytes) -> Quote | None:
        """Return the request of ours that a message is an ICMP error about; None if it is about none.

        A raw socket hears of everybody's.
        """
        quote = packets.quote_of_error(self.family, message) if self.is_raw else None
        mine = (self.identifier, self._former_identifier)
        return quote if quote is not None and quote.identifier in mine else None

    def has_dropped(self) -> bool:
        """Tell whether the kernel has dropped what came in since the last call, for want of room."""
        before, self._drops = self._drops, self._count_drops()
        return self._drops != before

    def make_room(self, messages: int) -> None:
        """Let so many messages wait to be read, and as many to leave, as far as the host's limits go."""
        size = min(max(messages * _MESSAGE_ROOM, _BUFFER_LEAST), _BUFFER_MOST)
        for force, ask in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, force, size)
            except PermissionError:
                self._socket.setsockopt(socket.SOL_SOCKET, ask, size)

    def find_room(self) -> int:
        """Return how many messages may wait to be read, at least."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // _MESSAGE_MOST

    def _filter(self) -> None:
        """Have the kernel pass over replies to other programs, which would take the room of ours."""
        if self.is_raw:
            identifiers = (self.identifier, self._former_identifier)
            socketfilter.attach(
                self._socket,
                socketfilter.of_replies(self.family.reply, identifiers, has_header=self.has_header),
            )

    def _count_drops(self) -> int:
        figures = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(figures)[-1])

    def _prepare(self) -> None:
        sock = self._socket
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.make_room(0)
        is_v4 = self.family is V4
        if not self.is_raw:
            level, option = (
                (socket.IPPROTO_IP, _IP_RECVERR) if is_v4 else (socket.IPPROTO_IPV6, _IPV6_RECVERR)
            )
            sock.setsockopt(level, option, 1)
        elif is_v4:
            sock.setsockopt(_SOL_RAW, _ICMP_FILTER, _blocked(self.family, 1))
        else:
            sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, _blocked(self.family, 8))


class EchoSockets:
    """The sockets of both families, opened when the first address of theirs is to be probed.

    Args:
        source: Where echo requests leave from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._messages = 0
        self._sockets: dict[Family, EchoSocket | OSError] = {}
        self._former: list[EchoSocket] = []

    def of(self, family: Family) -> EchoSocket | OSError:
        """Return the socket of a family, or why there is none at the moment.

        Raises:
            CannotStartError: Neither kind of socket is permitted.
        """
        found = self._sockets.get(family)
        if found is None:
            try:
                found = self._opened(family)
            except OSError as exc:
                found = exc
            self._sockets[family] = found
        return found

    def opened(self, family: Family | None = None) -> list[EchoSocket]:
        """Return those that are open, of a family or of both: what comes in on them counts."""
        found = [
            *self._former,
            *(found for found in self._sockets.values() if isinstance(found, EchoSocket)),
        ]
        return found if family is None else [each for each in found if each.family is family]

    def has_dropped(self) -> bool:
        """Tell whether the kernel has dropped what came in on any since the last call, for want of room."""
        return sum(each.has_dropped() for each in self.opened()) > 0

    def make_room(self, messages: int) -> None:
        """Let so many messages wait at each, also those that will be opened."""
        if messages != self._messages:
            self._messages = messages
            for each in self.opened():
                each.make_room(messages)

    def try_again(self) -> None:
        """Have those that could not be opened opened with the next probe."""
        self._sockets = {
            family: found for family, found in self._sockets.items() if isinstance(found, EchoSocket)
        }

    def renew(self) -> None:
        """Send with other identifiers from now on; what was sent before may still be answered."""
        self.close_former()
        for family, found in list(self._sockets.items()):
            if not isinstance(found, EchoSocket):
                continue
            if found.is_raw:
                found.change_identifier()
                continue
            try:
                self._sockets[family] = self._opened(family)
            except (OSError, CannotStartError):  # then with the old one for another while
                continue
            self._former.append(found)

    def close_former(self) -> None:
        """Hear no more of what was sent before the last renewal."""
        for each in self._former:
            each.close()
        self._former.clear()

    def close(self) -> None:
        """Close all."""
        for each in self.opened():
            each.close()
        self._sockets.clear()
        self._former.clear()

    def _opened(self, family: Family) -> EchoSocket:
        opened = EchoSocket(family, self._source)
        opened.make_room(self._messages)
        return opened


def _random_identifier() -> int:
    return int.from_bytes(os.urandom(2), "big")


def _open(family: Family) -> tuple[socket.socket, bool]:
    """Return a socket, and whether it is raw."""
    try:
        return socket.socket(family.number, socket.SOCK_DGRAM, family.protocol), False
    except OSError as exc:
        if exc.errno not in (errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT):
            raise
    try:
        return socket.socket(family.number, socket.SOCK_RAW, family.protocol), True
    except PermissionError as exc:
        raise CannotStartError(NOT_PERMITTED) from exc


def _blocked(family: Family, words: int) -> bytes:
    """Return the filter that lets only replies and errors through: a bit per type, 1 is blocked."""
    bits = [0xFFFFFFFF] * words
    for kind in {family.reply, *family.errors}:
        if kind // 32 < words:
            bits[kind // 32] &= ~(1 << kind % 32)
    return struct.pack(f"@{words}I", *bits)


def _is_from_icmp(ancillary: _Ancillary) -> bool:
    for level, kind, data in ancillary:
        if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
            return _EXTENDED_ERROR.unpack_from(data)[1] in _ORIGINS_ICMP
    return False
