"""The main job from end to end: a cloud is upgraded and measured, the report is held against the truth.

Real are Keystone, InfluxDB, the daemon, which is run by its command, and the echoes; simulated are the other
services. Each test shows what it found.
"""

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration import traces
from tests.integration.checks import (
    PATIENCE_S,
    assert_all_points,
    assert_lines,
    assert_quiet,
    assert_same_from_influxdb,
    assert_truth,
    count_points,
    lines_of,
    show,
    targets_of,
)
from tests.integration.command import Command, Said
from tests.integration.influx_env import InfluxServer
from tests.integration.keystone_install import KeystoneInstallation
from tests.integration.real_cloud import PASSWORD, SECRET, USER, RealCloud
from tests.waiting import wait_until

NOVA = "nova"
ADDRESS = "172.16.166.157"
OUTAGE_S = 10.0
MEASURING_S = 45.0
ENDED_S = 3.0
START_MAX_S = 30.0  # even against a Keystone that never answers
TOKEN = "gAAAAA"  # with which all of Keystone's begin


@pytest.fixture(scope="module")
def cloud(
    keystone_venv: KeystoneInstallation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealCloud]:
    """One cloud for all: each test leaves it as it was."""
    with RealCloud.running(keystone_venv, tmp_path_factory.mktemp("cloud") / "keystone") as running:
        yield running


@contextlib.contextmanager
def installed(
    cloud: RealCloud, directory: Path, *, db: InfluxServer | None = None, api: str = "", **options: str
) -> Iterator[Command]:
    """Configure downtimer as a user does who has sourced an openrc; nothing of it runs in the end.

    Args:
        cloud: What it measures.
        directory: For everything of its own; is made.
        db: Its InfluxDB.
        api: Of ``[api]``, what is to be off.
        options: Of ``[global]``, instead of what belongs there.
    """
    directory.mkdir()
    account = {"keystone_endpoint": cloud.keystone.url, "user": USER, "password": PASSWORD}
    sections = {"global": account | options, "api": dict.fromkeys(api.split(), "no")}
    if db is not None:
        sections["db"] = {"host": db.host, "port": str(db.port)}
    openrc = ["env", f"OS_AUTH_URL={cloud.keystone.url}", f"OS_USERNAME={USER}", f"OS_PASSWORD={PASSWORD}"]
    prefix = [*cloud.simulated.network.in_vantage([]), *openrc]
    command = Command(directory, prefix=prefix, sections=sections)
    try:
        yield command
        command.end()
        until_gone(command)
    finally:
        traces.kill_all(command)


def influx_beside(cloud: RealCloud, directory: Path) -> InfluxServer:
    """Prepare an InfluxDB in the vantage, on its loopback; it is not started."""
    return InfluxServer(directory, prefix=cloud.simulated.network.in_vantage([]))


def until_measured(command: Command, cloud: RealCloud) -> None:
    """Wait until everything has been seen up."""
    wanted = {"service": len(cloud.services), "address": len(cloud.addresses)}

    def are_up() -> bool:
        counts = command.status()["targets"]
        return all(counts[kind]["up"] >= count for kind, count in wanted.items())

    wait_until(are_up, timeout_s=MEASURING_S, what="everything to be up")


def until_down(command: Command, *names: str) -> None:
    """Wait until exactly these are down."""
    wait_until(
        lambda: {down["name"] for down in command.status()["down"]} == set(names),
        timeout_s=MEASURING_S,
        what=f"{' and '.join(names) or 'nothing'} to be down",
    )


def until_gone(command: Command) -> None:
    """Wait until no process is left."""
    wait_until(lambda: not traces.processes(command), timeout_s=ENDED_S, what="all processes to end")


@contextlib.contextmanager
def faults(cloud: RealCloud) -> Iterator[None]:
    """Kill nova and drop an address for ten seconds, however long the work within takes."""
    nova, over = cloud.simulated.service(NOVA), threading.Event()

    def restore() -> None:
        over.wait(OUTAGE_S)
        nova.start()
        cloud.simulated.restore(ADDRESS)

    with ThreadPoolExecutor(max_workers=1) as restorer:
        nova.kill()
        cloud.simulated.drop(ADDRESS)
        restored = restorer.submit(restore)
        try:
            yield
        except BaseException:
            over.set()
            raise
        finally:
            restored.result()


# --- 1: an upgrade -------------------------------------------------------------------------------


def test_a_killed_service_and_a_dropped_address_are_reported_within_a_second(
    cloud: RealCloud, tmp_path: Path
) -> None:
    with (
        influx_beside(cloud, tmp_path / "influxdb") as influxdb,
        installed(cloud, tmp_path / "downtimer", db=influxdb) as command,
    ):
        started = command.ok("start", "--label", "nova 28 to 29")
        assert f"measuring {len(cloud.services)} services and {len(cloud.addresses)} addresses" in started
        until_measured(command, cloud)
        with faults(cloud):
            until_down(command, NOVA, ADDRESS)
            assert_ongoing(command, cloud)
        until_down(command)
        assert_processes(command)
        assert_no_secret(command, said(command, ["status"], ["status", "--json"], ["report"], ["runs"]))
        stopped = command.ok("stop")
        until_gone(command)

        show(stopped)
        assert stopped == command.report_file.read_text()
        assert_lines(cloud, stopped, NOVA, ADDRESS)
        report = command.report()
        targets = targets_of(report)
        assert_truth(cloud, targets, NOVA, ADDRESS)
        causes = targets[NOVA]["episodes"][0]["causes"]
        assert causes["refused"] >= sum(causes.values()) - 2  # others were under way when it was killed
        assert set(targets[ADDRESS]["episodes"][0]["causes"]) == {"no-reply"}
        assert {targets[name]["project"] for name in cloud.addresses} == {"admin", "demo", "shop"}

        assert_all_points(influxdb, report)
        assert_same_from_influxdb(command)
        assert count_points(influxdb, report["run"]["id"], "outages", 'count("duration_s")', "name") == {
            NOVA: 2,  # one for each check
            ADDRESS: 1,
        }
        stored = json.dumps(influxdb.query("SELECT * FROM /.*/")).encode()
        places = {"InfluxDB": stored} | traces.shown_by_files(tmp_path / "influxdb")
        assert_no_secret(command, places | said(command, ["report"], ["report", "--format", "json"]))


def assert_ongoing(command: Command, cloud: RealCloud) -> None:
    """Check the report while the outage lasts, in both formats."""
    report, text = command.report(), command.ok("report")
    lasting = {fault.target for fault in cloud.simulated.truth.lasting}
    assert lasting == {NOVA, ADDRESS}, "the commands took so long that the outage was over"
    targets = targets_of(report)
    for name in (NOVA, ADDRESS):
        (episode,) = targets[name]["episodes"]
        assert (episode["ongoing"], episode["end"]) == (True, None), episode
        assert episode["outages"][-1]["end"] is None, episode
        assert targets[name]["down_s"] > 0, episode
    assert_quiet(targets, NOVA, ADDRESS)
    assert command.report_file.read_text() == text
    rows = [line for line in text.splitlines() if " – ongoing  " in line]
    show("while it lasts:", *rows)
    assert len(rows) == 2
    assert text.count("not ended when last seen at") == 2
    assert list(lines_of(text)) == [*cloud.services, *cloud.addresses]


def assert_processes(command: Command) -> None:
    """Check that the processes are those which status shows, and named."""
    found = traces.processes(command)
    show(*traces.titles(found))
    assert found == {*command.pids().values(), command.supervisor()}
    assert all(title.startswith("downtimer: ") for title in traces.titles(found))


def said(command: Command, *commands: list[str]) -> dict[str, bytes]:
    """Run commands that must succeed; return what each printed."""
    return {" ".join(words): command.ok(*words).encode() for words in commands}


def assert_no_secret(command: Command, also: Mapping[str, bytes]) -> None:
    """Check that no token is to be seen, and the password in the configuration alone."""
    places = traces.shown_by_files(command.directory) | dict(also)
    places |= traces.shown_by_processes(traces.processes(command))
    show(f"  looked for secrets in {len(places)} places, {sum(map(len, places.values()))} bytes")
    assert traces.showing(places, SECRET) == [str(command.config)]
    assert traces.showing(places, TOKEN) == []


# --- 2: Keystone itself --------------------------------------------------------------------------


def test_a_killed_keystone_is_down_itself_and_nothing_else_is(cloud: RealCloud, tmp_path: Path) -> None:
    with installed(cloud, tmp_path / "downtimer") as command:
        command.ok("start")
        until_measured(command, cloud)
        cloud.kill_keystone()
        try:
            until_down(command, "keystone")
            threading.Event().wait(OUTAGE_S)
        finally:
            cloud.start_keystone(PATIENCE_S["service"])
        until_down(command)
        stopped = command.ok("stop")
        show(stopped)
        assert_lines(cloud, stopped, "keystone")
        report = command.report()
        assert_truth(cloud, targets_of(report), "keystone")
        assert any("the last list stands" in event["text"] for event in report["events"])


# --- 3: InfluxDB comes and goes ------------------------------------------------------------------


def test_influxdb_away_changes_no_figure_and_gets_every_point_in_the_end(
    cloud: RealCloud, tmp_path: Path
) -> None:
    """Four daemons see one outage: one has no InfluxDB, the others' is away at a time of its own.

    They make no calls: for four, and beside three InfluxDB that start, a Keystone of two cores is too slow.
    """
    servers = {
        name: influx_beside(cloud, tmp_path / f"influx-{name}") for name in ("middle", "late", "after")
    }
    with contextlib.ExitStack() as stack:
        commands = {
            name: stack.enter_context(
                installed(cloud, tmp_path / name, db=servers.get(name), api="works login")
            )
            for name in ("none", *servers)
        }
        for server in servers.values():
            stack.callback(server.stop)
        servers["middle"].start()
        for command in commands.values():
            command.ok("start")
        for command in commands.values():
            until_measured(command, cloud)
        until_shipped(servers["middle"], commands["middle"])

        servers["middle"].kill()
        with faults(cloud):
            for command in commands.values():
                until_down(command, NOVA, ADDRESS)
            for name in servers:
                show(f"{name}: {until_failing(commands[name])}")
        servers["middle"].start()
        servers["late"].start()
        for command in commands.values():
            until_down(command)
        stopped = stop_all(commands)
        assert [said.err for name, said in stopped.items() if name != "after"] == ["", "", ""]
        run = commands["after"].report()["run"]["id"]
        assert f"points are not in InfluxDB yet; `downtimer ship {run}`, or the next" in stopped["after"].err

        servers["after"].start()
        shipped = commands["after"].run("ship")
        assert (shipped.code, shipped.out) == (0, "")
        assert re.fullmatch(rf"downtimer: run {run}: [1-9]\d* points delivered\n", shipped.err)
        for name, command in commands.items():
            show(name, stopped[name].out)
            assert_lines(cloud, stopped[name].out, NOVA, ADDRESS)
            assert_truth(cloud, targets_of(command.report()), NOVA, ADDRESS)
            if name in servers:
                assert_all_points(servers[name], assert_same_from_influxdb(command))


def until_shipped(influxdb: InfluxServer, command: Command) -> None:
    """Wait until the first points are in InfluxDB."""
    run = command.status()["run"]["id"]

    def are_there() -> bool:
        try:
            return bool(count_points(influxdb, run, "service_response", 'count("up")'))
        except RuntimeError:  # the database is still to be made
            return False

    wait_until(are_there, timeout_s=MEASURING_S, what="the first points")


def until_failing(command: Command) -> dict[str, Any]:
    """Wait until status says that InfluxDB fails; return what it says."""

    def failing() -> dict[str, Any]:
        state: dict[str, Any] = command.status()["influxdb"]
        return state if state["state"] == "failing" else {}

    state = wait_until(failing, timeout_s=MEASURING_S, what="the failure to be noticed")
    assert state["backlog"] > 0
    assert "\n" not in state["error"]
    return state


def stop_all(commands: Mapping[str, Command]) -> dict[str, Said]:
    """Stop all at the same time; return what each said."""

    def stop(name: str) -> Said:
        begun = time.monotonic()
        said = commands[name].run("stop")
        show(f"{name}: stopped in {time.monotonic() - begun:.1f} s, {said.err.strip() or 'nothing left'}")
        assert said.code == 0, said
        return said

    with ThreadPoolExecutor(max_workers=len(commands)) as pool:
        return dict(zip(commands, pool.map(stop, commands), strict=True))


# --- 4: what cannot start ------------------------------------------------------------------------


@contextlib.contextmanager
def frozen(cloud: RealCloud) -> Iterator[str]:
    """Freeze a service, so that its port accepts and never answers; return its URL."""
    service = cloud.simulated.service("glance")
    service.stop_signal()
    try:
        yield service.url
    finally:
        service.continue_signal()


def fails(command: Command, *, code: int) -> str:
    """Start in vain: one line, nothing left; return the line."""
    begun = time.monotonic()
    answer = command.run("start")
    took_s = time.monotonic() - begun
    left = traces.processes(command)
    show(f"  {answer.code} after {took_s:.1f} s: {answer.err.strip()}")
    assert not left, traces.titles(left)
    assert answer.code == code
    assert answer.err.startswith("downtimer: ")
    assert answer.err.count("\n") == 1
    assert SECRET not in answer.err + answer.out
    assert took_s < START_MAX_S
    assert not list(command.state_dir.glob("runs/*"))
    assert not (command.runtime_dir / "control.sock").exists()
    return answer.err


@pytest.mark.parametrize("password", ["wrong", f"%(wrong)s%{SECRET}"])
def test_a_wrong_password_is_one_line(cloud: RealCloud, tmp_path: Path, password: str) -> None:
    with installed(cloud, tmp_path / "downtimer", password=password) as command:
        line = fails(command, code=1)
        assert f"refused user '{USER}' of domain 'default': wrong user or password" in line
        assert json.loads(command.ok("runs", "--json")) == []


def test_a_project_that_does_not_exist_is_one_line(cloud: RealCloud, tmp_path: Path) -> None:
    with installed(cloud, tmp_path / "downtimer", project_name="nowhere") as command:
        assert "project 'nowhere'" in fails(command, code=1)


def test_a_keystone_that_refuses_is_one_line(cloud: RealCloud, tmp_path: Path) -> None:
    url = f"http://{cloud.keystone.host}:5999/v3"
    with installed(cloud, tmp_path / "downtimer", keystone_endpoint=url) as command:
        assert f"Keystone at {url} does not answer (connection refused)" in fails(command, code=1)


def test_a_keystone_that_never_answers_is_one_line(cloud: RealCloud, tmp_path: Path) -> None:
    with (
        frozen(cloud) as url,
        installed(cloud, tmp_path / "downtimer", keystone_endpoint=url) as command,
    ):
        assert f"Keystone at {url} does not answer" in fails(command, code=1)


@pytest.mark.parametrize("path", ["", "/v3"])
def test_another_service_is_no_keystone(cloud: RealCloud, tmp_path: Path, path: str) -> None:
    url = cloud.simulated.service("heat").url + path
    with installed(cloud, tmp_path / "downtimer", keystone_endpoint=url) as command:
        assert f"there is no Keystone at {url}" in fails(command, code=1)


def misspelt(config: Path) -> str:
    """Misspell an option; return what is to be said."""
    config.write_text(config.read_text().replace("password=", "pasword="))
    return f"{config}: [global] pasword: unknown option; did you mean password?"


def wrong_section(config: Path) -> str:
    """Misspell a section; return what is to be said."""
    config.write_text(config.read_text() + "[databse]\nhost=localhost\n")
    return f"{config}: [databse]: unknown section"


def wrong_type(config: Path) -> str:
    """Give a word for a number; return what is to be said."""
    config.write_text(config.read_text() + "[db]\nport=eighty\n")
    return f"{config}: [db] port: 'eighty' is no whole number"


def missing(config: Path) -> str:
    """Remove it; return what is to be said."""
    config.unlink()
    return f"{config}: cannot read the configuration: No such file or directory"


def a_folder(config: Path) -> str:
    """Put a folder in its place; return what is to be said."""
    config.unlink()
    config.mkdir()
    return f"{config}: cannot read the configuration: Is a directory"


def no_text(config: Path) -> str:
    """Put bytes in it that are no text; return what is to be said."""
    config.write_bytes(b"[global]\nuser=\xff\xfe\n")
    return f"{config}: not UTF-8 text (byte 14)"


@pytest.mark.parametrize("spoil", [misspelt, wrong_section, wrong_type, missing, a_folder, no_text])
def test_a_configuration_that_is_wrong_is_one_line(
    cloud: RealCloud, tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    with installed(cloud, tmp_path / "downtimer") as command:
        problem = spoil(command.config)
        assert problem in fails(command, code=2)
        assert not command.log_file.exists()


def test_a_socket_path_too_long_is_one_line(cloud: RealCloud, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    with installed(cloud, tmp_path / "downtimer", runtime_dir=str(deep)) as command:
        assert "[global] runtime_dir: " in fails(command, code=2)
