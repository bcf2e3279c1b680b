"""Faults of InfluxDB, one after the other, while a real daemon measures a simulated cloud and ships to it.

InfluxDB is a real 1.6 that asks for a password; what stands in front of it answers badly where a real one
can't be made to. All the while one address comes and goes, so that there are spans to be lost; the other
targets are up.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from downtimer.config import CONTROL_SOCKET
from downtimer.control import client
from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.store.journal import JournalReader
from downtimer.store.lines import decode_target
from downtimer.store.outbox import Outbox
from downtimer.store.schema import connect_to_read
from tests.chaos.outcome import Outcome
from tests.integration.checks import count_samples
from tests.integration.command import ADDRESS, Command, static_targets, target, until_measured
from tests.integration.influx_env import Credentials, InfluxServer, options
from tests.integration.influx_front import DRIP, ENDLESS, PASS, Front
from tests.waiting import wait_until

STEADY: Final = "172.16.166.152"
SERVICE: Final = "glance"
DATABASE: Final = "downtimer"
MARKS: Final = 3
"""Points that a conflict of types costs."""

SHOWS_S: Final = 60.0
RECOVERS_S: Final = 90.0
DOWN_S: Final = (0.3, 0.8)
HOLD_S: Final = (0.1, 1.0)
SLOW_S: Final = 3
PASSWORD: Final = "right%horse"

_ANSWER_S: Final = 20.0


class Key(NamedTuple):
    """A span, by what names it; the instant is UTC."""

    target: str
    check: str
    first_ns: int


@dataclass(slots=True)
class Delivered:
    """What InfluxDB has of a run, or had when its database was dropped.

    Attributes:
        last_ns: Of each span; None as long as it is open.
        more: Points of spans that were there already, under another verdict.
        samples: Of each service.
    """

    last_ns: dict[Key, int | None] = field(default_factory=dict)
    more: int = 0
    samples: dict[str, int] = field(default_factory=dict)

    def add(self, influxdb: InfluxServer, run: str) -> None:
        """Take in what is there now."""
        here: set[Key] = set()
        grouped = f'"run" = \'{run}\' GROUP BY "target", "check", "verdict"'
        for series in influxdb.query(f'SELECT "last_sent", "open" FROM "spans" WHERE {grouped}'):  # noqa: S608 - ours
            tags = series["tags"]
            for at_ns, last_ns, _ in series["values"]:
                key = Key(decode_target(tags["target"]), tags["check"], at_ns)
                self.more += key in here
                here.add(key)
                self.last_ns[key] = self.last_ns.get(key) if last_ns is None else last_ns
        for service, number in count_samples(influxdb, run).items():
            self.samples[service] = self.samples.get(service, 0) + number


class Stage:
    """The cloud, InfluxDB, what stands in front of it, and the daemon.

    Attributes:
        delivered: What was in databases that have been dropped.
        rejected: Points that InfluxDB must have rejected so far.
    """

    def __init__(self, directory: Path, cloud: SimulatedCloud) -> None:
        """Prepare it; `directory` is for all files, and stays short enough for a socket's path."""
        prefix = cloud.network.in_vantage([])
        self.cloud = cloud
        self.influxdb = InfluxServer(
            directory / "influxdb", prefix=prefix, credentials=Credentials("admin", PASSWORD)
        )
        self.front = Front(directory / "front", self.influxdb, prefix=prefix)
        load = {"api": {"interval": "0.1"}, "icmp": {"interval": "0.05"}}
        self.command = Command(
            directory,
            prefix=prefix,
            sections=static_targets(cloud) | load | {"db": options(self.front)},
        )
        self.delivered = Delivered()
        self.rejected = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Have all run, and end."""
        with self.influxdb, self.front:
            try:
                self.command.ok("start")
                until_measured(self.command)
                wait_until(self.is_well, timeout_s=SHOWS_S, what="the first points to arrive")
                yield
            finally:
                self.command.end()

    def status(self) -> dict[str, Any]:
        """Return what the daemon says of itself."""
        return client.request(str(self.command.runtime_dir / CONTROL_SOCKET), "status", timeout_s=_ANSWER_S)

    def is_well(self) -> bool:
        """Tell whether InfluxDB takes points, and those that wait are but the latest."""
        found = self.status()["influxdb"]
        return bool(found["state"] == "ok" and found["backlog"] < 200)

    def is_failing(self) -> bool:
        """Tell whether the daemon says that InfluxDB fails, and why."""
        found = self.status()["influxdb"]
        return found["state"] == "failing" and found["error"] is not None

    def come_and_go(self, rng: random.Random) -> None:
        """Have the one address be down for a moment."""
        self.cloud.drop(ADDRESS)
        try:
            time.sleep(rng.uniform(*DOWN_S))
        finally:
            self.cloud.restore(ADDRESS)
        time.sleep(rng.uniform(*DOWN_S))

    def mark(self, text: str) -> None:
        """Put a mark on record."""
        client.request(
            str(self.command.runtime_dir / CONTROL_SOCKET), "mark", {"text": text}, timeout_s=_ANSWER_S
        )

    def journal(self) -> Path:
        """Return where the run's journal is."""
        (found,) = (self.command.state_dir / "runs").glob("*.sqlite")
        return found

    def run_id(self) -> str:
        """Return the run's id."""
        found: str = self.status()["run"]["id"]
        return found


# --- faults: each is there from entering to leaving ---


@contextlib.contextmanager
def refusing(stage: Stage) -> Iterator[None]:
    """Nobody listens."""
    stage.front.kill()
    stage.influxdb.kill()
    try:
        yield
    finally:
        stage.influxdb.start()
        stage.front.start()


@contextlib.contextmanager
def hanging(stage: Stage) -> Iterator[None]:
    """InfluxDB is frozen: it may do later what it was asked for."""
    stage.influxdb.pause()
    try:
        yield
    finally:
        stage.influxdb.resume()


def behaving(manners: str) -> Callable[[Stage], AbstractContextManager[None]]:
    """Return a fault of what stands in front."""

    @contextlib.contextmanager
    def inject(stage: Stage) -> Iterator[None]:
        stage.front.behave(manners)
        try:
            yield
        finally:
            stage.front.behave(PASS)

    return inject


@contextlib.contextmanager
def dropped(stage: Stage) -> Iterator[None]:
    """The database is gone, with all that had been delivered."""
    stage.front.behave("503")
    wait_until(stage.is_failing, timeout_s=SHOWS_S, what="InfluxDB to fail")
    stage.delivered.add(stage.influxdb, stage.run_id())
    stage.influxdb.query(f"DROP DATABASE {DATABASE}")
    stage.front.behave(PASS)
    yield


@contextlib.contextmanager
def rejecting_credentials(stage: Stage) -> Iterator[None]:
    """The password is another."""
    stage.influxdb.change_password("another")
    try:
        yield
    finally:
        stage.influxdb.change_password(PASSWORD)


@contextlib.contextmanager
def conflicting(stage: Stage) -> Iterator[None]:
    """Marks are rejected, for what is in the database has their field with another type."""
    stage.influxdb.write(f"marks text=5i {time.time_ns()}")
    for number in range(MARKS):
        stage.mark(f"rejected {stage.rejected + number}")
    stage.rejected += MARKS
    yield


def _has_rejected(stage: Stage) -> bool:
    found = stage.status()["influxdb"]
    assert found["rejected"] <= stage.rejected, found
    return bool(found["rejected"] == stage.rejected and "field type conflict" in found["error"])


def _was_met(manners: str) -> Callable[[Stage], bool]:
    return lambda stage: stage.front.met(manners) > 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that InfluxDB does.

    Attributes:
        name: For the table.
        inject: Does it, and mends it.
        shows: Tells that it has been met.
    """

    name: str
    inject: Callable[[Stage], AbstractContextManager[None]]
    shows: Callable[[Stage], bool] = Stage.is_failing


FAULTS: Final = (
    Fault("InfluxDB refuses connections", refusing),
    Fault("InfluxDB is frozen", hanging),
    Fault("InfluxDB answers 500", behaving("500")),
    Fault("InfluxDB answers after seconds", behaving(f"slow {SLOW_S}"), _was_met(f"slow {SLOW_S}")),
    Fault("InfluxDB's answers drip", behaving(DRIP)),
    Fault("InfluxDB's answers have no end", behaving(ENDLESS)),
    Fault("InfluxDB loses the database", dropped, Stage.is_well),
    Fault("InfluxDB rejects the credentials", rejecting_credentials),
    Fault("InfluxDB rejects points for their type", conflicting, _has_rejected),
)


@dataclass(slots=True)
class Cost:
    """What one fault has cost so far, all times; see `Outcome`.

    Attributes:
        windows: When it was there, UTC in ns, until the next one came.
    """

    windows: list[tuple[int, int]] = field(default_factory=list)
    lost: int = 0
    twice: int = 0
    invented_s: float = 0.0
    unobserved_s: float = 0.0

    def is_at(self, at_ns: int) -> bool:
        """Tell whether that was its time."""
        return any(start_ns <= at_ns < end_ns for start_ns, end_ns in self.windows)


def play(directory: Path, *, seed: int, times: int) -> list[Outcome]:
    """Play every fault so many times, in an order that the seed decides; return what it has cost.

    Args:
        directory: For all files; short, for a socket's path.
        seed: Of order, pauses, and the address that comes and goes.
        times: How often each.

    Raises:
        AssertionError: A process was restarted, points are left, or others were rejected than had to be.
    """
    rng = random.Random(seed)  # noqa: S311 - to be repeated
    costs = {fault.name: Cost() for fault in FAULTS}
    config = CloudConfig(services=(SERVICE,), addresses=(ADDRESS, STEADY))
    with SimulatedCloud(config) as cloud:
        stage = Stage(directory, cloud)
        with stage.running():
            pids, before = stage.command.pids(), _figures(stage)
            for _ in range(times):
                for fault in rng.sample(FAULTS, len(FAULTS)):
                    before = _suffer(stage, fault, rng, costs[fault.name], before)
            assert stage.command.pids() == pids
            _end(stage)
            count(stage, costs)
    return [
        Outcome(
            fault=name,
            times=len(cost.windows),
            lost=cost.lost,
            twice=cost.twice,
            invented_s=cost.invented_s,
            unobserved_s=cost.unobserved_s,
        )
        for name, cost in costs.items()
    ]


def _suffer(stage: Stage, fault: Fault, rng: random.Random, cost: Cost, before: "_Figures") -> "_Figures":
    """Go through one fault, until InfluxDB is well again; return the figures after it."""
    began_ns = time.time_ns()
    with fault.inject(stage):
        stage.come_and_go(rng)
        wait_until(lambda: fault.shows(stage), timeout_s=SHOWS_S, what=f"{fault.name} to show")
        time.sleep(rng.uniform(*HOLD_S))
    wait_until(stage.is_well, timeout_s=RECOVERS_S, what=f"points to arrive after: {fault.name}")
    after = _figures(stage)
    cost.windows.append((began_ns, time.time_ns()))
    cost.unobserved_s = max(
        cost.unobserved_s, *(after[name].unobserved_s - before[name].unobserved_s for name in after)
    )
    cost.invented_s += sum(max(0.0, after[name].down_s - before[name].down_s) for name in (SERVICE, STEADY))
    return after


class _Figure(NamedTuple):
    """What the report says of a target so far."""

    down_s: float
    unobserved_s: float


_Figures = dict[str, _Figure]


def _figures(stage: Stage) -> _Figures:
    report = stage.command.report()
    found = {name: target(report, name) for name in (SERVICE, ADDRESS, STEADY)}
    return {name: _Figure(one["down_s"], sum(one["unobserved"].values())) for name, one in found.items()}


def _end(stage: Stage) -> None:
    """End the run; everything must have arrived, or been rejected."""
    stage.command.ok("stop")
    with contextlib.closing(connect_to_read(str(stage.journal()))) as connection:
        outbox = Outbox(connection)
    assert (outbox.points, outbox.dropped, outbox.rejected) == (0, 0, stage.rejected)


def count(stage: Stage, costs: Mapping[str, Cost]) -> None:
    """Hold what InfluxDB has, and had, against the journal; put down what is amiss at its time's fault.

    Raises:
        AssertionError: There are samples too many or too few.
    """
    with contextlib.closing(JournalReader(str(stage.journal()))) as reader:
        run = reader.run()
        names = {state.target.id: state.target.name for state in reader.targets()}
        spans = list(reader.spans())
    delivered = stage.delivered
    delivered.add(stage.influxdb, run.id)
    known: set[Key] = set()
    probes: dict[str, int] = {}
    for span in spans:
        key = Key(span.target, span.check, run.start_utc_ns + span.first_sent_ns)
        known.add(key)
        probes[names[span.target]] = probes.get(names[span.target], 0) + span.probes
        if delivered.last_ns.get(key) != run.start_utc_ns + span.last_sent_ns:
            _cost_at(costs, run.start_utc_ns + span.last_sent_ns).lost += 1
    for key in delivered.last_ns.keys() - known:
        _cost_at(costs, key.first_ns).twice += 1
    assert delivered.more == 0
    assert delivered.samples == {SERVICE: probes[SERVICE]}


def _cost_at(costs: Mapping[str, Cost], at_ns: int) -> Cost:
    """Return what was going on then; before the first fault, that one, and the last one after it."""
    found = next((cost for cost in costs.values() if cost.is_at(at_ns)), None)
    if found is not None:
        return found
    ends = [(abs(at_ns - end_ns), cost) for cost in costs.values() for _, end_ns in cost.windows]
    return min(ends, key=lambda end: end[0])[1]
