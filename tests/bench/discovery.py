"""Discovery at size.

A simulated Neutron and Nova list floating IPs and servers in pages of 1,000, as real ones do; a simulated
Keystone signs in. A real discovery process lists all of it, its own start included, and then again, without
any change. Then the whole daemon is started on the same cloud, with an echo each ten seconds to every
address; all are on this host. Meanwhile the supervisor is asked by its control socket fifty times a second:
the longest wait for an answer shows how long anything has held it up. Peak memory is of one process
(VmHWM).
"""

import contextlib
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from downtimer.control import client
from downtimer.demo.cloud import SimulatedCloud
from downtimer.errors import ControlError, NotRunningError
from downtimer.messages import Listing, Look, Powers
from downtimer.workers.discovery import LOOK_NS
from tests.bench.figures import Figure, Growth, Results
from tests.bench.large_cloud import large_cloud
from tests.bench.processes import cpu_s, peak_mb
from tests.configured import configured
from tests.fake_supervisor import KeepingSupervisor
from tests.integration.command import Command
from tests.waiting import wait_until

SIZES: Final = (1_000, 10_000, 100_000)
LISTING_S: Final = 60.0
START_S: Final = 120.0
ASK_S: Final = 0.02
SETTLE_S: Final = 2.0
"""How long the last words of a listing are waited for: what it costs is known only then."""

IDLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Listings:
    """What a first listing costs discovery, and one without changes."""

    first_s: float
    first_cpu_s: float
    again_s: float
    again_cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Supervision:
    """What so many targets cost the supervisor: until all are known, and from then on."""

    known_s: float
    cpu_s: float
    longest_wait_s: float
    idle_percent: float
    status_s: float
    peak_mb: float


def measure(directory: Path, runs: int) -> Results:
    """Measure it all."""
    listings: dict[int, list[Listings]] = {}
    supervised: dict[int, list[Supervision]] = {}
    for size in SIZES:
        with large_cloud(size) as cloud:
            listings[size] = [_list(cloud, size) for _ in range(runs)]
            supervised[size] = [
                _supervise(cloud, size, directory / f"{size}-{number}") for number in range(runs)
            ]
    largest = SIZES[-1]
    return Results(
        figures=(
            _figure(f"discovery of {largest:,} addresses: peak memory", listings[largest], "peak_mb", "MB"),
            _figure("listing of them without changes: CPU", listings[largest], "again_cpu_s", "s"),
            _figure("supervisor meanwhile: longest wait", supervised[largest], "longest_wait_s", "s"),
        ),
        growths=(
            Growth(
                what="Discovery",
                columns=(
                    "addresses",
                    "first listing, s",
                    "CPU, s",
                    "listing without changes, s",
                    "CPU, s",
                    "peak, MB",
                ),
                rows=_rows(listings),
            ),
            Growth(
                what="The supervisor",
                columns=(
                    "addresses",
                    "until all are known, s",
                    "its CPU until then, s",
                    "longest wait for an answer, s",
                    "CPU from then on, %",
                    "`status`, s",
                    "peak, MB",
                ),
                rows=_rows(supervised),
            ),
        ),
    )


def _figure(what: str, found: Sequence[Listings | Supervision], name: str, unit: str) -> Figure:
    return Figure(what=what, values=tuple(getattr(one, name) for one in found), unit=unit)


def _rows(found: dict[int, list[Any]]) -> tuple[tuple[float, ...], ...]:
    """Return the medians by size."""
    return tuple(
        (size, *map(statistics.median, zip(*map(astuple, of_size), strict=True)))
        for size, of_size in found.items()
    )


# --- discovery alone ----------------------------------------------------------------------------


def _list(cloud: SimulatedCloud, size: int) -> Listings:
    text = f"[global]\nkeystone_endpoint={cloud.keystone_url}\nuser=admin\npassword=secret\n"
    given = configured(f"{text}[targets]\nagents=no\n[vantage]\nreference=none\n")
    with KeepingSupervisor("downtimer.workers.discovery", given) as supervisor:
        started = time.monotonic()
        pid = supervisor.process.pid
        supervisor.wait(lambda: len(supervisor.complete()) == 1, "list", timeout_s=LISTING_S)
        first_s = time.monotonic() - started
        time.sleep(LOOK_NS / 1e9 + SETTLE_S)  # it is not asked again sooner, and takes in what it is told
        first_cpu_s = cpu_s(pid)
        assert len(supervisor.kept) >= size
        told = len(supervisor.of_kind(Powers))
        started = time.monotonic()
        supervisor.send(Look())
        supervisor.wait(lambda: len(supervisor.of_kind(Powers)) > told, "list", timeout_s=LISTING_S)
        again_s = time.monotonic() - started
        time.sleep(SETTLE_S)
        again_cpu_s = cpu_s(pid) - first_cpu_s
        assert not supervisor.of_kind(Listing)[-1].found
        return Listings(first_s, first_cpu_s, again_s, again_cpu_s, peak_mb(pid))


# --- the whole daemon ---------------------------------------------------------------------------


class Asking(threading.Thread):
    """Asks the daemon again and again whether it is there.

    Attributes:
        longest_s: How long an answer took at most.
    """

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.longest_s = 0.0
        self._path = path
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Ask until told to end; from when on there is somebody, every wait counts."""
        while not self._ending.wait(ASK_S):
            asked = time.monotonic()
            try:
                client.request(self._path, "ping", timeout_s=LISTING_S)
            except (ControlError, NotRunningError):
                continue
            self.longest_s = max(self.longest_s, time.monotonic() - asked)


def _supervise(cloud: SimulatedCloud, size: int, directory: Path) -> Supervision:
    directory.mkdir()
    sections = {
        "global": {"keystone_endpoint": cloud.keystone_url, "user": "admin", "password": "secret"},
        "targets": {"agents": "no"},
        "icmp": {"interval": "10"},
        "vantage": {"reference": "none"},
    }
    command = Command(directory, prefix=(), sections=sections)
    path = str(command.runtime_dir / "control.sock")
    started = time.monotonic()
    with _daemon(command, path) as pid:
        with Asking(path) as asking:
            wait_until(
                lambda: _status(path)["targets"]["address"]["probed"] >= size,
                timeout_s=START_S,
                what="all addresses to be known",
            )
            known_s = time.monotonic() - started
            time.sleep(SETTLE_S)
            cpu = before = cpu_s(pid)
        time.sleep(IDLE_S)
        idle_percent = (cpu_s(pid) - before) / IDLE_S * 100
        asked = time.monotonic()
        _status(path)
        status_s = time.monotonic() - asked
        return Supervision(known_s, cpu, asking.longest_s, idle_percent, status_s, peak_mb(pid))


@contextlib.contextmanager
def _daemon(command: Command, path: str) -> Iterator[int]:
    """Run the daemon; yield its process id. Its children end with it."""
    said = command.run("start")
    try:
        pid = client.request(path, "ping", timeout_s=LISTING_S)["pid"]
    except (ControlError, NotRunningError) as exc:
        raise RuntimeError(f"no daemon: {said}") from exc
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), timeout_s=10, what="the daemon to end")


def _status(path: str) -> dict[str, Any]:
    return client.request(path, "status", timeout_s=LISTING_S)
