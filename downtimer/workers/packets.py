"""ICMP and ICMPv6 on the wire: echo requests, and what may come back. Pure.

Linux gives and takes different bytes by kind of socket. An IPv4 raw socket delivers the IP header, too;
all others begin at the ICMP header. The kernel fills in the checksum everywhere but on IPv4 raw sockets,
and the identifier on ping sockets.
"""

import ipaddress
import socket
import struct
from typing import Final, NamedTuple

COOKIE_SIZE: Final = 16

_HEADER: Final = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_WORDS: Final = struct.Struct(f"!{(_HEADER.size + COOKIE_SIZE) // 2}H")
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
    """

    number: socket.AddressFamily
    protocol: int
    request: int
    reply: int
    errors: frozenset[int]


# Destination unreachable, time exceeded, parameter problem.
V4: Final = Family(socket.AF_INET, socket.IPPROTO_ICMP, 8, 0, frozenset({3, 11, 12}))
V6: Final = Family(socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129, frozenset({1, 3, 4}))


def canonical(text: str) -> tuple[Family, str]:
    """Return an address's family, and its text as the kernel gives it.

    Raises:
        ValueError: It is no address.
    """
    parsed = ipaddress.ip_address(text)
    family = V4 if parsed.version == 4 else V6
    return family, socket.inet_ntop(family.number, parsed.packed)


class Quote(NamedTuple):
    """One of our echo requests, as an ICMP error quotes it.

    Attributes:
        destination: To which it was sent; None if the quote does not hold it.
        identifier: Its identifier.
        sequence: Its sequence number.
        cookie: Its cookie; None if the quote is too short for it (some routers quote 8 bytes only).
    """

    destination: str | None
    identifier: int
    sequence: int
    cookie: bytes | None


def build_request(
    family: Family, identifier: int, sequence: int, cookie: bytes, *, checksum: bool = False
) -> bytes:
    """Return an echo request; `checksum`: fill it in, for the kernel will not."""
    packet = _HEADER.pack(family.request, 0, 0, identifier, sequence) + cookie
    if not checksum:
        return packet
    total: int = sum(_WORDS.unpack(packet))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~(total + (total >> 16)) & 0xFFFF
    return _HEADER.pack(family.request, 0, total, identifier, sequence) + cookie


def strip_ip(packet: bytes) -> bytes:
    """Return an IPv4 packet without its header."""
    return packet[(packet[0] & 0x0F) * 4 :] if packet else b""


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
    return quote_of_request(family, inner, socket.inet_ntop(family.number, destination))


def quote_of_request(family: Family, message: bytes, destination: str | None) -> Quote | None:
    """Return what (the beginning of) an echo request says; None if it is none."""
    if len(message) < _HEADER.size:
        return None
    kind, _, _, identifier, sequence = _HEADER.unpack_from(message)
    if kind != family.request:
        return None
    cookie = message[_HEADER.size : _HEADER.size + COOKIE_SIZE]
    return Quote(destination, identifier, sequence, cookie if len(cookie) == COOKIE_SIZE else None)
