"""Our own troubles: while nothing is wrong with the cloud, its report must say so, whatever befalls us."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.processes import Spawner
from downtimer.demo.truth import now_ns
from downtimer.findings import TargetSummary
from downtimer.model import SECOND_NS, Kind, Span, Target, TargetId, TargetState
from downtimer.outages import summarize
from tests.accuracy.faults import journal_of
from tests.accuracy.judge import Report
from tests.integration.command import Command
from tests.integration.icmp_process import IcmpProcess
from tests.troubles import Trouble, invented_s, unobserved_s
from tests.waiting import wait_until

WORKERS: Final = ("api", "icmp", "writer", "discovery")
STOPPED_S: Final = 3.0
LINK_S: Final = 5.0
STARVED_S: Final = 10.0
LOOPS_PER_CORE: Final = 4
STEPS_S: Final = (3600, -3600, 0.5, -0.5)

_LEARN_S: Final = 10.0
_READY_S: Final = 30.0
_REST_S: Final = 4.0
_BUSY = "import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass\n"
_SERVICES = ("keystone", "glance", "neutron")  # each with calls that need a token; one keeps connections
_ADDRESSES = tuple(f"172.16.166.{last}" for last in range(21, 41))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a trouble, all times that it was played.

    Attributes:
        name: What it is.
        times: How often it was played.
        invented_s: Downtime that was reported in it, of all targets together.
        unobserved_s: The longest time that a target was not observed in it.
    """

    name: str
    times: int
    invented_s: float
    unobserved_s: float


def play(directory: Path, *, times: int) -> list[Outcome]:
    """Play each trouble so often; return what came of it."""
    with ExitStack() as stack:
        config = CloudConfig(services=_SERVICES, addresses=_ADDRESSES, unassociated=())
        cloud = stack.enter_context(SimulatedCloud(config))
        account = {"keystone_endpoint": cloud.keystone_url, "user": config.user, "password": config.password}
        command = Command(
            directory,
            prefix=cloud.network.in_vantage([]),
            sections={"global": account, "vantage": {"name": "accuracy"}},
        )
        stack.callback(command.end)
        command.ok("start")
        _until_up(command)
        time.sleep(_LEARN_S)
        played = [trouble for _ in range(times) for trouble in _play_each(cloud, command)]
        command.ok("stop")
        outcomes = _judge(Report(journal_of(command)), played)
        return [*outcomes, _step_clock(cloud, times)]


def _play_each(cloud: SimulatedCloud, command: Command) -> Iterator[Trouble]:
    for worker in WORKERS:
        yield _trouble(command, f"{worker} stopped for {STOPPED_S:g} s", partial(_stop, command, worker))
        yield _trouble(command, f"{worker} killed", partial(_kill, command, worker))
    yield _trouble(command, f"starved by {LOOPS_PER_CORE} busy loops per core for {STARVED_S:g} s", _starve)
    yield _trouble(command, f"our link down for {LINK_S:g} s", partial(_cut_link, cloud))


def _trouble(command: Command, name: str, act: Callable[[], None]) -> Trouble:
    start_ns = now_ns()
    act()
    played = Trouble(name, start_ns, now_ns())
    _until_up(command)
    time.sleep(_REST_S)
    return played


def _until_up(command: Command) -> None:
    def are_up() -> bool:
        targets = command.status()["targets"]
        wanted = {"service": len(_SERVICES), "address": len(_ADDRESSES)}
        return all(targets[kind]["up"] == count for kind, count in wanted.items())

    wait_until(are_up, timeout_s=_READY_S, what="everything to be up")


def _stop(command: Command, worker: str) -> None:
    pid = command.pids()[worker]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(STOPPED_S)
    os.kill(pid, signal.SIGCONT)


def _kill(command: Command, worker: str) -> None:
    pid = command.pids()[worker]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: command.pids()[worker] not in (pid, None), timeout_s=_READY_S, what="its successor")


def _starve() -> None:
    program = [sys.executable, "-c", _BUSY.format(seconds=STARVED_S)]
    loops = [subprocess.Popen(program) for _ in range(LOOPS_PER_CORE * (os.cpu_count() or 1))]
    for loop in loops:
        loop.wait()


def _cut_link(cloud: SimulatedCloud) -> None:
    cloud.cut_link()
    time.sleep(LINK_S)
    cloud.mend_link()


def _judge(report: Report, played: Sequence[Trouble]) -> list[Outcome]:
    names = Counter(trouble.name for trouble in played)
    invented = invented_s(report, played)
    return [
        Outcome(
            name=name,
            times=times,
            invented_s=invented[name],
            unobserved_s=max(unobserved_s(report, one) for one in played if one.name == name),
        )
        for name, times in names.items()
    ]


def _step_clock(cloud: SimulatedCloud, times: int) -> Outcome:
    """Step the wall clock under an icmp engine, through the seam of its clock."""
    spawner = Spawner()
    process = IcmpProcess(spawner, cloud.network.in_vantage)
    try:
        for address in _ADDRESSES:
            process.order(f"add {address}")
        for step_s in STEPS_S * times:
            time.sleep(1.0)
            process.order(f"step {step_s}")
        time.sleep(1.0)
        spans = process.close()["spans"]
    finally:
        process.kill()
        spawner.close()
    summaries = [_summary(address, msgspec.convert(some, list[Span])) for address, some in spans.items()]
    return Outcome(
        name=f"the wall clock stepped by {', '.join(f'{step:+g}' for step in STEPS_S)} s",
        times=times,
        invented_s=sum(summary.down_ns for summary in summaries) / SECOND_NS,
        unobserved_s=max(summary.unobserved_ns for summary in summaries) / SECOND_NS,
    )


def _summary(address: str, spans: Sequence[Span]) -> TargetSummary:
    target = Target(id=TargetId(address), kind=Kind.ADDRESS, name=address)
    return summarize(TargetState(target=target, discovered_ns=0, listed_ns=0), spans)
