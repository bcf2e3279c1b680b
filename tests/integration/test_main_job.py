"""The main job from end to end: a cloud is upgraded, the daemon measures it, the report holds against the truth.

Everything is real: Keystone, InfluxDB, the daemon by its command, the echoes. Simulated are the other services.
Each test prints what it found (``pytest -s``).
"""

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration import traces
from tests.integration.command import Command, Said
from tests.integration.influx_env import InfluxServer
from tests.integration.keystone_install import KeystoneInstallation
from tests.integration.real_cloud import PASSWORD, SECRET, USER, RealCloud
from tests.waiting import wait_until

NOVA = "nova"
ADDRESS = "172.16.166.157"
OUTAGE_S = 10.0
PATIENCE_S = {"service": 2.0, "address": 1.0}  # the timeouts of probes
MEASURING_S = 20.0
ENDED_S = 3.0
START_MAX_S = 40.0  # even against a Keystone that never answers

SERVICE_LINE = re.compile(
    r"Service (?P<name>\S+) was down approximately (?P<seconds>\d+) seconds "
    r"which is (?P<percent>\d+\.\d)% of total uptime"
)
ADDRESS_LINE = re.compile(
    r"Address (?P<name>\S+) was unreachable approximately (?P<seconds>\d+\.\d) second "
    r"which is (?P<percent>\d+\.\d)% of total uptime"
)

Target = dict[str, Any]


@pytest.fixture(scope="module")
def cloud(
    keystone_venv: KeystoneInstallation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealCloud]:
    """One cloud for all: each test leaves it as it was."""
    with RealCloud.running(keystone_venv, tmp_path_factory.mktemp("cloud") / "keystone") as running:
        yield running


@contextlib.contextmanager
def installed(
    cloud: RealCloud, directory: Path, *, db: InfluxServer | None = None, **options: str
) -> Iterator[Command]:
    """Configure downtimer as a user does who has sourced an openrc; whatever runs is stopped in the end.

    Args:
        cloud: What it measures.
        directory: For everything of its own; is made.
        db: Its InfluxDB.
        options: Of ``[global]``, instead of what belongs there.
    """
    directory.mkdir()
    account = {"keystone_endpoint": cloud.keystone.url, "user": USER, "password": PASSWORD}
    sections = {"global": account | options}
    if db is not None:
        sections["db"] = {"host": db.host, "port": str(db.port)}
    openrc = ["env", f"OS_AUTH_URL={cloud.keystone.url}", f"OS_USERNAME={USER}", f"OS_PASSWORD={PASSWORD}"]
    prefix = [*cloud.simulated.network.in_vantage([]), *openrc]
    command = Command(directory, prefix=prefix, sections=sections)
    try:
        yield command
    finally:
        command.end()
    until_gone(command)


def influx_beside(cloud: RealCloud, directory: Path) -> InfluxServer:
    """Prepare an InfluxDB in the vantage, on its loopback; it is not started."""
    return InfluxServer(directory, prefix=cloud.simulated.network.in_vantage([]))


def until_measured(command: Command, cloud: RealCloud) -> None:
    """Wait until everything has been seen up."""
    wanted = {"service": len(cloud.services), "address": len(cloud.addresses)}

    def all_up() -> bool:
        counts = command.status()["targets"]
        return all(counts[kind]["up"] >= count for kind, count in wanted.items())

    wait_until(all_up, timeout_s=MEASURING_S, what="everything to be up")


def until_down(command: Command, *names: str) -> None:
    """Wait until exactly these are down."""
    wait_until(
        lambda: {down["name"] for down in command.status()["down"]} == set(names),
        timeout_s=MEASURING_S,
        what=f"{names or 'nothing'} to be down",
    )


def until_gone(command: Command) -> None:
    """Wait until no process is left."""
    wait_until(lambda: not traces.processes(command), timeout_s=ENDED_S, what="all processes to end")


def wait_for_s(seconds: float) -> None:
    """Let a fault or a quiet time last."""
    time.sleep(seconds)


@contextlib.contextmanager
def faults(cloud: RealCloud) -> Iterator[None]:
    """Kill nova and drop an address for ten seconds, however long the work within takes; leave when both are back."""
    nova, back = cloud.simulated.service(NOVA), threading.Event()

    def restore() -> None:
        back.wait(OUTAGE_S)
        nova.start()
        cloud.simulated.restore(ADDRESS)

    with ThreadPoolExecutor(max_workers=1) as restorer:
        nova.kill()
        cloud.simulated.drop(ADDRESS)
        restored = restorer.submit(restore)
        try:
            yield
        except BaseException:
            back.set()
            raise
        finally:
            restored.result()


def targets_of(report: Mapping[str, Any]) -> dict[str, Target]:
    """Return the targets by name; no name is there twice."""
    targets: list[Target] = report["targets"]
    found = {target["name"]: target for target in targets}
    assert len(found) == len(targets)
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """One of the lines that scripts parse."""

    seconds: str
    percent: str


def lines_of(text: str) -> dict[str, Line]:
    """Return the first lines of a report in text by target. Every one has exactly the form promised."""
    found = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        match = SERVICE_LINE.fullmatch(line) or ADDRESS_LINE.fullmatch(line)
        assert match is not None, line
        found[match["name"]] = Line(match["seconds"], match["percent"])
    return found


def assert_lines(cloud: RealCloud, text: str, **down_s: tuple[float, float]) -> None:
    """Check that all targets have a line, in order, and that those not named say nothing but zero.

    Args:
        cloud: With these targets.
        text: Of the report.
        down_s: Between how many seconds the others may say; dots of addresses are written ``_``.
    """
    lines = lines_of(text)
    assert list(lines) == [*cloud.services, *cloud.addresses]
    limits = {name.replace("_", "."): limit for name, limit in down_s.items()}
    for name, line in lines.items():
        if name in limits:
            low, high = limits[name]
            assert low <= float(line.seconds) <= high, (name, line)
            assert float(line.percent) > 0
        else:
            assert line == Line("0" if name in cloud.services else "0.0", "0.0"), name


def assert_truth(cloud: RealCloud, target: Target, *, fault: int) -> None:
    """Check that what was injected lies within the bounds, and the estimate within a second of it."""
    injected = cloud.simulated.truth.of(target["name"])[fault]
    low, high = injected.seconds(PATIENCE_S[target["kind"]])
    print(
        f"  {target['name']}: injected {low:.3f}..{high:.3f} s; reported {target['down_s']:.3f} s "
        f"({target['down_min_s']:.3f}..{target['down_max_s']:.3f})"
    )
    assert target["down_min_s"] <= high
    assert low <= target["down_max_s"]
    assert low - 1 <= target["down_s"] <= high + 1
    (episode,) = target["episodes"]
    assert episode["ongoing"] is False
    assert episode["censored"] == []


def assert_quiet(targets: Mapping[str, Target], *but: str) -> None:
    """Check that nothing else was down, slow or unobserved, and that all were observed all the time."""
    for name, target in targets.items():
        assert target["unobserved_s"] == 0, (name, target["unobserved"])
        assert target["observed_s"] == pytest.approx(target["window_s"])
        assert target["answered"] is True
        if name not in but:
            assert (target["down_s"], target["down_max_s"], target["episodes"]) == (0, 0, []), name


def count_points(influxdb: InfluxServer, run: str, measurement: str, aggregate: str, tag: str) -> dict[str, int]:
    """Return an aggregate of a measurement's points, of one run, for each value of a tag."""
    series = influxdb.query(
        f"SELECT {aggregate} FROM \"{measurement}\" WHERE \"run\" = '{run}' GROUP BY \"{tag}\""
    )
    return {one["tags"][tag]: int(one["values"][0][1]) for one in series}


def assert_all_points(influxdb: InfluxServer, report: Mapping[str, Any]) -> None:
    """Check that InfluxDB has every probe that the report counts, no more and no less, and the rest of the run."""
    run = report["run"]["id"]
    targets = targets_of(report)
    services = {name: target["probes"] for name, target in targets.items() if target["kind"] == "service"}
    addresses = {name: target["probes"] for name, target in targets.items() if target["kind"] == "address"}
    responses = count_points(influxdb, run, "service_response", 'count("up")', "service")
    pings = count_points(influxdb, run, "floating_ip_pings", 'sum("sent")', "address")
    print(f"  service_response: {sum(responses.values())} points; floating_ip_pings: {sum(pings.values())} echoes")
    assert responses == services
    assert {name: pings.get(name) for name in addresses} == addresses
    (run_point,) = influxdb.query(f"SELECT * FROM \"runs\" WHERE \"run\" = '{run}'")
    told = dict(zip(run_point["columns"], run_point["values"][0], strict=True))
    for measurement, field in {"spans": "last_sent", "marks": "text", "events": "text"}.items():
        counts = count_points(influxdb, run, measurement, f'count("{field}")', "run")
        assert sum(counts.values()) == told[measurement], measurement
    lost = count_points(influxdb, run, "floating_ip_pings", 'sum("lost")', "address")
    failed = {name: sum(one["failed"] for one in targets[name]["episodes"]) for name in addresses}
    assert {name: lost[name] for name in addresses} == failed


def assert_same_from_influxdb(command: Command) -> dict[str, Any]:
    """Check that the report from InfluxDB is the journal's, in both formats; return it."""
    for form in ("json", "text"):
        assert command.ok("report", "--from", "influxdb", "--format", form) == command.ok(
            "report", "--format", form
        )
    (run,) = json.loads(command.ok("runs", "--json"))
    assert (run["state"], run["influxdb_backlog"]) == ("ended", 0)
    return command.report("--from", "influxdb")


def assert_no_secret(command: Command, *, also: Mapping[str, bytes]) -> None:
    """Check that neither the password nor a token is to be seen anywhere but in the configuration."""
    pids = traces.processes(command)
    shown = traces.shown_by_processes(pids) | dict(also)
    shown |= traces.shown_by_files(command.directory, but=command.config)
    assert traces.showing(traces.shown_by_files(command.directory), SECRET) == [str(command.config)]
    for secret in (SECRET, "gAAAAA"):
        assert traces.showing(shown, secret) == []
    print(f"  no secret in {len(shown)} places, {sum(map(len, shown.values()))} bytes")


def said_bytes(command: Command, *commands: tuple[str, ...]) -> dict[str, bytes]:
    """Run commands that must succeed; return what each printed."""
    return {" ".join(words): command.ok(*words).encode() for words in commands}


# --- 1: an upgrade -------------------------------------------------------------------------------


def test_a_killed_service_and_a_dropped_address_are_reported_within_a_second(
    cloud: RealCloud, tmp_path: Path
) -> None:
    said = (("status",), ("status", "--json"), ("report",), ("report", "--format", "json"), ("runs",))
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
        assert_no_secret(command, also=said_bytes(command, *said))
        stopped = command.ok("stop")
        until_gone(command)

        assert stopped == command.report_file.read_text()
        print(stopped)
        assert_lines(cloud, stopped, **{NOVA: (9, 11), ADDRESS.replace(".", "_"): (9, 11)})
        report = command.report()
        targets = targets_of(report)
        assert_quiet(targets, NOVA, ADDRESS)
        assert_truth(cloud, targets[NOVA], fault=-1)
        assert_truth(cloud, targets[ADDRESS], fault=-1)
        assert set(targets[NOVA]["episodes"][0]["causes"]) == {"refused"}
        assert set(targets[ADDRESS]["episodes"][0]["causes"]) == {"no-reply"}
        assert {targets[name]["project"] for name in cloud.addresses} == {"admin", "demo", "shop"}

        assert_all_points(influxdb, report)
        assert_same_from_influxdb(command)
        everything = json.dumps(influxdb.query("SELECT * FROM /.*/")).encode()
        places = {"InfluxDB": everything} | traces.shown_by_files(tmp_path / "influxdb")
        assert_no_secret(command, also=places | said_bytes(command, *said[2:]))


def assert_ongoing(command: Command, cloud: RealCloud) -> None:
    """Check the report while the outage lasts, in both formats."""
    report, text = command.report(), command.ok("report")
    lasting = {fault.target for fault in cloud.simulated.truth.lasting}
    assert lasting == {NOVA, ADDRESS}, "the commands took so long that the outage was over"
    targets = targets_of(report)
    for name in (NOVA, ADDRESS):
        (episode,) = targets[name]["episodes"]
        print(f"  {name}: {episode}")
        assert episode["ongoing"] is True
        assert episode["end"] is None
        assert episode["outages"][-1]["end"] is None
        assert targets[name]["down_s"] > 0
    assert_quiet(targets, NOVA, ADDRESS)
    assert command.report_file.read_text() == text
    rows = [line for line in text.splitlines() if " – ongoing  " in line]
    print(*rows, sep="\n")
    assert len(rows) == 2
    assert text.count("not ended when last seen at") == 2
    assert list(lines_of(text)) == [*cloud.services, *cloud.addresses]


def assert_processes(command: Command) -> None:
    """Check that the processes are those which status shows, and named."""
    found = traces.processes(command)
    assert found == {*command.pids().values(), command.supervisor()}
    print(*traces.titles(found), sep="\n")
    assert all(title.startswith("downtimer: ") for title in traces.titles(found))


# --- 2: Keystone itself --------------------------------------------------------------------------


def test_a_killed_keystone_is_down_itself_and_nothing_else_is(cloud: RealCloud, tmp_path: Path) -> None:
    with installed(cloud, tmp_path / "downtimer") as command:
        command.ok("start")
        until_measured(command, cloud)
        cloud.kill_keystone()
        try:
            until_down(command, "keystone")
            assert command.report()["targets"]
            wait_for_s(OUTAGE_S)
        finally:
            cloud.start_keystone()
        until_down(command)
        stopped = command.ok("stop")
        print(stopped)
        injected = cloud.simulated.truth.of("keystone")[-1].seconds(PATIENCE_S["service"])
        assert_lines(cloud, stopped, keystone=(injected[0] - 1, injected[1] + 1))
        targets = targets_of(command.report())
        assert_truth(cloud, targets["keystone"], fault=-1)
        assert_quiet(targets, "keystone")


# --- 3: InfluxDB comes and goes ------------------------------------------------------------------


def test_influxdb_away_changes_no_figure_and_gets_every_point_in_the_end(
    cloud: RealCloud, tmp_path: Path
) -> None:
    """Four daemons see the same outage: one without InfluxDB, three with one that is away at another time."""
    away_in_the_middle = influx_beside(cloud, tmp_path / "influx-middle")
    late = influx_beside(cloud, tmp_path / "influx-late")
    absent = influx_beside(cloud, tmp_path / "influx-absent")
    with contextlib.ExitStack() as stack:
        for server in (away_in_the_middle, late, absent):
            stack.callback(server.stop)
        commands = {
            name: stack.enter_context(installed(cloud, tmp_path / name, db=db))
            for name, db in {"none": None, "middle": away_in_the_middle, "late": late, "absent": absent}.items()
        }
        away_in_the_middle.start()
        for command in commands.values():
            command.ok("start")
        for command in commands.values():
            until_measured(command, cloud)
        wait_until(
            lambda: influx_state(commands["middle"])["state"] == "ok"
            and count_all(away_in_the_middle, commands["middle"]) > 0,
            timeout_s=MEASURING_S,
            what="the first points in InfluxDB",
        )

        away_in_the_middle.kill()
        with faults(cloud):
            for command in commands.values():
                until_down(command, NOVA, ADDRESS)
            for name in ("middle", "late", "absent"):
                state = wait_until(
                    lambda name=name: (  # type: ignore[misc]
                        (found := influx_state(commands[name]))["state"] == "failing" and found
                    ),
                    timeout_s=MEASURING_S,
                    what=f"{name} to notice",
                )
                print(name, state)
                assert state["backlog"] > 0
                assert "\n" not in state["error"]
        away_in_the_middle.start()
        late.start()
        for command in commands.values():
            until_down(command)

        stopping = {name: begin_stop(command) for name, command in commands.items()}
        stopped = {name: said(process) for name, process in stopping.items()}
        for name, (answer, took_s) in stopped.items():
            print(f"{name}: stopped after {took_s:.1f} s {answer.err.strip()}")
            assert answer.code == 0, answer
        for name in ("none", "middle", "late"):
            assert stopped[name][0].err == ""
        left = stopped["absent"][0].err
        assert re.fullmatch(r"downtimer: \d+ points are not in InfluxDB yet; `downtimer ship \S+`, .*\n", left)

        absent.start()
        assert commands["absent"].ok("ship") == ""
        for name, command in commands.items():
            assert_same_measurement(cloud, command, stopped[name][0].out)
        for name, server in {"middle": away_in_the_middle, "late": late, "absent": absent}.items():
            print(name)
            assert_all_points(server, assert_same_from_influxdb(commands[name]))


def assert_same_measurement(cloud: RealCloud, command: Command, text: str) -> None:
    """Check what all four must say of the one outage."""
    assert_lines(cloud, text, **{NOVA: (9, 11), ADDRESS.replace(".", "_"): (9, 11)})
    targets = targets_of(command.report())
    assert_quiet(targets, NOVA, ADDRESS)
    assert_truth(cloud, targets[NOVA], fault=-1)
    assert_truth(cloud, targets[ADDRESS], fault=-1)


def influx_state(command: Command) -> dict[str, Any]:
    """Return what status says of InfluxDB."""
    state: dict[str, Any] = command.status()["influxdb"]
    return state


def count_all(influxdb: InfluxServer, command: Command) -> int:
    """Return how many answers of services are in InfluxDB."""
    run = command.status()["run"]["id"]
    with contextlib.suppress(RuntimeError):  # the database is not there yet
        return sum(count_points(influxdb, run, "service_response", 'count("up")', "service").values())
    return 0


def begin_stop(command: Command) -> tuple[subprocess.Popen[str], float]:
    """Begin to stop a daemon; return the command that waits for it, and since when."""
    process = subprocess.Popen(
        command.argv("stop"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return process, time.monotonic()


def said(stopping: tuple[subprocess.Popen[str], float]) -> tuple[Said, float]:
    """Wait for a command; return what it said and how long it took at most."""
    process, begun = stopping
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return Said(process.returncode, out, err), time.monotonic() - begun


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
    print(f"  {answer.code} after {took_s:.1f} s: {answer.err.strip()}")
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
    config.write_text(config.read_text().replace("password=", "pasword="))
    return f"{config}: [global] pasword: unknown option; did you mean password?"


def wrong_section(config: Path) -> str:
    config.write_text(config.read_text() + "[databse]\nhost=localhost\n")
    return f"{config}: [databse]: unknown section"


def wrong_type(config: Path) -> str:
    config.write_text(config.read_text() + "[db]\nport=eighty\n")
    return f"{config}: [db] port: 'eighty' is no whole number"


def missing(config: Path) -> str:
    config.unlink()
    return f"{config}: cannot read the configuration: No such file or directory"


def a_folder(config: Path) -> str:
    config.unlink()
    config.mkdir()
    return f"{config}: cannot read the configuration: Is a directory"


def no_text(config: Path) -> str:
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

