"""The daemon's life: start, stop, death and return, each with real processes and real signals."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from downtimer.demo.cloud import SimulatedCloud
from downtimer.workers.probing import TROUBLE_CHECKPOINT_S
from tests.integration.checks import unobserved
from tests.integration.command import (
    ADDRESS,
    Command,
    is_alive,
    processes_of,
    static_targets,
    target,
    until_measured,
)
from tests.integration.influx_env import InfluxServer
from tests.waiting import wait_until


def test_start_measures_and_stop_prints_the_report_that_it_wrote(command: Command) -> None:
    started = command.ok("start", "--label", "night one")
    assert "measuring 1 service and 2 addresses as run " in started
    until_measured(command)
    said = command.run("stop")
    assert (said.code, said.err) == (0, "")
    assert said.out == command.report_file.read_text()
    lines = said.out.splitlines()
    assert lines[0] == "Service glance was down approximately 0 seconds which is 0.0% of total uptime"
    assert (
        lines[1]
        == f"Address {ADDRESS} was unreachable approximately 0.0 second which is 0.0% of total uptime"
    )
    assert "night one" in said.out
    assert not command.runtime_dir.joinpath("control.sock").exists()


def test_a_second_start_fails_and_changes_nothing(command: Command) -> None:
    command.ok("start")
    before = command.pids()
    said = command.run("start")
    assert said.code == 1
    assert said.err.startswith(f"downtimer: a daemon runs already (pid {command.supervisor()})")
    assert said.err.count("\n") == 1
    assert command.pids() == before


@pytest.mark.parametrize("word", ["stop", "status"])
def test_nothing_runs_is_exit_code_three_and_one_line(command: Command, word: str) -> None:
    said = command.run(word)
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("downtimer: no daemon is running (nobody listens on ")
    assert "); `downtimer start` begins; another configuration: --config, or DOWNTIMER_CONFIG\n" in said.err
    assert said.err.count("\n") == 1


def test_report_without_any_run_is_one_line(command: Command) -> None:
    said = command.run("report")
    assert said.code == 1
    assert "`downtimer start` begins one" in said.err


def test_status_shows_run_processes_targets_journal_and_influxdb(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    status = command.status()
    assert {process["name"] for process in status["processes"]} == {"writer", "discovery", "api", "icmp"}
    assert all(process["state"] == "running" for process in status["processes"])
    assert all(process["beat_age_s"] < 3 for process in status["processes"])
    assert status["targets"]["address"]["probed"] == 2
    assert status["influxdb"]["state"] == "off"
    assert status["uptime_s"] > 0
    text = command.ok("status")
    assert "Nothing is down." in text
    assert "influxdb     off" in text


def test_what_has_no_effect_in_the_configuration_is_told_by_every_start_and_the_status(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.write(static_targets(lonely_cloud) | {"check nvoa": {"works": "no"}})
    line = "[check nvoa]: the catalog has no service of that name or type"
    started = command.run("start")
    assert (started.code, started.err) == (0, f"downtimer: {command.config}: {line}\n")
    assert started.out.startswith("measuring 1 service and 2 addresses as run ")
    assert command.status()["complaints"] == [line]
    assert f"About the configuration:\n  {line}\n" in command.ok("status")
    command.ok("stop", "--keep")
    started = command.run("start")
    assert (started.code, started.err) == (0, f"downtimer: {command.config}: {line}\n")
    assert started.out.startswith("measuring 1 service and 2 addresses as run ")


def test_what_is_down_is_in_the_status_with_its_beginning(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.ok("start")
    until_measured(command)
    lonely_cloud.drop(ADDRESS)
    try:
        (down,) = wait_until(lambda: command.status()["down"], timeout_s=5, what="the address to be down")
    finally:
        lonely_cloud.restore(ADDRESS)
    assert (down["name"], down["check"], down["cause"]) == (ADDRESS, "icmp", "no-reply")
    wait_until(lambda: not command.status()["down"], timeout_s=5, what="the address to be back")


@pytest.mark.parametrize("name", ["api", "icmp", "writer", "discovery"])
def test_a_killed_child_is_back_within_a_second_and_its_gap_is_unobserved(
    command: Command, name: str
) -> None:
    command.ok("start")
    until_measured(command)
    pid = command.pids()[name]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_running(command, name, other_than=pid), timeout_s=5, what=f"another {name}")
    until_measured(command)
    command.ok("stop")
    report = command.report()
    for one in report["targets"]:
        assert one["down_s"] == 0
        probed_by = "api" if one["kind"] == "service" else "icmp"
        if name == probed_by:
            assert set(unobserved(one)) == {"restart"}
            assert 0 < one["unobserved"]["restart"] < 3
        else:
            assert unobserved(one) == {}
    (event,) = [one for one in report["events"] if one["kind"] == "restart"]
    assert event["text"] == f"the {name} process was killed by signal 9; another is started"


def is_running(command: Command, name: str, *, other_than: int) -> bool:
    """Tell whether a child of that class runs, and is another."""
    (process,) = [one for one in command.status()["processes"] if one["name"] == name]
    return bool(process["state"] == "running" and process["pid"] != other_than)


def test_a_silent_child_is_killed_and_replaced(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    pid = command.pids()["icmp"]
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_running(command, "icmp", other_than=pid), timeout_s=12, what="another icmp worker")
    until_measured(command)
    command.ok("stop")
    report = command.report()
    assert target(report, ADDRESS)["down_s"] == 0
    assert 4 < target(report, ADDRESS)["unobserved_s"] < 10
    assert unobserved(target(report, "glance")) == {}


def test_children_die_with_the_supervisor_and_the_next_start_goes_on_with_the_run(command: Command) -> None:
    command.ok("start", "--label", "night")
    until_measured(command)
    run = command.status()["run"]["id"]
    pids = list(command.pids().values())
    os.kill(command.supervisor(), signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), timeout_s=2, what="the children to end")
    assert command.run("status").code == 3
    assert json.loads(command.ok("runs", "--json"))[0]["state"] == "interrupted"

    hint = command.run("stop")
    assert (hint.code, f"run {run} was cut off: `downtimer start` goes on with it" in hint.err) == (3, True)
    assert f"run {run} was cut off" in command.ok("start")
    until_measured(command)
    assert command.status()["run"]["id"] == run
    command.ok("stop")
    report = command.report()
    assert report["run"]["id"] == run
    for one in report["targets"]:
        assert one["down_s"] == 0
        assert set(unobserved(one)) == {"restart"}
    assert [event["kind"] for event in report["events"]] == ["resume"]


def test_failures_are_counted_although_everything_was_killed_at_once(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    """But for those of the last seconds."""
    command.ok("start")
    until_measured(command)
    pids = list(command.pids().values())
    lonely_cloud.drop(ADDRESS)
    try:
        time.sleep(2 * TROUBLE_CHECKPOINT_S + 1)
        os.kill(command.supervisor(), signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, pids)), timeout_s=2, what="the children to end")
    finally:
        lonely_cloud.restore(ADDRESS)
    (episode,) = target(command.report(), ADDRESS)["episodes"]
    assert episode["failed"] > 4 * TROUBLE_CHECKPOINT_S


def test_another_label_begins_a_new_run_and_closes_the_one_that_was_cut_off(command: Command) -> None:
    command.ok("start", "--label", "night")
    until_measured(command)
    run = command.status()["run"]["id"]
    os.kill(command.supervisor(), signal.SIGKILL)
    wait_until(lambda: command.run("status").code == 3, timeout_s=5, what="the end")
    started = command.ok("start", "--label", "other")
    assert (
        f"run {run} was cut off and is not resumed: its label is 'night'; "
        f"`downtimer report --run {run}` shows it" in started
    )
    command.ok("stop")
    states = {one["id"]: one["state"] for one in json.loads(command.ok("runs", "--json"))}
    assert states.pop(run) == "interrupted"
    assert list(states.values()) == ["ended"]


def test_resume_asked_for_in_vain_is_one_line(command: Command) -> None:
    said = command.run("start", "--resume")
    assert said.code == 1
    assert said.err == "downtimer: there is no run that was cut off; start without --resume\n"
    assert not list(command.state_dir.glob("runs/*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_stop_with_report(command: Command, number: signal.Signals) -> None:
    command.ok("start")
    until_measured(command)
    supervisor, pids = command.supervisor(), list(command.pids().values())
    os.kill(supervisor, number)
    wait_until(lambda: not is_alive(supervisor), timeout_s=20, what="the daemon to end")
    assert not any(map(is_alive, pids))
    assert command.report_file.read_text().startswith("Service glance was down approximately 0 seconds")
    assert json.loads(command.ok("runs", "--json"))[0]["state"] == "ended"


def test_a_signal_while_it_starts_leaves_nothing_behind(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    # Nobody listens on this Keystone's address, and nobody refuses: the sign-in hangs.
    lonely_cloud.drop(ADDRESS)
    command.write({"global": {"keystone_endpoint": f"http://{ADDRESS}:5000", "password": "x"}})
    try:
        starting = subprocess.Popen(command.argv("start"), stderr=subprocess.PIPE, text=True)
        pid = wait_until(lambda: starting_supervisor(command), timeout_s=5, what="the supervisor")
        os.kill(pid, signal.SIGTERM)
        _, err = starting.communicate(timeout=10)
    finally:
        lonely_cloud.restore(ADDRESS)
    assert starting.returncode == 1
    assert err == "downtimer: stopped by a signal before it measured anything\n"
    assert processes_of(command) == []
    assert json.loads(command.ok("runs", "--json")) == []


def starting_supervisor(command: Command) -> int:
    """Return the pid of a supervisor that has begun a run; 0 if there is none yet."""
    return command.supervisor() if list(command.state_dir.glob("runs/*.sqlite")) else 0


def test_in_the_foreground_an_interrupt_prints_the_report(command: Command) -> None:
    process = subprocess.Popen(
        command.argv("start", "--foreground"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: command.run("status").code == 0, timeout_s=20, what="the daemon to measure")
        until_measured(command)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "measuring 1 service and 2 addresses" in out
    assert "Service glance was down approximately 0 seconds which is 0.0% of total uptime" in out
    assert "supervisor[" in err


def test_a_daemon_left_idle_begins_another_run(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    first, pids = command.status()["run"]["id"], list(command.pids().values())
    command.ok("stop", "--keep")
    assert not any(map(is_alive, pids))
    idle = command.run("status")
    assert (idle.code, "no run is under way" in idle.err) == (3, True)
    supervisor = command.supervisor()
    command.ok("start")
    assert command.supervisor() == supervisor
    until_measured(command)
    assert command.status()["run"]["id"] != first
    command.ok("stop")
    wait_until(lambda: not is_alive(supervisor), timeout_s=1, what="the end of the daemon")


def left_idle(command: Command) -> int:
    """Start, and stop with `--keep`; return the process id of the supervisor."""
    command.ok("start")
    until_measured(command)
    command.ok("stop", "--keep")
    return command.supervisor()


def test_a_start_in_an_idle_daemon_measures_what_the_file_says_now(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    supervisor = left_idle(command)
    sections = static_targets(lonely_cloud)
    sections["static"] = {"ips": ADDRESS}
    command.report_file = command.directory / "another report"
    command.write(sections | {"vantage": {"name": "there", "reference": "none"}})
    assert "measuring 0 services and 1 address as run" in command.ok("start")
    assert (command.status()["run"]["vantage"], command.supervisor()) == ("there", supervisor)
    assert command.ok("stop") == command.report_file.read_text()


def test_a_start_in_an_idle_daemon_may_name_another_file(command: Command) -> None:
    supervisor = left_idle(command)
    command.config = command.directory / "another.ini"
    command.write({"static": {"ips": ADDRESS}, "vantage": {"reference": "none"}})
    assert "measuring 0 services and 1 address as run" in command.ok("start")
    assert command.supervisor() == supervisor


def test_a_stop_ends_a_daemon_left_idle_and_says_so(command: Command) -> None:
    supervisor = left_idle(command)
    kept = command.run("stop", "--keep")
    assert (kept.code, kept.out) == (3, "")
    assert "no run is under way" in kept.err
    assert is_alive(supervisor)
    said = command.run("stop")
    assert (said.code, said.out) == (0, "")
    assert said.err == "downtimer: no run was under way; the daemon has ended\n"
    wait_until(lambda: not is_alive(supervisor), timeout_s=1, what="the end of the daemon")
    assert not command.runtime_dir.joinpath("control.sock").exists()


@pytest.mark.parametrize("option", ["state_dir", "log_file"])
def test_what_an_idle_daemon_keeps_for_life_is_refused_with_the_remedy(
    lonely_cloud: SimulatedCloud, command: Command, option: str
) -> None:
    supervisor = left_idle(command)
    kept = getattr(command, option)
    command.write(static_targets(lonely_cloud) | {"global": {option: str(command.directory / "else")}})
    said = command.run("start")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"downtimer: {command.config}: [global] {option}: the daemon that is idle has {kept}, and cannot "
        "change it; `downtimer stop` ends it, then start again\n"
    )
    command.write(static_targets(lonely_cloud))
    command.ok("start")
    assert command.supervisor() == supervisor


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"icmp": {"budget": "none"}}, "[icmp] budget: 'none' is no whole number from 1 to 1000000"),
        ({"targets": {"source": "eth9"}}, "[targets] source: cannot send from eth9: No such device"),
        ({"global": {"report_file": "/"}}, "[global] report_file: / is a folder"),
    ],
)
def test_a_file_that_is_wrong_leaves_the_daemon_idle(
    lonely_cloud: SimulatedCloud, command: Command, sections: dict[str, dict[str, str]], problem: str
) -> None:
    supervisor = left_idle(command)
    command.write(static_targets(lonely_cloud) | sections)
    said = command.run("start")
    assert (said.code, said.err) == (2, f"downtimer: {command.config}: {problem}\n")
    command.write(static_targets(lonely_cloud))
    command.ok("start")
    assert command.supervisor() == supervisor


def test_a_start_names_its_file_by_an_absolute_path(command: Command) -> None:
    left_idle(command)
    reply = ask(command, b'{"version": 1, "command": "start", "arguments": {"config": "conf.ini"}}\n')
    assert reply["error"]["code"] == "bad-request"
    assert ask(command, b'{"version": 1, "command": "start"}\n')["ok"] is True


def ask(command: Command, request: bytes) -> dict[str, Any]:
    """Return the answer to a request on the control socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(command.runtime_dir / "control.sock"))
        connection.sendall(request)
        reply: dict[str, Any] = json.loads(connection.makefile().readline())
    return reply


def test_a_report_is_answered_by_run_journal_and_through(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    reply = ask(command, b'{"version": 1, "command": "report"}\n')
    result = reply["result"]
    assert result["run"] == command.status()["run"]["id"]
    assert Path(result["journal"]).exists()
    assert 0 < result["through_ns"] < command.status()["uptime_s"] * 1e9
    assert result["silent"] == []


def test_a_mark_is_on_record(command: Command) -> None:
    command.ok("start")
    reply = ask(command, b'{"version": 1, "command": "mark", "arguments": {"text": "migrate"}}\n')
    assert reply["ok"] is True
    command.ok("stop")
    (mark,) = command.report()["marks"]
    assert mark["text"] == "migrate"


def test_runs_are_listed_reported_and_deleted_but_never_the_one_under_way(command: Command) -> None:
    for _ in range(2):
        command.ok("start", "--new")
        command.ok("stop")
    command.ok("start", "--new")
    first, second, third = json.loads(command.ok("runs", "--json"))
    assert [one["state"] for one in (first, second, third)] == ["ended", "ended", "running"]
    assert command.report("--run", first["id"])["run"]["id"] == first["id"]
    command.ok("runs", "--delete", first["id"])
    refused = command.run("runs", "--delete", third["id"])
    assert refused.code == 1
    assert "is under way" in refused.err
    assert [one["id"] for one in json.loads(command.ok("runs", "--json"))] == [second["id"], third["id"]]
    unknown = command.run("report", "--run", "x\n\x1b[31m")
    assert unknown.code == 1
    assert "`downtimer runs` lists them" in unknown.err


def test_old_runs_go_at_a_start(lonely_cloud: SimulatedCloud, command: Command) -> None:
    command.write(static_targets(lonely_cloud) | {"global": {"keep_runs": "2"}})
    for _ in range(3):
        command.ok("start", "--new")
        command.ok("stop")
    assert len(json.loads(command.ok("runs", "--json"))) == 2


def test_the_daemon_is_the_users_own(command: Command) -> None:
    command.ok("start")
    assert command.runtime_dir.stat().st_mode & 0o777 == 0o700
    assert (command.runtime_dir / "control.sock").stat().st_mode & 0o077 == 0
    command.ok("stop")
    assert command.report_file.stat().st_mode & 0o777 == 0o640
    assert command.log_file.stat().st_mode & 0o027 == 0


def test_a_source_that_this_host_lacks_is_refused(lonely_cloud: SimulatedCloud, command: Command) -> None:
    command.write(static_targets(lonely_cloud) | {"targets": {"source": "eth9"}})
    said = command.run("start")
    assert said.code == 2
    assert said.err.endswith("[targets] source: cannot send from eth9: No such device\n")
    assert json.loads(command.ok("runs", "--json")) == []


@pytest.mark.parametrize(
    ("name", "problem"), [("ca.pem", "No such file or directory"), ("conf.ini", "holds no certificates")]
)
def test_certificates_that_cannot_be_used_are_refused(
    lonely_cloud: SimulatedCloud, command: Command, name: str, problem: str
) -> None:
    path = command.directory / name
    command.write(static_targets(lonely_cloud) | {"global": {"cacert": str(path)}})
    said = command.run("start")
    assert said.code == 2
    assert said.err == f"downtimer: {command.config}: [global] cacert: {path}: {problem}\n"
    assert json.loads(command.ok("runs", "--json")) == []


def test_what_cannot_be_judged_is_not_called_up(lonely_cloud: SimulatedCloud, command: Command) -> None:
    command.ok("start")
    until_measured(command)
    cut_off_route(lonely_cloud, up=False)
    try:
        wait_until(
            lambda: (
                "3 targets have no verdict" in (text := command.ok("status"))
                and "Nothing is known to be down." in text
            ),
            timeout_s=10,
            what="unknown verdicts",
        )
    finally:
        cut_off_route(lonely_cloud, up=True)


def cut_off_route(lonely_cloud: SimulatedCloud, *, up: bool) -> None:
    """Take the vantage's only interface down, or up again with its route."""
    commands = "link set vantage0 up\nroute add default via 10.255.255.2" if up else "link set vantage0 down"
    subprocess.run(
        [*lonely_cloud.network.in_vantage([]), "ip", "-batch", "-"], input=commands, text=True, check=True
    )


def test_a_runtime_folder_that_is_a_link_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    command.runtime_dir.symlink_to(tmp_path / "elsewhere")
    said = command.run("start")
    assert said.code == 2
    assert "runtime_dir" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("is_link", [True, False])
def test_one_folder_for_state_and_sockets_is_refused(
    lonely_cloud: SimulatedCloud, command: Command, *, is_link: bool
) -> None:
    if is_link:
        command.runtime_dir.mkdir(mode=0o700)
        command.state_dir.symlink_to(command.runtime_dir)
    else:
        command.write(static_targets(lonely_cloud) | {"global": {"state_dir": str(command.runtime_dir)}})
    said = command.run("start")
    assert said.code == 2
    assert said.err == (
        f"downtimer: {command.config}: [global] runtime_dir: is the folder of state_dir; they must differ\n"
    )


def powerless(lonely_cloud: SimulatedCloud) -> list[str]:
    """Return the prefix of a command that may not send echoes."""
    # A new network namespace allows nobody a ping socket, and the bounding set denies raw ones.
    unshare = (
        ["unshare", "--net"]
        if lonely_cloud.network.mode == "root"
        else ["unshare", "--user", "--map-root-user", "--net"]
    )
    return [*unshare, "setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--"]


def test_without_addresses_no_permission_for_icmp_is_needed(
    lonely_cloud: SimulatedCloud, tmp_path: Path
) -> None:
    sections = {"static": {"urls": "web=http://127.0.0.1:1/"}, "vantage": {"reference": "127.0.0.1"}}
    command = Command(tmp_path, prefix=powerless(lonely_cloud), sections=sections)
    try:
        assert "measuring 1 service and 0 addresses" in command.ok("start")
    finally:
        command.end()


def test_no_permission_for_icmp_is_one_line_that_names_both_remedies(
    lonely_cloud: SimulatedCloud, tmp_path: Path
) -> None:
    command = Command(tmp_path, prefix=powerless(lonely_cloud), sections=static_targets(lonely_cloud))
    said = command.run("start")
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert "net.ipv4.ping_group_range" in said.err
    assert "CAP_NET_RAW" in said.err
    assert json.loads(command.ok("runs", "--json")) == []
    assert command.run("status").code == 3


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "no command given; there are run, start, "),
        (["begin"], "unknown command 'begin'; there are run, start, "),
        (["start", "--labl", "x"], "unknown option --labl; did you mean --label?"),
        (["start", "--new", "--resume"], "--new and --resume exclude each other"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_two(command: Command, words: list[str], problem: str) -> None:
    said = command.run(*words)
    assert said.code == 2
    assert problem in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["report", "--format", "pdf"], "--format pdf: there are text, json"),
        (["report", "--from", "disk"], "--from disk: there are journal, influxdb"),
        (["report", "--from", "influxdb"], "[db]: missing"),
        (["ship"], "[db]: missing"),
    ],
)
def test_a_wrong_choice_is_one_line_and_exit_code_two(
    command: Command, words: list[str], problem: str
) -> None:
    said = command.run(*words)
    assert said.code == 2
    assert problem in said.err
    assert said.err.count("\n") == 1


def influx_beside(lonely_cloud: SimulatedCloud, command: Command) -> InfluxServer:
    """Return an InfluxDB in the vantage, which is not started, and write that the points go there."""
    server = InfluxServer(command.directory / "influx", prefix=lonely_cloud.network.in_vantage([]))
    command.write(static_targets(lonely_cloud) | {"db": {"host": server.host, "port": str(server.port)}})
    return server


def test_stop_tells_that_influxdb_is_waited_for_and_ship_what_it_did(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    server = influx_beside(lonely_cloud, command)
    assert command.run("ship").err == "downtimer: nothing to ship\n"
    command.ok("start")
    until_measured(command)
    run = command.status()["run"]["id"]
    for words in (["ship"], ["ship", run]):
        said = command.run(*words)
        assert (said.code, said.out) == (0, "")
        assert said.err == f"downtimer: run {run} is under way: its daemon delivers its points itself\n"
    stopped = command.run("stop")
    assert stopped.code == 0
    waiting, left = stopped.err.splitlines()
    where = f"InfluxDB at {server.host}:{server.port}"
    assert waiting == f"downtimer: {where}: Connection refused; waiting for it, up to 30 s"
    assert f"`downtimer ship {run}`" in left
    with server:
        (entry,) = json.loads(command.ok("runs", "--json"))
        said = command.run("ship")
        assert (said.code, said.out) == (0, "")
        assert said.err == f"downtimer: run {run}: {entry['influxdb_backlog']} points delivered\n"
        assert command.run("ship").err == "downtimer: nothing to ship\n"


def test_a_child_that_can_start_no_more_says_why_and_the_others_go_on(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    authority = command.directory / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    command.write(static_targets(lonely_cloud) | {"global": {"cacert": str(authority)}})
    command.ok("start")
    until_measured(command)
    authority.unlink()
    os.kill(command.pids()["api"], signal.SIGKILL)

    def is_given_up() -> bool:
        (api,) = [one for one in command.status()["processes"] if one["name"] == "api"]
        return bool(api["state"] == "fatal")

    wait_until(is_given_up, timeout_s=10, what="the api process to be given up")
    reason = f"{command.config}: [global] cacert: {authority}: No such file or directory"
    (api,) = [one for one in command.status()["processes"] if one["name"] == "api"]
    assert (api["pid"], api["reason"]) == (None, reason)
    assert f"\n  {reason}\n" in command.ok("status")
    time.sleep(2)
    command.ok("stop")
    report = command.report()
    assert unobserved(target(report, ADDRESS)) == {}
    assert "cannot-start" in {event["kind"] for event in report["events"]}
