"""What holds of every report on a cloud whose faults are known, and of the points in InfluxDB behind it."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.command import Command
from tests.integration.influx_env import InfluxServer
from tests.integration.real_cloud import RealCloud

PATIENCE_S = {"service": 2.0, "address": 1.0}  # the timeouts of probes
WITHIN_S = 1.0  # how near an estimate comes to the truth
STALL_S = 2.0  # a machine that is busy with something else may hold us up for a moment
STALL_ECHOES = 5 * STALL_S  # of an address that is up

SERVICE_LINE = re.compile(
    r"Service (?P<name>\S+) was down approximately (?P<seconds>\d+) seconds "
    r"which is (?P<percent>\d+\.\d)% of total uptime"
)
ADDRESS_LINE = re.compile(
    r"Address (?P<name>\S+) was unreachable approximately (?P<seconds>\d+\.\d) second "
    r"which is (?P<percent>\d+\.\d)% of total uptime"
)
COUNTED = {"spans": "last_sent", "marks": "text", "events": "text"}  # with a field that all their points have

Report = Mapping[str, Any]
Target = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """What one of the lines that scripts parse says of its target."""

    seconds: str
    percent: str


def show(*lines: object) -> None:
    """Tell what was found; pytest shows it with ``-s``, or if the test fails."""
    for line in lines:
        sys.stdout.write(f"{line}\n")


def targets_of(report: Report) -> dict[str, Target]:
    """Return the targets by name; no name is there twice."""
    targets: list[Target] = report["targets"]
    found = {target["name"]: target for target in targets}
    assert len(found) == len(targets)
    return found


def lines_of(text: str) -> dict[str, Line]:
    """Return the first lines of a report in text by target. Every one has exactly the form promised."""
    found = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        match = SERVICE_LINE.fullmatch(line) or ADDRESS_LINE.fullmatch(line)
        assert match is not None, line
        found[match["name"]] = Line(match["seconds"], match["percent"])
    return found


def assert_lines(cloud: RealCloud, text: str, *names: str) -> None:
    """Check that all targets have a line, in order, and that all say nothing but zero, except those named.

    Those say how long the last fault injected was.
    """
    lines = lines_of(text)
    assert list(lines) == [*cloud.services, *cloud.addresses]
    for name, line in lines.items():
        zero, rounded_s = ("0", 0.5) if name in cloud.services else ("0.0", 0.05)
        if name in names:
            low, high = injected(cloud, name)
            within_s = WITHIN_S + rounded_s
            assert low - within_s <= float(line.seconds) <= high + within_s, (name, line, low, high)
            assert float(line.percent) > 0, (name, line)
        else:
            assert line == Line(zero, "0.0"), name


def injected(cloud: RealCloud, name: str) -> tuple[float, float]:
    """Return the least and the most seconds for which the last fault of a target was to be seen."""
    kind = "service" if name in cloud.services else "address"
    return cloud.simulated.truth.of(name)[-1].seconds(PATIENCE_S[kind])


def assert_truth(cloud: RealCloud, targets: Mapping[str, Target], *names: str) -> None:
    """Check that the last fault injected is one episode, its length in the bounds, the estimate near it.

    And that nothing else was down, and nothing unobserved.
    """
    for name in names:
        target = targets[name]
        low, high = injected(cloud, name)
        show(
            f"  {name}: injected {low:.3f} to {high:.3f} s; reported {target['down_s']:.3f} s "
            f"({target['down_min_s']:.3f} to {target['down_max_s']:.3f})"
        )
        (episode,) = target["episodes"]
        assert (episode["ongoing"], episode["censored"]) == (False, []), episode
        assert target["down_min_s"] <= high, name
        assert low <= target["down_max_s"], name
        assert low - WITHIN_S <= target["down_s"] <= high + WITHIN_S, name
    assert_quiet(targets, *names)


def assert_quiet(targets: Mapping[str, Target], *but: str) -> None:
    """Check that all targets were observed all the time, and that none was down but those named."""
    for name, target in targets.items():
        assert target["answered"] is True, name
        assert unobserved(target) == {}, name
        assert target["observed_s"] + target["unobserved_s"] == pytest.approx(target["window_s"]), name
        if name not in but:
            assert (target["down_s"], target["down_max_s"], target["episodes"]) == (0, 0, []), name


def unobserved(target: Target) -> dict[str, float]:
    """Return for how long a target was not observed, by cause, but for a moment in which we were held up."""
    return {
        cause: length_s
        for cause, length_s in target["unobserved"].items()
        if cause != "stall" or length_s > STALL_S
    }


def count_points(
    influxdb: InfluxServer, run: str, measurement: str, aggregate: str, tag: str = "run"
) -> dict[str, int]:
    """Return an aggregate of a measurement's points, of one run, for each value of a tag."""
    grouped = f'"run" = \'{run}\' GROUP BY "{tag}"'
    query = f'SELECT {aggregate} FROM "{measurement}" WHERE {grouped}'  # noqa: S608 - the words are ours
    return {one["tags"][tag]: int(one["values"][0][1]) for one in influxdb.query(query)}


def count_samples(influxdb: InfluxServer, run: str) -> dict[str, int]:
    """Return the number of each service's samples; one without a verdict has a cause, and no ``up``."""
    query = f'SELECT "up", "cause" FROM "service_response" WHERE "run" = \'{run}\' GROUP BY "service"'  # noqa: S608 - as above
    return {one["tags"]["service"]: len(one["values"]) for one in influxdb.query(query)}


def assert_all_points(influxdb: InfluxServer, report: Report) -> None:
    """Check that InfluxDB has every probe that the report counts, no more and no less, and all else."""
    run, targets = report["run"]["id"], targets_of(report)
    services = {name: one["probes"] for name, one in targets.items() if one["kind"] == "service"}
    addresses = {name: one["probes"] for name, one in targets.items() if one["kind"] == "address"}
    failed = {name: sum(episode["failed"] for episode in targets[name]["episodes"]) for name in addresses}

    answers = count_samples(influxdb, run)
    echoes = count_points(influxdb, run, "floating_ip_pings", 'sum("sent")', "address")
    lost = count_points(influxdb, run, "floating_ip_pings", 'sum("lost")', "address")
    show(f"  in InfluxDB: {sum(answers.values())} answers of services, {sum(echoes.values())} echoes")
    assert answers == services
    # An echo that we were held up in sending is neither answered nor lost, so it is in no window.
    sure = {name: sent for name, sent in addresses.items() if "stall" not in targets[name]["unobserved"]}
    assert {name: echoes.get(name) for name in sure} == sure
    assert all(sent - STALL_ECHOES <= echoes[name] <= sent for name, sent in addresses.items())
    assert {name: lost.get(name) for name in addresses} == failed

    (series,) = influxdb.query(f'SELECT * FROM "runs" WHERE "run" = \'{run}\'')  # noqa: S608 - as above
    told = dict(zip(series["columns"], series["values"][0], strict=True))
    for measurement, field in COUNTED.items():
        counts = count_points(influxdb, run, measurement, f'count("{field}")')
        assert sum(counts.values()) == told[measurement], measurement


def assert_same_from_influxdb(command: Command) -> dict[str, Any]:
    """Check that the only run's report from InfluxDB is the journal's to the byte; return it."""
    (run,) = json.loads(command.ok("runs", "--json"))
    assert (run["state"], run["influxdb_backlog"]) == ("ended", 0)
    for form in ("text", "json"):
        from_influxdb = command.ok("report", "--from", "influxdb", "--format", form)
        assert from_influxdb == command.ok("report", "--format", form)
    found: dict[str, Any] = json.loads(from_influxdb)
    return found
