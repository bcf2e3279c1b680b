"""The icmp engine in a process of its own, which a test starts in a namespace, and drives by lines.

``python -m tests.integration.icmp_process CONFIGURATION`` obeys ``add ADDRESS``, ``retire ADDRESS``,
``step SECONDS`` (the wall clock), ``renew N`` (identifiers, as if N minutes had passed) and ``report`` on its
standard input, and answers each with a line of JSON; at its end the engine finishes.
"""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from downtimer.clock import SystemSource
from downtimer.demo.processes import Lines, Spawner, kill
from downtimer.messages import Learnt
from downtimer.model import ICMP, SECOND_NS, Kind, TargetId
from downtimer.workers.icmp import RENEW_NS, IcmpEngine
from downtimer.workers.mmsg import Incoming
from downtimer.workers.worker import CannotStartError
from tests import engines
from tests.engines import Bench
from tests.waiting import wait_until

HELD_UP_S = 0.3
_ANSWER_S = 10.0


class Found:
    """What an engine had found of one address when it was asked: its spans, in order of time."""

    def __init__(self, spans: list[dict[str, Any]]) -> None:
        self.spans = spans
        self.verdicts: list[str] = [span["verdict"] for span in spans]
        self.probes: int = sum(span["probes"] for span in spans)
        self.causes: dict[str, int] = {}
        for span in spans:
            for cause, probes in span["causes"].items():
                self.causes[cause] = self.causes.get(cause, 0) + probes


class IcmpProcess:
    """The test's side.

    Args:
        spawner: Starts it.
        enter: Makes of a command one that runs where the engine is to be.
        text: Configuration.
    """

    def __init__(self, spawner: Spawner, enter: Callable[[Sequence[str]], list[str]], text: str = "") -> None:
        argv = enter([sys.executable, "-m", "tests.integration.icmp_process", text])
        self._process = spawner.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._lines = Lines(self._process)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it as long as the context lasts."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def order(self, line: str) -> Any:  # noqa: ANN401 - JSON
        """Have an order obeyed; return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()
        return json.loads(self._lines.read(_ANSWER_S))

    def report(self) -> dict[str, Any]:
        """Return all that has been found."""
        report = self.order("report")
        assert isinstance(report, dict)
        return report

    def found(self, address: str) -> Found:
        """Return what has been found of an address."""
        return Found(self.report()["spans"].get(address, []))

    def until(self, address: str, predicate: Callable[[Found], bool], what: str) -> Found:
        """Wait until what has been found of an address is like that; return it."""
        latest: list[Found] = []

        def look() -> bool:
            latest[:] = [self.found(address)]
            return predicate(latest[0])

        try:
            wait_until(look, timeout_s=15, what=what)
        except TimeoutError as exc:
            raise TimeoutError(f"{exc}; found {latest[0].spans}") from exc
        return latest[0]

    def close(self) -> dict[str, Any]:
        """Let the engine finish; return all that it found."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        final = json.loads(self._lines.read(_ANSWER_S))
        self._process.wait(_ANSWER_S)
        assert isinstance(final, dict)
        return final

    def kill(self) -> None:
        """End it, if it has not ended."""
        kill(self._process)


def _report(bench: Bench) -> str:
    spans: dict[str, list[dict[str, Any]]] = {}
    for span in bench.spans():
        spans.setdefault(span.target, []).append(msgspec.to_builtins(span))
    windows = [
        {"target": window.target, "sent": window.sent, "lost": window.lost, "min_ns": window.rtt_min_ns}
        for window in bench.outbox.addresses
    ]
    lag_ns = bench.child.clock.now_ns() - bench.engine.reach()[ICMP].through_ns
    learnt = bench.said(Learnt)
    said = [["silent", ""] for message in learnt for _ in message.silent]
    said += [["reached", each.method] for message in learnt for each in message.reached]
    return json.dumps({"spans": spans, "windows": windows, "lag_ns": lag_ns, "said": said})


class SteppedSource(SystemSource):
    """The system's clocks, but that the wall clock can be stepped, with the kernel's stamps."""

    def __init__(self) -> None:
        self._step_ns = 0
        self._stepped_ns = 0  # when, by the system's wall clock

    def step(self, by_ns: int) -> None:
        """Step the wall clock now."""
        self._step_ns, self._stepped_ns = by_ns, super().utc_ns()

    def utc_ns(self) -> int:
        """Return CLOCK_REALTIME, stepped."""
        return super().utc_ns() + self._step_ns

    def stamp_ns(self, kernels_ns: int) -> int:
        """Return the stamp that the kernel would have made of this one."""
        return kernels_ns + (self._step_ns if kernels_ns >= self._stepped_ns else 0)


SOURCE = SteppedSource()
STAMPS_NS = Incoming.stamps_ns


def stepped_stamps_ns(incoming: Incoming) -> npt.NDArray[np.int64]:
    """Stand in for `Incoming.stamps_ns`, with stamps of the stepped clock."""
    stamps_ns = STAMPS_NS(incoming)
    return np.array([SOURCE.stamp_ns(stamp_ns) for stamp_ns in stamps_ns.tolist()], np.int64)


async def _obey(bench: Bench) -> None:
    """Obey orders until there are no more."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order, _, address = line.strip().partition(" ")
        answer = "true"
        if order == "add":
            try:
                bench.address(address)
            except CannotStartError as exc:
                answer = json.dumps(str(exc))
        elif order == "retire":
            bench.retire(TargetId(address), Kind.ADDRESS)
        elif order == "step":
            time.sleep(HELD_UP_S)  # noqa: ASYNC251 - so that answers wait that were stamped before
            SOURCE.step(int(float(address) * SECOND_NS))
        elif order == "renew":
            assert isinstance(bench.engine, IcmpEngine)
            bench.engine.renew_identifiers(bench.child.clock.now_ns() + int(address) * RENEW_NS)
        else:
            answer = _report(bench)
        _say(answer)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Incoming.stamps_ns = stepped_stamps_ns  # type: ignore[method-assign,assignment]
    _say(_report(engines.work(lambda: Bench(IcmpEngine, sys.argv[1], SOURCE), _obey)))
