"""A small cloud.

Ten services, twenty addresses, default settings: a simulated cloud in network namespaces, whose services are
real processes, and the daemon as a user starts it. *First sample* counts from the exec of ``downtimer start``
to the instant at which the first probe was sent, by the journal; all that comes before it is in it: the
command, the daemon, its four children, signing in and reading the catalog. CPU is that of all of downtimer's
processes together, supervisor included, over half a minute that begins ten seconds after the start, so with
one listing of addresses and three readings of agents in it. Memory is what they hold at its end; of pages
that several processes share each has its part (PSS). With ``[db]`` every probe is also delivered to a real
InfluxDB, which is not counted.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.services import PROFILES
from downtimer.demo.truth import now_ns
from downtimer.demo.world import Endpoint, World
from downtimer.model import SECOND_NS, Kind, Target, TargetId
from downtimer.store.journal import JournalReader
from tests.bench.figures import Figure, Results
from tests.bench.processes import Use, children_of, total, use_of
from tests.integration import traces
from tests.integration.command import Command
from tests.integration.influx_env import InfluxServer
from tests.waiting import wait_until

SERVICES: Final = 10
ADDRESSES: Final = 20

_PROGRAM: Final = Path(__file__).parents[2] / "bin" / "downtimer"
_TENTH: Final = ("barbican", "key-manager", 9311)
"""The table of simulated services has nine; to this one, as to a real cloud's, not every call is known."""

_AS_INSTALLED: Final = ("env", "--unset=PYTHONDONTWRITEBYTECODE")
"""What is installed comes compiled, and so does what has run once."""

_PROBING: Final = ("api", "icmp")
_READY_S: Final = 30.0
_SETTLE_S: Final = 10.0
_WINDOW_S: Final = 30.0


class Start(NamedTuple):
    """How long after the exec of ``downtimer start`` something was so far.

    Attributes:
        sample_s: The first probe of a target was sent.
        samples_s: That of the last target was.
        return_s: The command returned.
    """

    sample_s: float
    samples_s: float
    return_s: float


@dataclass(frozen=True, slots=True)
class Steady:
    """What each of the processes used in a window of `window_s`, and holds at its end, by its name."""

    window_s: float
    uses: dict[str, Use]

    @property
    def cpu_percent(self) -> float:
        """Of one core, all of them together."""
        return 100 * total(self.uses.values()).cpu_s / self.window_s

    @property
    def aside_percent(self) -> float:
        """Of one core, those that do not probe."""
        aside = total(use for name, use in self.uses.items() if name not in _PROBING)
        return 100 * aside.cpu_s / self.window_s

    @property
    def pss_mb(self) -> float:
        """The memory of all of them."""
        return total(self.uses.values()).pss_mb


@dataclass(slots=True)
class Found:
    """What was measured of one kind of installation, run by run."""

    starts: list[Start]
    steady: list[Steady]


def measure(directory: Path, runs: int) -> Results:
    """Measure so often, without InfluxDB and with it."""
    with small_cloud() as cloud:
        _warm_up(cloud, directory / "first")
        bare = _measure(cloud, directory / "bare", runs)
        with _influx(cloud, directory / "influx") as db:
            shipping = _measure(cloud, directory / "shipping", runs, db)
    return Results(figures=(*_figures(bare), *_figures(shipping, note="with [db]")))


def _figures(found: Found, note: str = "") -> Sequence[Figure]:
    return (
        Figure(
            what="first sample after start of a small cloud",
            values=tuple(start.sample_s for start in found.starts),
            unit="s",
            at_most=1.5,
            note=note,
        ),
        Figure(
            what="first sample of the last of its targets",
            values=tuple(start.samples_s for start in found.starts),
            unit="s",
            note=note,
        ),
        Figure(
            what="start of a small cloud returns after",
            values=tuple(start.return_s for start in found.starts),
            unit="s",
            note=note,
        ),
        Figure(
            what="CPU of all processes, of a core, small cloud",
            values=tuple(steady.cpu_percent for steady in found.steady),
            unit="%",
            at_most=3.0,
            note=note,
        ),
        Figure(
            what="of it, supervisor, discovery and writer",
            values=tuple(steady.aside_percent for steady in found.steady),
            unit="%",
            note=note,
        ),
        Figure(
            what="memory of all processes (PSS), small cloud",
            values=tuple(steady.pss_mb for steady in found.steady),
            unit="MB",
            at_most=170.0,
            note=note,
        ),
    )


def _warm_up(cloud: SimulatedCloud, directory: Path) -> None:
    """Start once, so that everything is compiled, and read from the disk."""
    directory.mkdir()
    with running(cloud, directory, None):
        pass


def _measure(cloud: SimulatedCloud, directory: Path, runs: int, db: InfluxServer | None = None) -> Found:
    found = Found([], [])
    directory.mkdir()
    for number in range(runs):
        place = directory / str(number)
        place.mkdir()
        with running(cloud, place, db) as (command, start):
            found.starts.append(start)
            time.sleep(_SETTLE_S)
            found.steady.append(watch(command, _WINDOW_S))
    return found


@contextlib.contextmanager
def small_cloud() -> Iterator[SimulatedCloud]:
    """Run the cloud."""
    config = CloudConfig(services=tuple(PROFILES), unassociated=())
    name, kind, port = _TENTH
    with SimulatedCloud(config) as cloud:
        tenth = cloud.start_service("glance", alias=name, port=port)

        def with_tenth(world: World) -> World:
            added = Endpoint(service=name, type=kind, region="RegionOne", interface="public", url=tenth.url)
            return replace(world, endpoints=(*world.endpoints, added))

        cloud.change(with_tenth)
        yield cloud


@contextlib.contextmanager
def running(
    cloud: SimulatedCloud, directory: Path, db: InfluxServer | None
) -> Iterator[tuple[Command, Start]]:
    """Start downtimer on it, all of whose targets are up then; nothing of it runs in the end."""
    account = {
        "keystone_endpoint": cloud.keystone_url,
        "user": cloud.config.user,
        "password": cloud.config.password,
    }
    sections = {"global": account}
    if db is not None:
        sections["db"] = {"host": db.host, "port": str(db.port)}
    command = Command(directory, prefix=cloud.network.in_vantage([]), sections=sections)
    try:
        yield command, _start(cloud, command)
    finally:
        command.end()
        traces.kill_all(command)


def watch(command: Command, window_s: float) -> Steady:
    """Watch all of downtimer's processes for so long."""
    pids = {"supervisor": command.supervisor(), **command.pids()}
    if set(children_of(pids["supervisor"])) != set(pids.values()) - {pids["supervisor"]}:
        raise RuntimeError("the daemon has other children than it says")
    before_ns, before = now_ns(), {name: use_of(pid) for name, pid in pids.items()}
    time.sleep(window_s)
    after_ns, after = now_ns(), {name: use_of(pid) for name, pid in pids.items()}
    uses = {
        name: use._replace(cpu_s=use.cpu_s - before[name].cpu_s, wakeups=use.wakeups - before[name].wakeups)
        for name, use in after.items()
    }
    return Steady((after_ns - before_ns) / SECOND_NS, uses)


def _start(cloud: SimulatedCloud, command: Command) -> Start:
    argv = [*_AS_INSTALLED, sys.executable, str(_PROGRAM), "start", "--config", str(command.config)]
    before_ns = now_ns()
    process = cloud.run_in_vantage(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said, _ = process.communicate(timeout=_READY_S)
    finally:
        process.kill()
        process.wait()
    after_ns = now_ns()
    if process.returncode != 0:
        raise RuntimeError(f"downtimer start: {said.decode(errors='replace')}{command.log()}")
    wait_until(lambda: _are_all_up(command), timeout_s=_READY_S, what="everything to be up")
    command.ok("report")  # which has all committed that was seen
    (journal,) = (command.state_dir / "runs").glob("*.sqlite")
    firsts_ns = _first_sent_ns(journal)
    if len(firsts_ns) != SERVICES + ADDRESSES:
        raise RuntimeError(f"only {len(firsts_ns)} targets are measured")
    return Start(*((at_ns - before_ns) / SECOND_NS for at_ns in (firsts_ns[0], firsts_ns[-1], after_ns)))


def _first_sent_ns(journal: Path) -> list[int]:
    """Return when the first probe of each target of the cloud was sent, by CLOCK_BOOTTIME, in order."""
    with contextlib.closing(JournalReader(str(journal))) as reader:
        wanted = {state.target.id for state in reader.targets() if _is_measured(state.target)}
        firsts: dict[TargetId, int] = {}
        for span in reader.spans():
            if span.target in wanted:
                firsts[span.target] = min(span.first_sent_ns, firsts.get(span.target, span.first_sent_ns))
        origin_ns = reader.run().boot_origin_ns
    return sorted(origin_ns + first_ns for first_ns in firsts.values())


def _is_measured(target: Target) -> bool:
    return target.kind in (Kind.SERVICE, Kind.ADDRESS) and not target.reference


def _are_all_up(command: Command) -> bool:
    counts = command.status()["targets"]
    return bool(counts["service"]["up"] == SERVICES and counts["address"]["up"] == ADDRESSES)


@contextlib.contextmanager
def _influx(cloud: SimulatedCloud, directory: Path) -> Iterator[InfluxServer]:
    """Run an InfluxDB in the vantage, on its loopback."""
    with InfluxServer(directory, prefix=cloud.network.in_vantage([])) as server:
        yield server
