"""The daemon as a service: what systemd hears, what SIGHUP does, and that one capability is enough."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from downtimer.demo.cloud import SimulatedCloud
from tests.integration.checks import unobserved
from tests.integration.command import ADDRESS, Command, is_alive, static_targets, target, until_measured
from tests.integration.influx_env import InfluxServer
from tests.processes import require_program
from tests.waiting import wait_until

OTHER: Final = "172.16.166.152"
UNIT: Final = Path(__file__).parents[2] / "etc/downtimer.service"
EXPOSURE_MOST: Final = 25  # tenths, of which systemd-analyze gives 100 to a service without any restriction
WATCHDOG_S: Final = 1.0
PATIENCE_S: Final = 30.0


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket such as systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(PATIENCE_S)
        yield made


def until_told(systemd: socket.socket, word: str) -> list[str]:
    """Return the lines of the first datagram that begins with that word."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        lines = systemd.recv(4096).decode().split("\n")
        if lines[0] == word:
            return lines
    raise TimeoutError(f"systemd was not told {word}")


def has_more(systemd: socket.socket, *, take: bool = False) -> bool:
    """Tell whether there is a datagram that was not read yet, and read it if wanted."""
    found = bool(select.select([systemd], [], [], 0)[0])
    if found and take:
        systemd.recv(4096)
    return found


def hang_up(command: Command) -> None:
    """Send SIGHUP, and wait until all has been done that it asks for."""
    before = command.log().count("SIGHUP: ")
    os.kill(command.supervisor(), signal.SIGHUP)
    wait_until(lambda: command.log().count("SIGHUP: ") > before, timeout_s=PATIENCE_S, what="the reload")


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment of a process."""
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_systemd_hears_of_every_turn_and_feeds_on_the_supervisors_loop(
    command: Command, systemd: socket.socket
) -> None:
    around = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    process = subprocess.Popen(
        command.argv("start", "--foreground"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | around,
        text=True,
    )
    try:
        _, status = until_told(systemd, "READY=1")
        assert status.startswith("STATUS=measuring 1 service and 2 addresses as run ")
        supervisor = command.supervisor()
        assert not environment_of(command.pids()["icmp"]).keys() & around.keys()
        until_told(systemd, "WATCHDOG=1")
        os.kill(supervisor, signal.SIGHUP)
        until_told(systemd, "RELOADING=1")
        until_told(systemd, "READY=1")

        os.kill(supervisor, signal.SIGSTOP)
        time.sleep(WATCHDOG_S)
        wait_until(
            lambda: not has_more(systemd, take=True), timeout_s=PATIENCE_S, what="what was told before"
        )
        time.sleep(WATCHDOG_S)
        assert not has_more(systemd)  # systemd would kill it now
        os.kill(supervisor, signal.SIGCONT)
        until_told(systemd, "WATCHDOG=1")

        os.kill(supervisor, signal.SIGTERM)
        until_told(systemd, "STOPPING=1")
        out, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Service glance was down approximately 0 seconds" in out


def test_a_log_that_was_moved_away_is_opened_anew_by_every_process(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    moved = command.log_file.rename(command.directory / "log.1")
    assert not command.log_file.exists()
    hang_up(command)
    pids = [command.supervisor(), *command.pids().values()]

    def log_of(pid: int) -> str:
        return str(Path(f"/proc/{pid}/fd/2").readlink())

    wait_until(
        lambda: {log_of(pid) for pid in pids} == {str(command.log_file)}, timeout_s=PATIENCE_S, what="all"
    )
    assert command.log_file.stat().st_mode & 0o777 == 0o640
    size = moved.stat().st_size
    command.ok("stop")
    assert moved.stat().st_size == size
    assert "writer: stopping → ended" in command.log()


def test_log_level_is_in_force_at_once_in_every_process(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.ok("start")
    until_measured(command)
    pids = command.pids()
    quiet = {"log_level": "error"}
    command.write(static_targets(lonely_cloud) | {"global": quiet})
    hang_up_quietly(command)
    size = len(command.log())
    os.kill(pids["icmp"], signal.SIGKILL)  # would be told, as a warning and as information
    wait_until(lambda: command.pids()["icmp"] not in (None, pids["icmp"]), timeout_s=PATIENCE_S, what="icmp")
    until_measured(command)
    assert len(command.log()) == size
    assert {name: pid for name, pid in command.pids().items() if name != "icmp"} == {
        name: pid for name, pid in pids.items() if name != "icmp"
    }


def hang_up_quietly(command: Command) -> None:
    """Send SIGHUP that lowers the log's level: it tells of itself, before."""
    os.kill(command.supervisor(), signal.SIGHUP)
    wait_until(
        lambda: "SIGHUP: changed: [global] log_level" in command.log(), timeout_s=PATIENCE_S, what="it"
    )


def test_static_targets_come_and_go_and_nobody_else_notices(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    sections = static_targets(lonely_cloud)
    urls = sections["static"]["urls"]
    command.write(sections | {"static": {"urls": urls, "ips": ADDRESS}})
    command.ok("start")
    pids = command.pids()
    again = f"again={lonely_cloud.service('glance').url}/v2"
    command.write(sections | {"static": {"urls": again, "ips": f"{ADDRESS} {OTHER}"}})
    hang_up(command)
    assert "SIGHUP: changed: [static] ips, [static] urls\n" in command.log()

    def are_probed() -> bool:
        counts = command.status()["targets"]
        return (counts["service"]["up"], counts["address"]["up"]) == (1, 2)

    wait_until(are_probed, timeout_s=PATIENCE_S, what="the new targets")
    assert command.pids() == pids | {"discovery": command.pids()["discovery"]}
    assert command.pids()["discovery"] != pids["discovery"]
    command.write(sections)  # the first URL again
    hang_up(command)
    wait_until(are_probed, timeout_s=PATIENCE_S, what="the old targets")
    time.sleep(2.0)
    command.ok("stop")
    report = command.report()
    assert {one["name"]: one["retired"] is not None for one in report["targets"]} == {
        "glance": False,
        "again": True,
        ADDRESS: False,
        OTHER: False,
    }
    assert all(one["down_s"] == 0 for one in report["targets"])
    assert unobserved(target(report, ADDRESS)) == {}
    assert unobserved(target(report, "glance")).keys() == {"unlisted"}


def test_influxdb_may_be_added_in_the_midst_of_a_run(
    lonely_cloud: SimulatedCloud, command: Command, tmp_path: Path
) -> None:
    prefix = lonely_cloud.network.in_vantage([])
    host = "127.0.0.1"
    command.ok("start")
    until_measured(command)
    command.ok("report")
    with InfluxServer(tmp_path / "influxdb", host=host, prefix=prefix) as server:
        section = {"host": host, "port": str(server.port)}
        command.write(static_targets(lonely_cloud) | {"db": section})
        hang_up(command)
        wait_until(
            lambda: command.status()["influxdb"]["state"] == "ok", timeout_s=PATIENCE_S, what="InfluxDB"
        )
        until_measured(command)
        command.ok("stop")
        (run,) = json.loads(command.ok("runs", "--json"))
        assert run["influxdb_backlog"] == 0
        report = command.ok("report", "--format", "json")
        assert command.ok("report", "--format", "json", "--from", "influxdb") == report
    for one in json.loads(report)["targets"]:
        assert one["down_s"] == 0
        assert unobserved(one).keys() == {"restart"}


def test_what_cannot_be_changed_now_is_named_and_what_is_wrong_changes_nothing(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.ok("start")
    until_measured(command)
    pids = command.pids()
    command.write(static_targets(lonely_cloud) | {"api": {"interval": "1"}, "icmp": {"timeout": "0.5"}})
    hang_up(command)
    line = "SIGHUP: to be changed by the next start: [api] interval, [icmp] timeout\n"
    wait_until(lambda: line in command.log(), timeout_s=PATIENCE_S, what="what has to wait")
    command.config.write_text("[global]\nlog_level=loud\n")
    hang_up(command)
    assert f"SIGHUP: {command.config}: [global] log_level: 'loud' is none of" in command.log()
    command.write(static_targets(lonely_cloud))
    assert command.pids() == pids


def test_one_capability_is_enough(command: Command) -> None:
    only = "-all,+net_raw"
    prefix = (
        require_program("setpriv", "util-linux"),
        "--no-new-privs",
        f"--inh-caps={only}",
        f"--ambient-caps={only}",
        f"--bounding-set={only}",
        "--securebits=+noroot,+noroot_locked",
    )
    started = command.run("start", prefix=prefix)
    assert started.code == 0, started
    until_measured(command)
    for pid in (command.supervisor(), *command.pids().values()):
        status = Path(f"/proc/{pid}/status").read_text()
        sets = {
            name: int(value, 16) for name, value in re.findall(r"^Cap(\w+):\s+(\w+)$", status, re.MULTILINE)
        }
        assert set(sets.values()) == {1 << 13}, status  # CAP_NET_RAW, of linux/capability.h
    command.ok("stop")


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    argv = [require_program("systemd-analyze", "systemd"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_the_unit_is_one_and_leaves_little_open(tmp_path: Path) -> None:
    unit = tmp_path / "downtimer.service"
    program = Path(sys.executable).parent / "downtimer"
    # systemd-analyze looks for the program and the user on this machine.
    text = UNIT.read_text().replace("/usr/local/bin/downtimer", str(program))
    text = re.sub(r"^(User|Group)=downtimer$", r"\1=daemon", text, flags=re.MULTILINE)
    unit.write_text(text)
    verified = analyze("verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    secured = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MOST}", str(unit))
    assert secured.returncode == 0, secured.stdout[-500:]
    broken = tmp_path / "broken.service"
    broken.write_text(text.replace("Type=notify", "Type=notified").replace("User=", "Usr="))
    assert analyze("verify", "--man=no", str(broken)).stderr != ""


def test_a_supervisor_that_systemd_killed_is_followed_by_one_that_goes_on(command: Command) -> None:
    """`Restart=on-failure` starts it again."""
    argv = command.argv("start", "--foreground")
    runs: list[Any] = []
    for _ in range(2):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            wait_until(lambda: command.run("status").code == 0, timeout_s=PATIENCE_S, what="the daemon")
            until_measured(command)
            runs.append(command.status()["run"]["id"])
            pids = command.pids().values()
        finally:
            os.kill(command.supervisor(), signal.SIGABRT)  # as systemd's watchdog does
            process.communicate(timeout=PATIENCE_S)
        wait_until(lambda: not any(map(is_alive, pids)), timeout_s=5, what="the children to end")  # noqa: B023
    assert runs[0] == runs[1]


def test_nothing_that_blocks_stands_in_the_way_of_the_supervisor(command: Command) -> None:
    """Pipes that nobody writes to or reads, where the log and the configuration were."""
    command.ok("start")
    until_measured(command)
    configuration = command.config.read_text()
    log = command.log_file.rename(command.directory / "log.1")
    os.mkfifo(command.log_file)
    command.config.unlink()
    os.mkfifo(command.config)
    os.kill(command.supervisor(), signal.SIGHUP)
    said = "it is a pipe; the log was opened anew, all else stays"
    wait_until(lambda: said in log.read_text(), timeout_s=PATIENCE_S, what="the log to tell of it")
    assert f"the log stays where it was: {command.log_file}: " in log.read_text()
    command.config.unlink()
    command.config.write_text(configuration)
    command.log_file.unlink()
    assert command.status()["processes"]
    started = command.run("start")
    assert started.code == 1


def test_a_signal_to_all_processes_is_one_to_the_supervisor(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    pids = command.pids()
    before = command.log().count("SIGHUP: ")
    os.killpg(os.getpgid(command.supervisor()), signal.SIGHUP)
    wait_until(lambda: command.log().count("SIGHUP: ") > before, timeout_s=PATIENCE_S, what="the reload")
    time.sleep(0.5)
    assert command.pids() == pids


def test_a_start_that_fails_is_never_told_to_be_ready(command: Command, systemd: socket.socket) -> None:
    """Whatever signals come meanwhile, from its first moment on."""
    command.write({"global": {"keystone_endpoint": "http://127.0.0.1:1", "password": "x"}})
    process = subprocess.Popen(
        command.argv("start", "--foreground"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"NOTIFY_SOCKET": systemd.getsockname()},
    )
    while process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGHUP) if is_ours(process.pid) else None
        time.sleep(0.02)
    assert process.returncode in (1, 2)
    told = []
    while has_more(systemd):
        told.append(systemd.recv(4096).decode().split("\n")[0])
    assert "READY=1" not in told


def is_ours(pid: int) -> bool:
    """Tell whether a process is the supervisor by now, and no longer what leads to it."""
    return b"downtimer: supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_log_that_is_moved_while_a_child_starts_is_left_by_it_too(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.ok("start")
    until_measured(command)
    sections = static_targets(lonely_cloud)
    command.write(sections | {"static": {"ips": ADDRESS, "urls": sections["static"]["urls"]}})
    os.kill(command.supervisor(), signal.SIGHUP)  # discovery is replaced
    for number in range(10):
        time.sleep(0.1)
        command.log_file.rename(command.directory / f"log.{number}")
        os.kill(command.supervisor(), signal.SIGHUP)
        wait_until(command.log_file.exists, timeout_s=PATIENCE_S, what="another log")

    def all_log_there() -> bool:
        logs = {
            str(Path(f"/proc/{pid}/fd/2").readlink()) for pid in command.pids().values() if pid is not None
        }
        return logs == {str(command.log_file)}

    wait_until(all_log_there, timeout_s=PATIENCE_S, what="all to log there")
    assert command.status()["processes"][0]["restarts"] == 0
    command.write(sections)
