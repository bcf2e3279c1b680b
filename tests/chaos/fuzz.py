"""The control socket of a daemon that measures, and very many frames that nobody should send to it."""

import socket
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final, Self

from downtimer.control import client, protocol
from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from tests.chaos.frames import CHUNK, DROPPED, OBEYED, Frame, expected, frames
from tests.chaos.ledger import Ledger
from tests.chaos.outcome import Outcome
from tests.chaos.spans import read
from tests.integration.command import ADDRESS, Command, static_targets, until_measured
from tests.waiting import wait_until

SENDERS: Final = 8
HELD: Final = 80
"""So many connections are left open, of clients that do not read, or do not go on."""

SITTERS: Final = 20
"""Connections that are opened first, say nothing, and are closed by nobody but the daemon."""

ANSWER_S: Final = 30.0
POLL_S: Final = 0.1
GROWTH_MB: Final = 4.0
"""What the supervisor may have grown by, whose memory is in pieces; of 200,000 frames, 20 bytes each."""

WARMED_UP: Final = 4_000
"""After so many frames the memory is what it will be."""


def play(directory: Path, *, seed: int, times: int) -> list[Outcome]:
    """Send so many frames while a daemon measures; return what that has cost.

    Args:
        directory: For the daemon; empty.
        seed: Of the frames.
        times: How many.

    Raises:
        AssertionError: A frame was answered in another way than it should be, was not counted, or has changed
            something.
    """
    config = CloudConfig(services=("glance",), addresses=(ADDRESS, "172.16.166.152"))
    with ExitStack() as stack:
        cloud = stack.enter_context(SimulatedCloud(config))
        command = Command(directory, prefix=cloud.network.in_vantage([]), sections=static_targets(cloud))
        stack.callback(command.end)
        command.ok("start")
        until_measured(command)
        before = command.status()
        journal, ledger = Path(before["journal"]["path"]), Ledger()
        ledger.note(read(journal).spans)
        _fuzz(command, seed, times)
        after = command.status()
        assert after["run"] == before["run"]
        assert all(one["restarts"] == 0 for one in after["processes"])
        assert [one["pid"] for one in after["processes"]] == [one["pid"] for one in before["processes"]]
        until_measured(command)
        command.ok("stop")
        report = command.report()
        assert report["marks"] == []
        ledger.note(read(journal).spans)
    return [
        Outcome(
            fault="frames fuzzed at the control socket",
            times=times,
            lost=ledger.lost,
            twice=ledger.twice,
            invented_s=sum(one["down_s"] for one in report["targets"]),
            unobserved_s=max(one["unobserved_s"] for one in report["targets"]),
        )
    ]


def _fuzz(command: Command, seed: int, times: int) -> None:
    """Send all frames, and wait until the daemon is rid of them."""
    path = str(command.runtime_dir / "control.sock")
    supervisor = command.supervisor()
    chunks = [islice(frames(seed, number), times - number * CHUNK) for number in range(-(-times // CHUNK))]
    warming = min(WARMED_UP, times // 2) // CHUNK
    descriptors = _descriptors(supervisor)
    with ExitStack() as stack:
        senders = stack.enter_context(_Senders(path))
        sitters = [stack.enter_context(closing(_connected(path))) for _ in range(SITTERS)]
        with _asking(path):
            tally = senders.send(chunks[:warming])
            memory_mb = _memory_mb(supervisor)
            tally += senders.send(chunks[warming:])
        for sitter in sitters:
            assert _read(sitter) == b""
    assert tally.total() == times
    refused = times - tally[OBEYED] + SITTERS
    wait_until(
        lambda: command.status()["control"]["refused"] == refused,
        timeout_s=ANSWER_S,
        what=f"{refused} requests to have been refused",
    )
    wait_until(
        lambda: _descriptors(supervisor) == descriptors,
        timeout_s=ANSWER_S,
        what=f"the supervisor to have {descriptors} descriptors, as before",
    )
    assert _memory_mb(supervisor) - memory_mb < GROWTH_MB


@contextmanager
def _asking(path: str) -> Iterator[None]:
    """Ask for the status all the while; each must be answered."""
    ended = threading.Event()

    def ask() -> None:
        client.request(path, "status", timeout_s=ANSWER_S)
        while not ended.wait(POLL_S):
            client.request(path, "status", timeout_s=ANSWER_S)

    with ThreadPoolExecutor(1) as executor:
        asking = executor.submit(ask)
        try:
            yield
        finally:
            ended.set()
        asking.result()


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _memory_mb(pid: int) -> float:
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")
    ]
    return int(line.split()[1]) / 1000


class _Senders:
    """Threads that send frames and look at what comes back."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held: deque[socket.socket] = deque()
        self._executor = ThreadPoolExecutor(SENDERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        while self._held:
            self._held.popleft().close()

    def send(self, chunks: Iterable[Iterable[Frame]]) -> Counter[str]:
        """Send frames; return how many brought about what."""
        return sum(self._executor.map(self._send_chunk, chunks), Counter())

    def _send_chunk(self, some: Iterable[Frame]) -> Counter[str]:
        tally = Counter[str]()
        for frame in some:
            outcome = expected(frame.data)
            tally[outcome] += 1
            answer = self._send(frame)
            if answer is not None:
                assert _kind(answer) == outcome, f"{frame.manner} {frame.data[:300]!r}: {answer[:300]!r}"
        return tally

    def _send(self, frame: Frame) -> bytes | None:
        """Send a frame; return what comes back, None if that is not read."""
        connection = _connected(self._path)
        if frame.manner == "held":
            _write(connection, frame.data)
            self._held.append(connection)
            if len(self._held) > HELD:
                self._held.popleft().close()
            return None
        with connection:
            for piece in _pieces(frame):
                _write(connection, piece)
            if frame.manner == "closed":
                return None
            if frame.manner == "shut" or expected(frame.data) == DROPPED:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            return _read(connection)


def _pieces(frame: Frame) -> Iterator[bytes]:
    if frame.manner != "pieces":
        yield frame.data
        return
    size = max(1, len(frame.data) // 5)
    for start in range(0, len(frame.data), size):
        yield frame.data[start : start + size]


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ANSWER_S)
    connection.connect(path)
    return connection


def _write(connection: socket.socket, data: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it has answered what came first
        connection.sendall(data)


def _read(connection: socket.socket) -> bytes:
    answer = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def _kind(answer: bytes) -> str:
    """Return what was answered: the code of an error, `DROPPED` or `OBEYED`."""
    if not answer:
        return DROPPED
    reply = protocol.decode_reply(answer)
    return OBEYED if reply.error is None else reply.error.code
