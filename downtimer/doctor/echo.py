"""One address, asked by a few echoes whether it answers."""

import contextlib
import os
import select
import socket
import time
from typing import Final

import numpy as np

from downtimer.source import Source
from downtimer.workers import packets
from downtimer.workers.echo import EchoSocket
from downtimer.workers.packets import ECHO, Family

_TRIES: Final = 3
_EACH_S: Final = 0.5
_MESSAGE_MAX: Final = 2048


def round_trip_s(address: str, source: Source) -> float | None:
    """Return how long an echo took; None if none of a few was answered.

    Raises:
        CannotStartError: Echoes are not permitted.
        OSError: None could be sent.
    """
    family, _ = packets.parse(address)
    opened = EchoSocket(family, source)
    with contextlib.closing(opened), socket.socket(fileno=os.dup(opened.fileno())) as sock:
        for number in range(_TRIES):
            cookie = packets.cookie_of(number, int.from_bytes(os.urandom(8)))
            sent_s = time.monotonic()
            sock.sendto(_request(opened, family, cookie, number), (address, 0))
            if _came_back(sock, opened, cookie, sent_s + _EACH_S):
                return time.monotonic() - sent_s
    return None


def _request(opened: EchoSocket, family: Family, cookie: bytes, number: int) -> bytes:
    echo = np.zeros(1, ECHO)
    echo["kind"], echo["identifier"], echo["sequence"] = family.request, opened.identifier, number
    echo["cookie"] = packets.parts_of_cookie(cookie)
    if opened.has_header:
        packets.fill_in_checksums(echo)
    return echo.tobytes()


def _came_back(sock: socket.socket, opened: EchoSocket, cookie: bytes, until_s: float) -> bool:
    while (left_s := until_s - time.monotonic()) > 0:
        if not select.select([sock], [], [], left_s)[0]:
            return False
        try:
            message = sock.recv(_MESSAGE_MAX)
        except OSError:  # an ICMP error, which is no answer
            list(opened.read_errors())
            continue
        reply = packets.strip_ip(message) if opened.has_header else message
        if packets.cookie_of_reply(opened.family, reply) == cookie:
            return True
    return False
