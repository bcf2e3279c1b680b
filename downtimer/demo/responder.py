"""Answers echo requests for addresses that answer badly: ``python -m downtimer.demo.responder``.

The kernel's own way, the queueing discipline netem, is missing from many kernels. So an address
that is to answer late, seldom, twice, out of order or from elsewhere is taken away from the cloud's
loopback, and this process, which sees every packet that comes in, answers in its stead.

It writes ``answering EARLIEST LATEST``, then obeys lines on its standard input, ``ADDRESS
BEHAVIOUR`` with the fields of `Behaviour` as JSON, or ``ADDRESS null`` to fall silent, answering
each with ``done EARLIEST LATEST``. Every request to one of its addresses is written to the log file
given, with what became of it: the injector's own count of what was lost. IPv4 only.
"""

import heapq
import json
import os
import random
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from downtimer.demo.truth import now_ns
from downtimer.parent import die_with_parent

_ETH_P_IP: Final = 0x0800
_ECHO_REQUEST: Final = 8
_LONGEST: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How an address answers.

    Attributes:
        delay_s: How late.
        jitter_s: How much later still, at random: more than the distance of requests reorders them.
        loss: Share of the requests that is not answered, 0 to 1.
        copies: How many replies to one request.
        source: From which address they come; None for the right one.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    copies: int = 1
    source: str | None = None


class Responder:
    """Sees echo requests, answers them in its way and time.

    Args:
        log: Gets a line for each request: when it came (CLOCK_BOOTTIME in ns), its address, how many
            replies it gets, its identifier, and the length of its message.
        seed: Of the losses.
    """

    def __init__(self, log: TextIO, *, seed: int) -> None:
        self._log = log
        self._random = random.Random(seed)  # noqa: S311 - no secret depends on which packet is lost
        self._behaviours: dict[str, Behaviour] = {}
        self._due: list[tuple[float, int, str, bytes]] = []
        self._count = 0
        self._incoming = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
        self._outgoing = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def obey(self, line: str) -> None:
        """Change how one address answers."""
        address, text = line.split(maxsplit=1)
        fields = json.loads(text)
        if fields is None:
            self._behaviours.pop(address, None)
        else:
            self._behaviours[address] = Behaviour(**fields)

    def fileno(self) -> int:
        """For select()."""
        return self._incoming.fileno()

    def wait_s(self) -> float | None:
        """How long until a reply is due; None if there is none."""
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def take(self) -> None:
        """Read one packet; plan the replies if it is for us."""
        packet, origin = self._incoming.recvfrom(_LONGEST)
        if origin[2] == socket.PACKET_OUTGOING:
            return
        address, reply = read_echo(packet)
        behaviour = self._behaviours.get(address)
        if behaviour is None or reply is None:
            return
        lost = self._random.random() < behaviour.loss
        copies = 0 if lost else behaviour.copies
        identifier = int.from_bytes(reply[4:6], "big")
        self._log.write(f"{now_ns()} {address} {copies} {identifier} {len(reply)}\n")
        due = time.monotonic() + behaviour.delay_s + self._random.uniform(0.0, behaviour.jitter_s)
        for _ in range(copies):
            self._count += 1
            asker = socket.inet_ntoa(packet[12:16])
            back = make_reply(packet, reply, source=behaviour.source)
            heapq.heappush(self._due, (due, self._count, asker, back))

    def answer(self) -> None:
        """Send what is due."""
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, asker, packet = heapq.heappop(self._due)
            self._outgoing.sendto(packet, (asker, 0))
        self._log.flush()


def read_echo(packet: bytes) -> tuple[str, bytes | None]:
    """Return for whom an IPv4 packet is, and the ICMP message that answers it; None if none does."""
    if len(packet) < 28 or packet[0] >> 4 != 4:
        return "", None
    header, length = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    message = packet[header:length]
    if packet[9] != socket.IPPROTO_ICMP or len(message) < 8 or message[0] != _ECHO_REQUEST:
        return "", None
    reply = b"\0\0\0\0" + message[4:]
    return socket.inet_ntoa(packet[16:20]), b"\0\0" + checksum(reply) + message[4:]


def make_reply(request: bytes, message: bytes, *, source: str | None) -> bytes:
    """Return the IPv4 packet that carries `message` back; the kernel fills in checksum and id."""
    length = (20 + len(message)).to_bytes(2, "big")
    sender = request[16:20] if source is None else socket.inet_aton(source)
    start = b"\x45\0" + length + b"\0\0\0\0\x40" + bytes([socket.IPPROTO_ICMP]) + b"\0\0"
    return start + sender + request[12:16] + message


def checksum(message: bytes) -> bytes:
    """Return the checksum of the Internet (RFC 1071)."""
    padded = message + b"\0" * (len(message) % 2)
    total = sum(int.from_bytes(padded[index : index + 2], "big") for index in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def main() -> int:
    """Answer until standard input ends."""
    die_with_parent()
    log, seed = Path(sys.argv[1]), int(sys.argv[2])
    with log.open("a") as written:
        before_ns = now_ns()
        responder = Responder(written, seed=seed)
        _report(f"answering {before_ns} {now_ns()}")
        pending = b""
        while True:
            ready, _, _ = select.select([responder.fileno(), 0], [], [], responder.wait_s())
            if responder.fileno() in ready:
                responder.take()
            responder.answer()
            if 0 in ready:
                more = os.read(0, _LONGEST)
                if not more:
                    return 0
                *lines, pending = (pending + more).split(b"\n")
                _obey(responder, lines)


def _obey(responder: Responder, lines: list[bytes]) -> None:
    for line in lines:
        before_ns = now_ns()
        responder.obey(line.decode())
        _report(f"done {before_ns} {now_ns()}")


def _report(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
