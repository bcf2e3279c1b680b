"""The simulated cloud to practise on, as its first user meets it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.orders import USAGE, Orders
from downtimer.supervisor.lock import holder
from tests.integration.command import PROGRAM
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

LONG_S = 90
ADDRESS = "172.16.166.151"


@contextmanager
def practice(place: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Start the simulated cloud; nothing of it is left at the end."""
    with subprocess.Popen(
        [*PROGRAM, "demo", "--cloud", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(place)},
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LONG_S)
    assert list(place.iterdir()) == []


def said(*argv: str) -> str:
    """Run a command that must succeed; return what it says."""
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=LONG_S).stdout


def test_what_it_says_can_be_done_and_ctrl_c_ends_it_all(place: Path) -> None:
    with practice(place) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "/bin/vantage" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        assert len(lines) < 24
        assert max(map(len, lines)) <= 80
        text = "".join(lines)
        assert "Ctrl-C or SIGTERM ends it all." in text
        assert "\ncinderv2, heat, heat-cfn, and 20 floating IPs.\n" in text
        vantage, shell = lines[-1].split()
        cloud = str(Path(vantage).with_name("cloud"))
        assert said(vantage, shell, "-c", "command -v cloud downtimer").split()[0] == cloud
        started = said(vantage, "downtimer", "start")
        assert "measuring 8 services and 20 addresses as run " in started
        assert f"\n  cloud drop {ADDRESS}\n" in text
        assert said(cloud, "drop", ADDRESS) == f"{ADDRESS} is silent\n"
        wait_until(
            lambda: f"{ADDRESS}  icmp: no-reply" in said(vantage, "downtimer", "status"),
            timeout_s=20,
            what="the address to be down",
        )
        wrong = subprocess.run(
            [cloud, "explode"], capture_output=True, text=True, check=False, timeout=LONG_S
        )
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert wrong.stderr == "no such order: explode; `cloud help` tells which there are\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 0
    assert f"Address {ADDRESS} was unreachable approximately " in err  # the daemon was stopped


def test_a_command_is_run_in_the_vantage_and_its_exit_code_is_ours(place: Path) -> None:
    script = "downtimer run --assert zero-downtime -- cloud restart nova 1 && exit 9; echo code $?; exit 5"
    with practice(place, "--", "sh", "-c", script) as process:
        out, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 5, err
    assert out.startswith("nova is back, after 1 s\n")
    assert out.endswith("code 4\n")
    assert "assertion 'zero-downtime' failed: nova" in err
    with practice(
        place, "--", "sh", "-c", "trap 'echo term; exit 6' TERM; echo begun; sleep 60 & wait"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=LONG_S)[0] == "term\n"
    assert process.returncode == 6


def test_a_job_in_the_background_is_ended_by_sigint_and_by_sigterm(place: Path) -> None:
    for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 143)):
        with subprocess.Popen(
            ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *PROGRAM, "demo", "--cloud"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(place)},
        ) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                process.send_signal(number)
                assert process.wait(LONG_S) == code
            finally:
                process.kill()
        assert list(place.iterdir()) == []


def test_a_daemon_is_told_to_end_even_if_its_cloud_was_killed(place: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "demo", "--cloud"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(place)},
    ) as process:
        try:
            assert process.stdout is not None
            line = ""
            while "/bin/vantage" not in line:
                line = process.stdout.readline()
            vantage, _ = line.split()
            said(vantage, "downtimer", "start")
        finally:
            process.kill()
    log = Path(vantage).parents[1] / "log"
    wait_until(lambda: "SIGTERM: stopping" in log.read_text(), timeout_s=20, what="it to be told")
    wait_until(lambda: holder(str(log.with_name("state"))) is None, timeout_s=20, what="it to be gone")


def test_a_command_that_is_not_there_is_one_line(place: Path) -> None:
    with practice(place, "--", "nosuch\x1b") as process:
        out, err = process.communicate(timeout=LONG_S)
    assert (process.returncode, out) == (127, "")
    assert err == "downtimer: nosuch\\x1b: command not found\n"


def test_files_that_are_kept_are_told_of(place: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "demo", "--cloud", "--keep-files", "--", "cloud", "help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(place)},
    ) as process:
        out, err = process.communicate(timeout=LONG_S)
    (left,) = place.iterdir()
    assert (process.returncode, out) == (0, f"{USAGE}\n")
    assert f"The files are in {left} and stay there.\n" in err
    assert (left / "conf.ini").is_file()


def test_a_folder_whose_path_is_too_long_is_one_line(place: Path) -> None:
    deep = place / ("x" * 100)
    deep.mkdir()
    with practice(deep, "--", "true") as process:
        out, err = process.communicate(timeout=LONG_S)
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert err.endswith("; let TMPDIR name another folder\n")


def test_what_the_cloud_cannot_do_is_one_line() -> None:
    cloud = SimulatedCloud(CloudConfig(services=("glance",), network="none"))
    with cloud, Orders(cloud) as orders:
        command = [sys.executable, "-m", "downtimer.demo.orders", str(orders.path)]
        for words, line in (
            (["restart", "swift"], "the simulated cloud has no service swift"),
            (["restart", "glance", "soon"], "soon: seconds are a number from 0 to 3600"),
            (["restart", "glance", "nan"], "nan: seconds are a number from 0 to 3600"),
            (["start", "glance"], "glance runs already"),
            (["drop", ADDRESS], f"the simulated cloud has no address {ADDRESS}"),
            (["\x1b[2J"], "no such order: \\x1b[2J; `cloud help` tells which there are"),
            (["drop"], "drop needs an ADDRESS"),
            (["restore", ADDRESS, ADDRESS], "restore needs an ADDRESS"),
            (["restart"], "restart needs a SERVICE, and may have SECONDS"),
            (["stop"], "stop needs a SERVICE"),
        ):
            done = subprocess.run(
                [*command, *words], capture_output=True, text=True, check=False, timeout=LONG_S
            )
            assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{line}\n")
        assert said(*command, "help") == said(*command) == f"{USAGE}\n"
        assert said(*command, "restart", "glance", "0") == "glance is back, after 0 s\n"
    cloud = SimulatedCloud(CloudConfig(services=("cinder",), network="none"))
    with cloud, Orders(cloud) as orders:
        command = [sys.executable, "-m", "downtimer.demo.orders", str(orders.path)]
        assert said(*command, "list") == "cinder (serves cinderv2, too)\n"
        line = "cinderv2 is served by cinder, which is back, after 0 s\n"
        assert said(*command, "restart", "cinderv2", "0") == line
    done = subprocess.run([*command, "list"], capture_output=True, text=True, check=False, timeout=LONG_S)
    assert (done.returncode, done.stderr) == (1, f"no simulated cloud answers ({orders.path.parent})\n")
