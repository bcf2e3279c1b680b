"""Echo requests on the wire, and what comes back: replies, errors that quote us, and noise."""

import socket
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer.workers.packets import (
    COOKIE_SIZE,
    ECHO,
    V4,
    V6,
    Family,
    Quote,
    cookie_of_reply,
    fill_in_checksums,
    quote_of_error,
    quote_of_request,
    strip_ip,
)

COOKIE = bytes(range(COOKIE_SIZE))
OURS = "10.1.2.3"
OURS6 = "fd00::77"
PACKED = socket.inet_aton(OURS)
PACKED6 = socket.inet_pton(socket.AF_INET6, OURS6)


def ip(source: str, destination: str, body: bytes, *, options: bytes = b"", protocol: int = 1) -> bytes:
    """Return an IPv4 packet."""
    head = struct.pack(
        "!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(body), 0, 0, 64, protocol, 0
    )
    return head + socket.inet_aton(source) + socket.inet_aton(destination) + options + body


def ip6(destination: str, body: bytes, *, following: int = 58) -> bytes:
    """Return an IPv6 packet."""
    head = struct.pack("!IHBB", 6 << 28, len(body), following, 64) + bytes(16)
    return head + socket.inet_pton(socket.AF_INET6, destination) + body


def make_request(family: Family, identifier: int, sequence: int, cookie: bytes) -> bytes:
    """Return an echo request."""
    return struct.pack("!BBHHH", family.request, 0, 0, identifier, sequence) + cookie


def checksum(data: bytes) -> int:
    """Return the Internet checksum, word by word (RFC 1071)."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(min_size=COOKIE_SIZE, max_size=COOKIE_SIZE))
def test_checksum_is_right(identifier: int, sequence: int, cookie: bytes) -> None:
    """A packet whose checksum is filled in sums up to nothing."""
    echoes = np.frombuffer(2 * make_request(V4, identifier, sequence, cookie), ECHO).copy()
    fill_in_checksums(echoes)
    packet = echoes[:1].tobytes()
    assert echoes[1:].tobytes() == packet
    assert checksum(packet) == 0
    assert quote_of_request(V4, packet, None) == Quote(None, identifier, sequence, cookie)


@pytest.mark.parametrize("family", [V4, V6])
def test_reply_brings_back_the_cookie(family: Family) -> None:
    """A reply is a request with another type."""
    request = make_request(family, 1, 2, COOKIE)
    assert cookie_of_reply(family, bytes([family.reply]) + request[1:]) == COOKIE


@pytest.mark.parametrize(
    "message",
    [
        b"",
        bytes([V4.reply]),
        make_request(V4, 1, 2, COOKIE),
        bytes([V4.reply]) + make_request(V4, 1, 2, COOKIE)[1:-1],
        bytes([V4.reply]) + make_request(V4, 1, 2, COOKIE)[1:] + b"x",
    ],
)
def test_what_is_no_reply_of_ours_has_no_cookie(message: bytes) -> None:
    """Requests, and replies of another length."""
    assert cookie_of_reply(V4, message) is None


def test_ip_header_is_stripped_with_its_options() -> None:
    """Its length is in its first byte."""
    assert strip_ip(ip(OURS, OURS, COOKIE)) == COOKIE
    assert strip_ip(ip(OURS, OURS, COOKIE, options=bytes(8))) == COOKIE
    assert strip_ip(b"") == b""


@pytest.mark.parametrize("kind", sorted(V4.errors))
def test_error_quotes_our_request(kind: int) -> None:
    """With the whole request, or with as little as RFC 792 asks for."""
    request = make_request(V4, 7, 8, COOKIE)
    error = bytes([kind]) + bytes(7)
    assert quote_of_error(V4, error + ip("10.0.0.1", OURS, request)) == Quote(PACKED, 7, 8, COOKIE)
    assert quote_of_error(V4, error + ip("10.0.0.1", OURS, request[:8])) == Quote(PACKED, 7, 8, None)


def test_ipv6_error_quotes_our_request() -> None:
    """The IPv6 header has a fixed length."""
    request = make_request(V6, 7, 8, COOKIE)
    assert quote_of_error(V6, bytes([1]) + bytes(7) + ip6(OURS6, request)) == Quote(PACKED6, 7, 8, COOKIE)


@pytest.mark.parametrize(
    "message",
    [
        bytes([3]) + bytes(6),
        bytes([3]) + bytes(7) + b"\x45",
        bytes([3]) + bytes(7) + ip(OURS, OURS, make_request(V4, 7, 8, COOKIE), protocol=17),
        bytes([3]) + bytes(7) + ip(OURS, OURS, bytes([V4.reply]) + bytes(23)),
        bytes([5]) + bytes(7) + ip(OURS, OURS, make_request(V4, 7, 8, COOKIE)),
    ],
)
def test_errors_about_something_else_quote_nothing(message: bytes) -> None:
    """Cut short, about UDP, about a reply; and a redirect is no error."""
    assert quote_of_error(V4, message) is None


@given(st.binary(max_size=100), st.sampled_from([V4, V6]))
def test_noise_never_breaks_the_parser(message: bytes, family: Family) -> None:
    """Anybody may send us anything."""
    cookie_of_reply(family, message)
    quote_of_error(family, message)
    strip_ip(message)
