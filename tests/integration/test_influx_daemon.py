"""A whole daemon that ships: whatever InfluxDB does, it measures on, and says how InfluxDB fares."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from downtimer.demo.cloud import SimulatedCloud
from tests.chaos import database
from tests.chaos.database import Stage
from tests.integration.command import Command, static_targets, until_measured
from tests.integration.influx_env import options
from tests.integration.influx_front import DRIP, PASS
from tests.integration.victoria_env import VictoriaMetrics
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed


@pytest.fixture
def stage(lonely_cloud: SimulatedCloud, tmp_path: Path) -> Iterator[Stage]:
    """A daemon that ships, with everything that it needs."""
    made = Stage(tmp_path, lonely_cloud)
    with made.running():
        yield made


def test_a_span_that_influxdb_lacks_or_has_twice_would_be_counted(stage: Stage) -> None:
    stage.command.ok("stop")
    assert (count_cost(stage).lost, count_cost(stage).twice) == (0, 0)
    stage.influxdb.query("DROP SERIES FROM spans WHERE target =~ /172.16.166.152/")
    stage.influxdb.write(f"spans,run={run_of(stage)},target=t,check=icmp,verdict=up last_sent=5i 5")
    assert (count_cost(stage).lost, count_cost(stage).twice) == (1, 1)
    stage.influxdb.query("DROP SERIES FROM service_response")
    with pytest.raises(AssertionError):
        count_cost(stage)


def count_cost(stage: Stage) -> database.Cost:
    """Return what a fault would have cost that was there all the time."""
    stage.delivered = database.Delivered()
    cost = database.Cost(windows=[(0, 1 << 63)])
    database.count(stage, {"all the time": cost})
    return cost


def run_of(stage: Stage) -> str:
    """Return the only run's id."""
    return stage.journal().stem


def test_the_status_shows_state_backlog_and_the_last_error(stage: Stage) -> None:
    text = stage.command.ok("status")
    assert "influxdb     ok, " in text
    stage.front.behave(DRIP)
    wait_until(stage.is_failing, timeout_s=60, what="InfluxDB to fail")
    wait_until(lambda: stage.status()["influxdb"]["backlog"] > 100, timeout_s=60, what="a backlog")
    said = next(line for line in stage.command.ok("status").splitlines() if line.startswith("influxdb"))
    assert said.startswith("influxdb     failing, ")
    assert f"InfluxDB at {stage.front.host}:{stage.front.port} does not answer in time" in said
    stage.front.behave(PASS)
    wait_until(stage.is_well, timeout_s=90, what="points to arrive")
    with contextlib.suppress(FileNotFoundError):
        assert "right%horse" not in stage.command.log()


def test_latencies_of_a_run_are_the_same_from_either_store(stage: Stage) -> None:
    stage.command.ok("stop")
    from_journal, from_influxdb = (
        latencies(stage.command.ok("report", "--format", "html", "--from", store))
        for store in ("journal", "influxdb")
    )
    assert from_journal
    assert [check for check, *_ in from_journal] == [check for check, *_ in from_influxdb]
    for ours, theirs in zip(from_journal, from_influxdb, strict=True):
        # In other windows, for ours begin when the last one was put on record; but of the same probes.
        assert min(ours[2]) == min(theirs[2])
        assert max(ours[4]) == max(theirs[4])
        assert abs(len(ours[1]) - len(theirs[1])) <= 2


def latencies(html: str) -> list[list[Any]]:
    """Return what a page has of the latencies of its only service, by check."""
    (data,) = re.findall(r'<script type="application/json" id=data>(.*?)</script>', html, re.DOTALL)
    (only,) = json.loads(data)["latencies"]
    found: list[list[Any]] = only
    return found


def test_certificates_for_influxdb_that_cannot_be_used_are_refused(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.write(static_targets(lonely_cloud) | {"db": {"ssl": "yes", "cacert": "nowhere.pem"}})
    said = command.run("start")
    assert said.code == 2
    where = command.directory / "nowhere.pem"
    assert said.err == f"downtimer: {command.config}: [db] cacert: {where}: No such file or directory\n"


def test_a_run_is_shipped_to_victoria_metrics_and_reported_from_the_journal(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    prefix = lonely_cloud.network.in_vantage([])
    with VictoriaMetrics(command.directory / "victoria", prefix=prefix) as victoria:
        command.write(static_targets(lonely_cloud) | {"db": options(victoria)})
        command.ok("start")
        until_measured(command)
        wait_until(
            lambda: command.status()["influxdb"]["state"] == "ok", timeout_s=30, what="points to arrive"
        )
        stopped = command.run("stop")
        assert (stopped.code, stopped.err) == (0, "")
        said = command.run("report", "--from", "influxdb")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"downtimer: InfluxDB at {victoria.host}:{victoria.port} does not give back what it has taken, like "
        "VictoriaMetrics; the journal does: make the report without --from influxdb\n"
    )
    assert "Service glance was down approximately 0 seconds" in command.ok("report")
