"""Many datagrams with one system call, over the loopback; and what echo sockets tell of themselves."""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from downtimer.demo.netns import Namespaces
from downtimer.demo.processes import Spawner
from downtimer.workers.mmsg import Incoming, Outgoing
from downtimer.workers.packets import V4

SO_TIMESTAMPNS = 35
DATAGRAMS = 70
LONGEST = 8
_PYTHON = [sys.executable, "-c"]
DROPS = """
import socket, sys
from downtimer.source import Source
from downtimer.workers.echo import EchoSocket
from downtimer.workers.packets import V4
opened = EchoSocket(V4, Source(None))
opened._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
assert opened.find_room() < 10
found = [opened.has_dropped()]
for number in range(50):
    numbers = opened.identifier.to_bytes(2, "big") + number.to_bytes(2, "big")
    request = bytes([8, 0, 0, 0]) + numbers + bytes(16)
    total = sum(int.from_bytes(request[at : at + 2], "big") for at in range(0, 24, 2))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    opened._socket.sendto(request[:2] + total.to_bytes(2, "big") + request[4:], ("127.0.0.1", 0))
found += [opened.has_dropped(), opened.has_dropped()]
print(found)
"""
STRANGERS = """
import socket, sys, time
import numpy as np
from downtimer.source import Source
from downtimer.workers.echo import EchoSocket
from downtimer.workers.mmsg import Incoming
from downtimer.workers.packets import ECHO, fill_in_checksums, parse
family, _ = parse(sys.argv[1])
opened, incoming = EchoSocket(family, Source(None)), Incoming(16, 128)
other = socket.socket(family.number, socket.SOCK_RAW, family.protocol)
def replies(identifier):
    request = np.zeros(1, ECHO)
    request["kind"], request["identifier"] = family.request, identifier
    fill_in_checksums(request)
    other.sendto(request.tobytes(), (sys.argv[1], 0))
    time.sleep(0.05)
    return incoming.receive(opened.fileno())
first = opened.identifier
found = [opened.is_raw, replies(first), replies((first + 1) % 2**16)]
opened.change_identifier()
print([*found, replies(opened.identifier), replies(first), opened.has_dropped()])
"""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """One to send from, and one to receive on."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
    ):
        receiver.bind(("127.0.0.1", 0))
        yield sender, receiver


def outgoing(receiver: socket.socket, count: int) -> Outgoing:
    """Return numbered messages to a receiver."""
    contents = np.zeros((count, LONGEST), np.uint8)
    contents[:, 0] = np.arange(count)
    made = Outgoing(contents, V4.name_length)
    port = struct.pack("!H", receiver.getsockname()[1])
    name = bytearray(V4.name(socket.inet_aton("127.0.0.1")))
    name[2:4] = port
    made.names[:, : len(name)] = np.frombuffer(bytes(name), np.uint8)
    return made


def test_all_come_in_order_with_stamps_and_source(pair: tuple[socket.socket, socket.socket]) -> None:
    """In two calls, since there is room for fewer than came; a third has nothing."""
    sender, receiver = pair
    receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    before_ns = time.time_ns()
    messages = outgoing(receiver, DATAGRAMS)
    assert messages.send(sender.fileno(), 0, 10) == 10
    assert messages.send(sender.fileno(), 10, DATAGRAMS - 10) == DATAGRAMS - 10
    incoming = Incoming(64, LONGEST)
    numbers: list[int] = []
    for count in (64, DATAGRAMS - 64, 0):
        assert incoming.receive(receiver.fileno()) == count
        numbers += incoming.data[:count, 0].tolist()
        assert incoming.lengths().tolist() == [LONGEST] * count
        assert all(before_ns <= stamp_ns <= time.time_ns() for stamp_ns in incoming.stamps_ns().tolist())
        assert {bytes(name[4:8]) for name in incoming.names[:count]} <= {socket.inet_aton("127.0.0.1")}
    assert numbers == list(range(DATAGRAMS))


def test_without_stamps_there_are_none_and_what_is_too_long_is_cut(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """Also after a call that had stamps: nothing of it is left."""
    sender, receiver = pair
    incoming = Incoming(4, 3)
    for has_stamp in (True, False):
        receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, has_stamp)
        outgoing(receiver, 2).send(sender.fileno(), 0, 2)
        assert incoming.receive(receiver.fileno()) == 2
        assert [stamp_ns > 0 for stamp_ns in incoming.stamps_ns().tolist()] == [has_stamp] * 2
    assert incoming.lengths().tolist() == [3, 3]


def test_error_of_the_first_is_raised(pair: tuple[socket.socket, socket.socket]) -> None:
    """Nothing was sent then; one that fails later is told with the next call."""
    sender, receiver = pair
    messages = outgoing(receiver, 2)
    messages.names[1, 0] = 0xFF  # of no family
    assert messages.send(sender.fileno(), 0, 2) == 1
    with pytest.raises(OSError, match="not supported"):
        messages.send(sender.fileno(), 1, 1)


@pytest.mark.parametrize("groups", ["1 0", "0 2147483647"])
def test_what_the_kernel_drops_for_want_of_room_is_known_once(groups: str) -> None:
    """Of raw sockets and of ping sockets."""
    assert said_by(DROPS, groups) == "[False, True, False]"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_raw_socket_hears_replies_to_itself_only(address: str) -> None:
    """To requests with its identifier, and with that before: others would take their room."""
    assert said_by(STRANGERS, "1 0", address) == "[True, 1, 0, 1, 1, False]"


def said_by(script: str, groups: str, *arguments: str) -> str:
    """Return the last line that a script says, run where only these groups may open ping sockets."""
    allow = f'echo "{groups}" > /proc/sys/net/ipv4/ping_group_range; exec "$@"'
    spawner = Spawner()
    try:
        with Namespaces(spawner) as network:
            argv = network.in_vantage(["/bin/sh", "-c", allow, "sh", *_PYTHON, script, *arguments])
            process = spawner.start(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            said, _ = process.communicate(timeout=30)
    finally:
        spawner.close()
    return str(said.decode().split("\n")[-2])
