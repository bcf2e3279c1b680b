"""Every query of the Grafana dashboard, against a real InfluxDB that a real daemon has told of a real run."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.daemon import Daemon
from tests.dashboard import Query, filled, load, queries
from tests.integration.influx_env import InfluxServer, as_text, options
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

SERVICES: Final = ("keystone", "neutron", "nova", "glance")
ADDRESSES: Final = ("172.16.166.151", "172.16.166.152", "172.16.166.153")
DROPPED: Final = ADDRESSES[1]
MARK: Final = 'step "one" of the upgrade'
QUERIES: Final = list(queries(load()))


@dataclass(frozen=True, slots=True)
class Told:
    """A run that InfluxDB was told of.

    Attributes:
        influxdb: It.
        report: The run's, in JSON, from the journal.
        since_ms: When it began, since the epoch.
        until_ms: When it had ended.
    """

    influxdb: InfluxServer
    report: dict[str, Any]
    since_ms: int
    until_ms: int

    def ask(self, text: str, *, projects: list[str] | None = None) -> list[dict[str, Any]]:
        """Return the series that a query of the dashboard gives."""
        run = self.report["run"]["id"]
        return self.influxdb.query(
            filled(text, run=run, projects=projects, since_ms=self.since_ms, until_ms=self.until_ms)
        )

    def ask_panel(self, title: str) -> list[dict[str, Any]]:
        """Return the series of the first query of a panel."""
        panel = next(panel for panel in load()["panels"] if panel["title"] == title)
        return self.ask(panel["targets"][0]["query"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A run in which a service and an address were down for a while, and a mark was set."""
    with SimulatedCloud(CloudConfig(services=SERVICES, addresses=ADDRESSES)) as cloud:
        influxdb = InfluxServer(tmp_path_factory.mktemp("influxdb"), prefix=cloud.network.in_vantage([]))
        with influxdb, Daemon(cloud, sections=as_text(options(influxdb))) as daemon:
            wait_until(lambda: _all_answered(daemon), timeout_s=30, what="all to be up")
            cloud.service("glance").kill()
            cloud.drop(DROPPED)
            daemon.command("mark", MARK)
            time.sleep(2.0)
            cloud.service("glance").start()
            cloud.restore(DROPPED)
            wait_until(lambda: _ended(daemon), timeout_s=30, what="both outages to end")
            daemon.stop()
            report = daemon.report()
            since_ms, until_ms = (
                int(datetime.fromisoformat(report["run"][edge]).timestamp() * 1000)
                for edge in ("start", "end")
            )
            yield Told(influxdb, report, since_ms - 1000, until_ms + 1000)


def _all_answered(daemon: Daemon) -> bool:
    return all(target["answered"] for target in daemon.report()["targets"])


def _ended(daemon: Daemon) -> bool:
    """Tell whether what failed has failed, and fails no more."""
    found = [
        target["episodes"] for target in daemon.report()["targets"] if target["name"] in ("glance", DROPPED)
    ]
    return all(episodes and not episodes[-1]["ongoing"] for episodes in found)


def episodes(told: Told, name: str) -> list[dict[str, Any]]:
    """Return the episodes of a target, from the report."""
    (target,) = [target for target in told.report["targets"] if target["name"] == name]
    found: list[dict[str, Any]] = target["episodes"]
    return found


def column(series: dict[str, Any], name: str) -> list[Any]:
    """Return the values of a column."""
    position = series["columns"].index(name)
    return [values[position] for values in series["values"]]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_query_returns_something(told: Told, query: Query) -> None:
    if query.where == "annotation Events" or "Events of the measurement" in query.where:
        _tell_an_event(told)  # nothing went wrong
    found = told.ask(query.text)
    assert found
    assert all(
        len(values) > 1 and any(value is not None for value in values[1:])
        for series in found
        for values in series["values"]
    )


def _tell_an_event(told: Told) -> None:
    run = told.report["run"]["id"]
    at_ns = (told.since_ms + 2000) * 1_000_000
    told.influxdb.write(
        f'events,run={run},kind=restart,key=0 text="icmp was restarted",word="restart" {at_ns}'
    )


def test_variables_offer_the_run_and_the_projects(told: Told) -> None:
    offered = {query.where: told.ask(query.text) for query in QUERIES if query.where.startswith("variable")}
    (runs,) = offered["variable run"]
    assert column(runs, "value") == [told.report["run"]["id"]]
    projects = {target["project"] for target in told.report["targets"] if target["kind"] == "address"}
    (found,) = offered["variable project"]
    assert set(column(found, "value")) == projects


def test_timelines_show_what_was_down(told: Told) -> None:
    services = {
        (one["tags"]["service"], one["tags"]["check"]): set(column(one, "min"))
        for one in told.ask_panel("Services")
    }
    assert services["glance", "answers"] == {0, 1}
    assert services["nova", "answers"] == {1}
    addresses = {one["tags"]["address"]: max(column(one, "sum_sum")) for one in told.ask_panel("Addresses")}
    assert addresses.keys() > set(ADDRESSES)  # the references are there, too
    assert addresses[DROPPED] > 0
    assert addresses[ADDRESSES[0]] == 0


def test_addresses_of_a_chosen_project_are_shown_alone(told: Told) -> None:
    panel = next(panel for panel in load()["panels"] if panel["title"] == "Addresses")
    of = {one["name"]: one["project"] for one in told.report["targets"] if one["kind"] == "address"}
    for project in set(of.values()):
        found = told.ask(panel["targets"][0]["query"], projects=[project])
        assert {one["tags"]["address"] for one in found} == {name for name in of if of[name] == project}
    assert told.ask(panel["targets"][0]["query"], projects=["none.of", "these"]) == []


def test_downtime_is_that_of_the_report(told: Told) -> None:
    by_target = {
        (one["tags"]["name"], one["tags"]["check"]): one for one in told.ask_panel("Downtime by target")
    }
    (episode,) = episodes(told, DROPPED)
    (down,) = column(by_target[DROPPED, "icmp"], "down")
    assert down == pytest.approx(episode["down_s"], abs=1e-6)
    assert "glance" in {name for name, _ in by_target}
    (count,) = told.ask_panel("Outages of addresses")
    assert column(count, "count") == [len(episode["outages"])]


def test_mark_is_an_annotation_with_its_text(told: Told) -> None:
    query = next(query for query in QUERIES if query.where == "annotation Marks")
    (marks,) = told.ask(query.text)
    assert column(marks, "text") == [MARK]


def test_list_of_runs_leads_to_the_whole_of_one(told: Told) -> None:
    (run,) = told.ask_panel("Runs")
    assert run["tags"]["run"] == told.report["run"]["id"]
    (end_ms,) = column(run, "end")
    assert told.until_ms - 1002 <= end_ms <= told.until_ms
    assert json.dumps(load()).count("var-run=${__value.text}") == 1
