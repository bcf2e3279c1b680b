"""What the kernel alone takes for an echo; runs in the namespace that the addresses are reached from.

Usage: tests.bench.echo_floor BLOCK COUNT ROUNDS

Sends the same requests as the icmp worker with as few system calls, and reads the replies away; nothing else.
Prints the microseconds of CPU that each takes.
"""

import ipaddress
import socket
import sys
import time
from typing import Final

import numpy as np
from docopt import docopt

from downtimer.workers.mmsg import NAME_SIZE, Incoming, Outgoing
from downtimer.workers.packets import ECHO, V4

_CALL: Final = 64
_BATCH: Final = 512
_BUFFER: Final = 64 * 1024 * 1024
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35
_SHORTEST: Final = 128


def main() -> None:
    """Do it."""
    arguments = docopt(__doc__)
    block, count = ipaddress.IPv4Network(arguments["BLOCK"]), int(arguments["COUNT"])
    requests = np.zeros(count, ECHO)
    requests["kind"] = V4.request
    outgoing, incoming = Outgoing(requests, V4.name_length), Incoming(_BATCH, _SHORTEST)
    for number in range(count):
        name = V4.name(block[1 + number].packed).ljust(NAME_SIZE, b"\0")
        outgoing.names[number] = np.frombuffer(name, np.uint8)
    with socket.socket(V4.number, socket.SOCK_DGRAM, V4.protocol) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        descriptor, answers = sock.fileno(), 0
        began_ns = time.process_time_ns()
        for _ in range(int(arguments["ROUNDS"])):
            for first in range(0, count, _BATCH):
                last = min(first + _BATCH, count)
                while first < last:
                    first += outgoing.send(descriptor, first, min(_CALL, last - first))  # noqa: PLW2901
                while taken := incoming.receive(descriptor):
                    answers += taken
        spent_ns = time.process_time_ns() - began_ns
    requests_sent = count * int(arguments["ROUNDS"])
    if answers != requests_sent:
        raise RuntimeError(f"{answers} answers to {requests_sent} requests")
    sys.stdout.write(f"{spent_ns / requests_sent / 1e3}\n")


if __name__ == "__main__":
    main()
