"""Many addresses, some of which drop out: whether the figures are as sharp as those of a few."""

import ipaddress
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.truth import Fault
from tests.accuracy import kinds, plan
from tests.accuracy.faults import journal_of
from tests.accuracy.judge import Judge, Report, Tally
from tests.accuracy.peers import Peers
from tests.integration.command import Command
from tests.waiting import wait_until

BLOCK: Final = ipaddress.ip_network("10.64.0.0/16")
_AT_A_TIME: Final = 12
_READY_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What came of many addresses.

    Attributes:
        addresses: How many.
        tally: Of the faults.
        invented_s: Downtime reported on all the others.
    """

    addresses: int
    tally: Tally
    invented_s: float


def play(directory: Path, *, seed: int, count: int, addresses: int) -> Crowd:
    """Let some of many addresses drop out.

    Args:
        directory: For everything.
        seed: Of the plan.
        count: Faults.
        addresses: All in all.
    """
    random = Random(seed)  # noqa: S311 - a plan that can be played again
    every = [str(BLOCK[number]) for number in range(addresses)]
    chosen = random.sample(every, min(count, _AT_A_TIME))
    with SimulatedCloud(CloudConfig(services=(), addresses=(), unassociated=())) as cloud:
        cloud.network.add_block(str(BLOCK))
        (directory / "addresses").write_text("\n".join(every))
        command = Command(
            directory,
            prefix=cloud.network.in_vantage([]),
            sections={"static": {"ips": f"@{directory}/addresses"}, "vantage": {"name": "accuracy"}},
        )
        try:
            peers = Peers(cloud, {}, chosen, directory)
            command.ok("start")
            wait_until(
                lambda: command.status()["targets"]["address"]["up"] == addresses,
                timeout_s=_READY_S,
                what="all addresses to be up",
            )
            _play(cloud, chosen, random, -(-count // len(chosen)))
            command.ok("stop")
        finally:
            command.end()
        report = Report(journal_of(command))
        judge = Judge(report, cloud.truth.faults, peers.samples())
        left_alone = [address for address in every if address not in set(chosen)]
        return Crowd(
            addresses=addresses,
            tally=judge.tally(kinds.DROPPED, chosen, {}),
            invented_s=judge.invented_s(left_alone),
        )


def _play(cloud: SimulatedCloud, chosen: Sequence[str], random: Random, each: int) -> None:
    plans = [plan.draw(random, each) for _ in chosen]
    begun_s = time.monotonic()
    acting = threading.Lock()

    def drop_out(address: str, stretches: Sequence[plan.Stretch]) -> None:
        for stretch in stretches:
            time.sleep(max(begun_s + stretch.begin_s - time.monotonic(), 0.0))
            with acting:
                fault = Fault(target=address, what="drop", start=cloud.network.silence([address]))
                cloud.truth.begin(fault)
            time.sleep(max(begun_s + stretch.end_s - time.monotonic(), 0.0))
            with acting:
                cloud.truth.end(address, cloud.network.unsilence([address]))

    with ThreadPoolExecutor(max_workers=len(chosen)) as threads:
        for one in [threads.submit(drop_out, *each) for each in zip(chosen, plans, strict=True)]:
            one.result()
    time.sleep(max(begun_s + plan.length_s(plans) - time.monotonic(), 0.0))
