"""Each kind of fault a few times: nothing is lost, nothing is counted twice, no downtime is invented."""

import os
import signal
import time
from operator import attrgetter
from pathlib import Path

import pytest

from downtimer.model import ICMP, Verdict
from tests.chaos.document import table
from tests.chaos.plan import SCENARIOS, Scenario
from tests.chaos.scene import Scene

SEED = 1
KILLS = 3
BETWEEN_S = 1.5


@pytest.mark.parametrize("scenario", list(filter(attrgetter("brief"), SCENARIOS)), ids=attrgetter("name"))
def test_faults_cost_nothing_but_time(scenario: Scenario, tmp_path: Path) -> None:
    outcomes = scenario.play(tmp_path, seed=SEED, times=scenario.brief)
    assert outcomes
    assert all(one.is_clean and one.times > 0 for one in outcomes), table(outcomes)


def test_every_echo_is_counted_and_none_twice_though_the_writer_dies(tmp_path: Path) -> None:
    """By the cloud's kernel, which has counted them, too."""
    with Scene(tmp_path, seed=SEED) as scene:
        for _ in range(KILLS):
            scene.trouble("writer killed", lambda: os.kill(scene.command.pids()["writer"], signal.SIGKILL))
            time.sleep(BETWEEN_S)
        (outcome,) = scene.end()
        assert (outcome.is_clean, outcome.unobserved_s) == (True, 0)
        # What came while our own loop was held up is answered, but tells nothing.
        probes = scene.ledger.probes
        lacking = scene.echoes() - probes[ICMP, Verdict.UP] - probes[ICMP, Verdict.SLOW]
        assert 0 <= lacking <= probes[ICMP, Verdict.UNKNOWN], probes
