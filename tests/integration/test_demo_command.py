"""The demo from its beginning to its end, and nothing left of it afterwards."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.processes import DemoError
from tests.integration.demo_clients import LOOPBACK, SMALL, descendants, exists, namespaces
from tests.waiting import wait_until


def test_nothing_is_left_when_the_cloud_is_gone() -> None:
    with SimulatedCloud(SMALL) as cloud:
        pids = [service.pid for service in cloud.services.values()]
        pids += [cloud.network.vantage_pid, cloud.network.cloud_pid]
        stopped = cloud.service("nova")
        stopped.stop_signal()
        stray = cloud.run_in_vantage(["setsid", "--fork", "sleep", "300"])
        stray.wait(10)
        spaces = {Path(f"/proc/{pid}/ns/net").readlink() for pid in pids if pid is not None}
        directory = cloud.directory
    assert not directory.exists()
    assert not any(exists(pid) for pid in pids if pid is not None)
    wait_until(lambda: not (namespaces() & spaces), timeout_s=10, what="the namespaces to vanish")


def test_nothing_is_left_when_its_owner_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(
        "import threading\n"
        "from downtimer.demo.cloud import CloudConfig, SimulatedCloud\n"
        "with SimulatedCloud(CloudConfig(services=('nova',))) as cloud:\n"
        "    cloud.service('nova').stop_signal()\n"
        "    cloud.run_in_vantage(['setsid', '--fork', 'sleep', '300']).wait(10)\n"
        "    print(cloud.service('nova').pid, cloud.network.vantage_pid, cloud.directory, flush=True)\n"
        "    threading.Event().wait()\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}
    ) as owner:
        assert owner.stdout is not None
        service, vantage, directory = owner.stdout.readline().decode().split()
        space = Path(f"/proc/{vantage}/ns/net").readlink()
        owner.kill()
    try:
        wait_until(
            lambda: not exists(int(service)) and space not in namespaces(),
            timeout_s=10,
            what="everything to end",
        )
    finally:
        (Path(directory) / "world.json").unlink()
        Path(directory).rmdir()


def test_failure_on_the_way_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = descendants(os.getpid())
    with pytest.raises(KeyError), SimulatedCloud(replace(SMALL, services=("keystone", "swift"))):
        pass
    assert descendants(os.getpid()) == before
    assert list(tmp_path.iterdir()) == []


def make_program(tmp_path: Path, stop: str) -> list[str]:
    """Write a command whose ``start`` leaves a daemon behind, a session leader with a child of its own."""
    script = tmp_path / "program"
    script.write_text(
        "case $1 in\n"
        f"start) setsid --fork sh -c 'sleep 300 & echo $$ $! > {tmp_path}/pids; wait' > /dev/null 2>&1;\n"
        f"  while test ! -s {tmp_path}/pids; do :; done;;\n"
        f"stop) {stop};;\n"
        "esac\n"
    )
    return ["/bin/sh", str(script)]


@pytest.mark.parametrize(
    "stop", ["kill $(cut -d ' ' -f 1 {place}/pids)", "echo I will not; exit 1"], ids=["obedient", "stubborn"]
)
@pytest.mark.parametrize("config", [SMALL, LOOPBACK], ids=["network", "loopback"])
def test_daemon_is_gone_when_its_demo_is(tmp_path: Path, config: CloudConfig, stop: str) -> None:
    program = make_program(tmp_path, stop.format(place=tmp_path))
    with SimulatedCloud(config) as cloud:
        with Daemon(cloud, program=program) as daemon:
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            text = (daemon.directory / "conf.ini").read_text()
            assert all(map(exists, pids))
        assert not any(map(exists, pids))
    assert f"keystone_endpoint={cloud.keystone_url}\n" in text
    assert ("reference=none" in text) == (config is LOOPBACK)
    assert not daemon.directory.exists()


def test_daemon_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("echo port taken; exit 1\n")
    program = ["/bin/sh", str(tmp_path / "program")]
    with (
        SimulatedCloud(LOOPBACK) as cloud,
        pytest.raises(DemoError, match=r"start failed \(1\): port taken"),
        Daemon(cloud, program=program),
    ):
        pass


def start_demo(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Start the real command, with a place of its own for temporary files."""
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "downtimer.cli", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=root,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )


def test_demo_finds_every_injected_outage_within_its_bounds(tmp_path: Path) -> None:
    with start_demo(tmp_path) as demo:
        output = demo.communicate(timeout=90)[0].decode()
    assert demo.returncode == 0, output
    table = output.partition("Held against what was really injected:")[2]
    assert table.count("  yes\n") == 9
    assert re.search(r"172\.16\.166\.151 +\d+\.\d\d s", table)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_demo_and_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    with start_demo(tmp_path) as demo:
        assert demo.stdout is not None
        while b"goes down" not in (line := demo.stdout.readline()):
            assert line, "the demo ended before its first step"
        pids = descendants(demo.pid)
        assert len(pids) > 10  # services, holders of namespaces, the daemon and its workers
        demo.send_signal(number)
        demo.communicate(timeout=30)
    assert demo.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not any(map(exists, pids)), timeout_s=10, what="everything to end")
