"""ICMP and ICMPv6 on the wire: echo requests, and what may come back. Pure.

What comes and goes in great numbers, requests and plain replies, is built and read as arrays; all else, one
by one.

Linux gives and takes different bytes by kind of socket. An IPv4 raw socket delivers the IP header, too;
all others begin at the ICMP header. The kernel fills in the checksum everywhere but on IPv4 raw sockets,
and the identifier on ping sockets.

A request bears a cookie, which tells which probe a reply answers: the row of the address in our tables, and a
random number of this probe.
"""

import ipaddress
import socket
import struct
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

COOKIE: Final = np.dtype([("row", np.uint64), ("nonce", np.uint64)])
COOKIE_SIZE: Final = COOKIE.itemsize
ECHO: Final = np.dtype(
    [
        ("kind", np.uint8),
        ("code", np.uint8),
        ("checksum", np.uint16),
        ("identifier", ">u2"),
        ("sequence", ">u2"),
        ("cookie", COOKIE),
    ]
)
"""A request or a reply of ours, from the ICMP header on."""

Echoes = npt.NDArray[Any]
"""Of `ECHO`."""

_HEADER: Final = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_COOKIE: Final = struct.Struct("=QQ")  # as `COOKIE`
_IPV4_HEADER: Final = 20  # without options
_IPV6_HEADER: Final = 40
_ICMP_OF_IPV6: Final = 58


class Family(NamedTuple):
    """What differs between the two versions of IP.

    Attributes:
        number: AF_INET or AF_INET6.
        protocol: IPPROTO_ICMP or IPPROTO_ICMPV6.
        request: Type of an echo request.
        reply: Type of its reply.
        errors: Types of errors that mean that a packet did not arrive.
        name_length: Of a struct sockaddr.
        packed_at: Where in it the address is.
        packed_length: Its length.
    """

    number: socket.AddressFamily
    protocol: int
    request: int
    reply: int
    errors: frozenset[int]
    name_length: int
    packed_at: int
    packed_length: int

    def name(self, packed: bytes) -> bytes:
        """Return the struct sockaddr of an address."""
        head = struct.pack("=H", self.number).ljust(self.packed_at, b"\0")
        return (head + packed).ljust(self.name_length, b"\0")

    def packed(self, names: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the address in a name, or in each of several: bytes."""
        return names[..., self.packed_at : self.packed_at + self.packed_length]


# Errors: destination unreachable, time exceeded, parameter problem.
V4: Final = Family(socket.AF_INET, socket.IPPROTO_ICMP, 8, 0, frozenset({3, 11, 12}), 16, 4, 4)
V6: Final = Family(socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129, frozenset({1, 3, 4}), 28, 8, 16)


def parse(text: str) -> tuple[Family, bytes]:
    """Return an address's family, and the address as it is on the wire.

    Raises:
        ValueError: It is no address.
    """
    parsed = ipaddress.ip_address(text)
    return (V4 if parsed.version == 4 else V6), parsed.packed


class Quote(NamedTuple):
    """One of our echo requests, as an ICMP error quotes it.

    Attributes:
        destination: To which it was sent, packed; None if the quote does not hold it.
        identifier: Its identifier.
        sequence: Its sequence number.
        cookie: Its cookie; None if the quote is too short for it (some routers quote 8 bytes only).
    """

    destination: bytes | None
    identifier: int
    sequence: int
    cookie: bytes | None


def fill_in_checksums(echoes: Echoes) -> None:
    """Fill in the checksums (RFC 1071), where the kernel will not."""
    echoes["checksum"] = 0
    words = echoes.view(np.uint16).reshape(len(echoes), -1)
    total = words.sum(axis=1, dtype=np.uint32)
    total = (total & 0xFFFF) + (total >> 16)
    echoes["checksum"] = ~(total + (total >> 16)) & 0xFFFF


def as_echoes(messages: npt.NDArray[np.uint8], *, has_header: bool) -> Echoes:
    """Return messages, a row of bytes each, as echoes, which share their memory.

    Args:
        messages: Of one socket.
        has_header: They begin with the header of IPv4, without options.
    """
    at = _IPV4_HEADER if has_header else 0
    return np.ndarray(len(messages), ECHO, messages, offset=at, strides=(messages.strides[0],))


def length_of_echo(*, has_header: bool) -> int:
    """Return the length of a reply to us."""
    return ECHO.itemsize + (_IPV4_HEADER if has_header else 0)


def strip_ip(packet: bytes) -> bytes:
    """Return an IPv4 packet without its header."""
    return packet[(packet[0] & 0x0F) * 4 :] if packet else b""


def cookie_of(row: int, nonce: int) -> bytes:
    """Return a cookie."""
    return _COOKIE.pack(row, nonce)


def parts_of_cookie(cookie: bytes) -> tuple[int, int]:
    """Return the row and the nonce in a cookie."""
    row, nonce = _COOKIE.unpack(cookie)
    return row, nonce


def cookie_of_reply(family: Family, message: bytes) -> bytes | None:
    """Return the cookie that an echo reply brings back; None if the message is none of ours."""
    if len(message) != _HEADER.size + COOKIE_SIZE or message[0] != family.reply:
        return None
    return message[_HEADER.size :]


def quote_of_error(family: Family, message: bytes) -> Quote | None:
    """Return the echo request that an ICMP error quotes; None if it is no error about one."""
    if len(message) < _HEADER.size or message[0] not in family.errors:
        return None
    quoted = message[_HEADER.size :]
    if family is V4:
        if len(quoted) < 20 or quoted[9] != family.protocol:
            return None
        destination, inner = quoted[16:20], strip_ip(quoted)
    else:
        if len(quoted) < _IPV6_HEADER or quoted[6] != _ICMP_OF_IPV6:
            return None
        destination, inner = quoted[24:40], quoted[_IPV6_HEADER:]
    return quote_of_request(family, inner, destination)


def quote_of_request(family: Family, message: bytes, destination: bytes | None) -> Quote | None:
    """Return what (the beginning of) an echo request says; None if it is none."""
    if len(message) < _HEADER.size:
        return None
    kind, _, _, identifier, sequence = _HEADER.unpack_from(message)
    if kind != family.request:
        return None
    cookie = message[_HEADER.size : _HEADER.size + COOKIE_SIZE]
    return Quote(destination, identifier, sequence, cookie if len(cookie) == COOKIE_SIZE else None)
