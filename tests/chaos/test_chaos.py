"""Each kind of fault a few times: nothing is lost, nothing is counted twice, no downtime is invented."""

from pathlib import Path

import pytest

from tests.chaos.document import table
from tests.chaos.plan import SCENARIOS, Scenario

SEED = 1


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_faults_cost_nothing_but_time(scenario: Scenario, tmp_path: Path) -> None:
    outcomes = scenario.play(tmp_path, seed=SEED, times=scenario.brief)
    assert outcomes
    assert all(one.is_clean and one.times > 0 for one in outcomes), table(outcomes)
