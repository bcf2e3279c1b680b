"""A measurement that rests: nothing is sent, whatever becomes of the daemon, and nobody is to blame."""

import json
import os
import signal
import time

import pytest

from downtimer.control.wording import moment_of
from downtimer.demo.cloud import SimulatedCloud
from tests.integration.checks import assert_same_from_influxdb, unobserved
from tests.integration.command import (
    ADDRESS,
    Command,
    is_alive,
    static_targets,
    target,
    until_measured,
)
from tests.integration.influx_env import InfluxServer, options
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

REST_S = 2.0
PROBING = ("api", "icmp", "discovery")


def processes(command: Command) -> dict[str, int | None]:
    """Return the process ids by class; None where there is none."""
    return {process["name"]: process["pid"] for process in command.status()["processes"]}


def probing(command: Command) -> list[str]:
    """Return the classes of processes that run, of those that may send something."""
    return [name for name, pid in processes(command).items() if name in PROBING and pid is not None]


def test_nothing_is_sent_and_nothing_is_down_while_it_rests(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.ok("start")
    until_measured(command)
    pids = processes(command)
    assert command.ok("pause").startswith("paused since ")
    assert not any(is_alive(pid) for name, pid in pids.items() if name in PROBING and pid is not None)
    assert probing(command) == []
    status = command.status()
    assert status["paused"] is not None
    assert (status["down"], status["targets"]["address"]["probed"]) == ([], 2)
    assert "nothing is probed until `downtimer resume`" in command.ok("status")
    since = moment_of(status["paused"])
    assert command.ok("pause").startswith(f"paused already since {since}; ")
    assert f"Paused since {since}: " in command.ok("status")

    lonely_cloud.drop(ADDRESS)
    time.sleep(REST_S)
    said = command.run("report", "--format", "json")
    assert (said.code, said.err) == (0, "")
    assert unobserved(target(json.loads(said.out), ADDRESS)) == {}
    lonely_cloud.restore(ADDRESS)

    command.ok("mark", "after a rest")
    assert command.ok("resume") == f"measuring again; it was paused since {since}\n"
    assert (command.status()["paused"], command.status()["marks"][0]["text"]) == (None, "after a rest")
    assert command.ok("resume") == "it was not paused, and goes on\n"
    until_measured(command)
    command.ok("stop")
    report = command.report()
    for one in report["targets"]:
        assert (one["down_s"], one["down_max_s"], one["episodes"]) == (0, 0, [])
        assert set(unobserved(one)) == {"paused"}
        assert REST_S < one["unobserved"]["paused"] < one["window_s"]
        assert one["observed_s"] + one["unobserved_s"] == pytest.approx(one["window_s"])
    assert [event["kind"] for event in report["events"]] == ["pause", "unpause"]


def test_what_is_under_way_is_resolved_and_an_outage_goes_on_behind_a_pause(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.ok("start")
    until_measured(command)
    lonely_cloud.drop(ADDRESS)
    try:
        wait_until(lambda: command.status()["down"], timeout_s=10, what="the address to be down")
        command.ok("pause")
        time.sleep(REST_S)
        command.ok("resume")
        wait_until(lambda: command.status()["down"], timeout_s=10, what="the address to be still down")
    finally:
        lonely_cloud.restore(ADDRESS)
    until_measured(command)
    command.ok("stop")
    one = target(command.report(), ADDRESS)
    (episode,) = one["episodes"]
    (outage,) = episode["outages"]
    assert set(outage["causes"]) == {"no-reply"}
    assert (episode["ongoing"], episode["censored"]) == (False, [])
    assert set(unobserved(one)) == {"paused"}
    assert one["unobserved"]["paused"] > REST_S
    assert one["down_max_s"] - one["down_s"] > REST_S
    assert one["down_s"] < one["down_max_s"] - one["unobserved"]["paused"] + 0.5
    assert one["down_min_s"] <= one["down_s"]
    log = command.log()
    told = [
        "measuring 1 service",
        f"{ADDRESS}, icmp: is down: no-reply",
        "pause: probing rests",
        "has ended\n",
    ]
    assert [log.find(words) for words in told] == sorted(log.find(words) for words in told if words in log)
    assert f"{ADDRESS}, icmp: is up again, after " in log


@pytest.mark.parametrize("victim", ["writer", "supervisor"])
def test_a_pause_outlives_the_processes(command: Command, victim: str) -> None:
    command.ok("start", "--label", "night")
    until_measured(command)
    command.ok("mark", "before")
    command.ok("pause")
    since = command.status()["paused"]
    if victim == "supervisor":
        os.kill(command.supervisor(), signal.SIGKILL)
        wait_until(lambda: command.run("status").code == 3, timeout_s=10, what="the daemon to be dead")
        started = command.ok("start")
        assert "was cut off while it was paused" in started
        assert "is still paused, with 1 service and 2 addresses; `downtimer resume` goes on" in started
    else:
        pid = processes(command)[victim]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: processes(command)[victim] not in (None, pid), timeout_s=20, what="a writer")
    assert probing(command) == []
    status = command.status()
    assert (status["paused"], status["run"]["label"]) == (since, "night")
    assert [mark["text"] for mark in status["marks"]] == ["before"]
    time.sleep(REST_S)
    command.ok("resume")
    until_measured(command)
    command.ok("stop")
    for one in command.report()["targets"]:
        assert set(unobserved(one)) == {"paused"}
        assert one["unobserved"]["paused"] > REST_S


def test_a_run_may_end_while_it_is_paused_and_be_called_otherwise(command: Command) -> None:
    command.ok("start", "--label", "night")
    until_measured(command)
    command.ok("pause")
    said = command.run("stop", "--label", "night, cut short")
    assert (said.code, said.err) == (0, "")
    assert "night, cut short" in said.out
    (run,) = json.loads(command.ok("runs", "--json"))
    assert run["label"] == "night, cut short"
    assert all(unobserved(one) == {} for one in command.report()["targets"])


def test_influxdb_knows_of_pauses_marks_and_the_last_label(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    prefix = lonely_cloud.network.in_vantage([])
    with InfluxServer(command.directory / "influxdb", prefix=prefix) as influxdb:
        command.write(static_targets(lonely_cloud) | {"db": options(influxdb)})
        command.ok("start", "--label", "night")
        until_measured(command)
        command.ok("pause")
        command.ok("mark", "rested")
        command.ok("resume")
        until_measured(command)
        command.ok("stop", "--label", "night, cut short")
        report = assert_same_from_influxdb(command)
        (series,) = influxdb.query('SELECT "label" FROM "runs"')
    assert report["run"]["label"] == series["values"][0][1] == "night, cut short"
    assert all("paused" in one["unobserved"] for one in report["targets"])
    assert [mark["text"] for mark in report["marks"]] == ["rested"]


def test_without_a_run_there_is_nothing_to_mark_or_to_pause(command: Command) -> None:
    for words in (["mark", "x"], ["pause"], ["resume"]):
        said = command.run(*words)
        assert (said.code, said.out, said.err.count("\n")) == (3, "", 1)
        assert said.err.startswith("downtimer: no daemon is running (")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" ", "TEXT: is empty"),
        ("x" * 1_001, "TEXT: longer than 1000 characters"),
        (os.fsdecode(b"\xff"), "TEXT: not UTF-8 text"),
    ],
)
def test_what_is_no_mark_is_one_line(command: Command, text: str, problem: str) -> None:
    said = command.run("mark", text)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(f"downtimer: {problem}")


def test_a_hostile_mark_is_safely_shown(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    assert command.ok("mark", "--", "--new\x1b[2J", "\nService x was down").startswith("marked at 20")
    assert "--new\\x1b[2J \\x0aService x was down\n" in command.ok("status")
    stopped = command.ok("stop")
    assert "\x1b" not in stopped
    assert command.report()["marks"][0]["text"] == "--new\x1b[2J \nService x was down"
