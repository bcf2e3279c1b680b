"""A real run is judged: by the exit code, on standard error, in the report, in what a pipeline reads."""

import json
import time

import pytest

from downtimer.control import client
from downtimer.demo.cloud import SimulatedCloud
from tests.integration.command import ADDRESS, Command, Said, until_measured

DOWN_S = 1.5


def upgrade(command: Command, cloud: SimulatedCloud) -> None:
    """Begin a run, and restart the service in it, as a step that is marked."""
    command.ok("start")
    until_measured(command)
    client.request(str(command.runtime_dir / "control.sock"), "mark", {"text": "glance"}, timeout_s=10)
    cloud.service("glance").kill()
    time.sleep(DOWN_S)
    cloud.service("glance").start()
    until_measured(command)


def is_named(said: Said, assertion: str, verdict: str) -> bool:
    """Tell whether standard error names an assertion, the target, the second and the cause."""
    lines = [line for line in said.err.splitlines() if f"assertion '{assertion}' {verdict}: " in line]
    return len(lines) == 1 and all(word in lines[0] for word in ("glance was down", " from 20", "refused "))


@pytest.mark.untimed
def test_run_is_judged_when_it_stops_and_whenever_it_is_looked_at(
    command: Command, lonely_cloud: SimulatedCloud
) -> None:
    upgrade(command, lonely_cloud)
    under_way = command.run("report", "--assert", "observed >= 1%", "--output", "-")
    assert (under_way.code, under_way.err) == (0, "")
    assert "  PASS       observed >= 1%\n" in under_way.out
    stopped = command.run(
        *("stop", "--assert", "zero-downtime", "--assert", "observed >= 1%"),
        *("--assert", "address:* observed > 0%", "--assert", "service:glance longest <= 100ms"),
    )
    assert stopped.code == 4, stopped
    assert is_named(stopped, "zero-downtime", "failed")
    assert is_named(stopped, "service:glance longest <= 100ms", "failed")
    assert len(stopped.err.splitlines()) == 2
    assert command.report_file.read_text() == stopped.out
    assert stopped.out.split("\n\n")[1].startswith(
        "Assertions: 2 failed, 2 passed\n  FAIL       zero-downtime"
    )
    assert " 1 down " in next(line for line in stopped.out.splitlines() if line.endswith("  glance"))

    plain = command.ok("report")
    assert "Assertions" not in plain
    assert command.report_file.read_text() == plain
    assert command.run("report", "--assert", "observed >= 1%").code == 0
    assert "Assertions: 1 passed" in command.report_file.read_text()
    report = command.report("--run", "latest", "--assert", "observed >= 1%")
    assert [(one["assertion"], one["result"]) for one in report["assertions"]] == [("observed >= 1%", "pass")]
    glance, *_ = report["targets"]
    assert sum(phase["down_s"] for phase in glance["phases"]) == pytest.approx(glance["down_s"])
    assert glance["phases"][0]["down_min_s"] == 0 < glance["phases"][1]["down_min_s"]

    undecided = f"service:glance <= {(glance['down_min_s'] + glance['down_max_s']) / 2:.3f}s"
    assert command.run("report", "--assert", undecided).code == 4
    assert command.run("report", "--assert", undecided, "--lenient").code == 0
    about_nothing = command.run("report", "--assert", "service:glnace <= 1s", "--lenient")
    assert about_nothing.code == 4
    assert about_nothing.err.endswith(" failed: no target fits service:glnace; did you mean glance?\n")
    path = command.directory / "junit.xml"
    junit = ("report", "--assert", "zero-downtime", "--format", "junit", "--output", str(path))
    assert command.run(*junit).code == 4
    assert '<testcase classname="downtimer.service" name="zero-downtime [glance]">' in path.read_text()
    assert "| Service glance | " in command.ok("report", "--format", "markdown")

    for words in (
        ("report", "--assert", "service:glance < fast"),
        ("stop", "--assert", "zero-downtme"),
        ("report", "--format", "jsn"),
    ):
        wrong = command.run(*words)
        assert (wrong.code, wrong.out, len(wrong.err.splitlines())) == (2, "", 1), wrong


def test_two_runs_are_compared(command: Command, lonely_cloud: SimulatedCloud) -> None:
    command.ok("start")
    until_measured(command)
    command.ok("stop")
    upgrade(command, lonely_cloud)
    compared = command.ok("compare", "latest~1")  # with the run under way
    assert "goes on" in compared
    printed = command.ok("stop", "--format", "json", "--assert", "observed >= 1%")
    assert json.loads(printed)["assertions"][0]["result"] == "pass"
    found = json.loads(command.ok("compare", "--format", "json"))
    assert found["remarks"] == []
    assert {target["name"]: target["down"] for target in found["targets"]} == {
        "glance": "worse",
        ADDRESS: "none",
        "172.16.166.152": "none",
    }
    latest = found["runs"]["after"]["id"]
    text = command.ok("compare", "latest", "latest~1")
    assert "Better" in text
    assert command.run("compare", latest[:-1], latest[:4]).code == 2
    missing = command.run("compare", "latest~7")
    assert (missing.code, missing.err.splitlines()) == (
        *(1,),
        ["downtimer: no run latest~7: there are 2; `downtimer runs` lists them"],
    )
