"""The control socket of a real daemon: who may use it, and what those who misuse it bring about."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import pytest

from downtimer.control import client, protocol
from downtimer.control.server import CLIENTS_MAX, PATIENCE_S
from downtimer.demo.cloud import SimulatedCloud
from downtimer.descriptors import allow_most
from downtimer.errors import ControlError
from tests.integration.command import Command, static_targets, until_measured
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

CLIENTS: Final = 500
GROUP: Final = 54321
STRANGER: Final = 65534
"""A user who may do nothing here unless as a member of that group."""


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    """Have as many files open as the system allows; some start with 1,024."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_most()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of other tests."""
    path = Path(tempfile.mkdtemp(prefix="downtimer-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def raw(path: Path, frame: bytes) -> dict[str, Any]:
    """Send bytes and return the answer."""
    with connected(path) as connection:
        connection.sendall(frame)
        answer: dict[str, Any] = json.loads(connection.makefile().readline())
        return answer


def connected(path: Path) -> socket.socket:
    """Return a connection."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(path))
    return connection


def with_group(
    lonely_cloud: SimulatedCloud, place: Path, group: int | str
) -> Mapping[str, Mapping[str, str]]:
    """Return sections with which members of a group may command the daemon."""
    options = {"control_group": str(group), "runtime_dir": str(place / "run")}
    return static_targets(lonely_cloud) | {"global": options}


def attempt(user: int, group: int, path: Path) -> int:
    """Return the error number of a connection that another user attempts; 0 if there is none."""
    with acting_as(user, group), socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path))


def test_what_is_no_request_is_answered_and_counted_and_changes_nothing(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    path = command.runtime_dir / "control.sock"
    before = command.status()
    assert before["control"]["refused"] == 0
    assert "refused" not in command.ok("status")
    wrong = {
        b'{"version": 2, "command": "stop"}\n': "version",
        b'{"version": 1, "command": "stop", "now": true}\n': "bad-request",
        b'{"version": 1, "command": "stop"} \0\n': "bad-request",
        b'{"version": 1, "command": "halt"}\n': "unknown-command",
        b'{"version": 1, "command": "stop"}'.rjust(protocol.REQUEST_MAX + 1) + b"\n": "too-large",
        b'{"version": 1, "command": "mark"}\n': "bad-request",
        b'{"version": 1, "command": "mark", "arguments": {"text": ["x"]}}\n': "bad-request",
    }
    for frame, code in wrong.items():
        assert raw(path, frame)["error"]["code"] == code
    with connected(path) as truncated:
        truncated.sendall(b'{"version": 1, "command": "stop"}')
    after = wait_until(
        lambda: (status := command.status())["control"]["refused"] == len(wrong) + 1 and status,
        timeout_s=10,
        what="the truncated one to be counted",
    )
    assert f"control      {len(wrong) + 1} requests refused\n" in command.ok("status")
    assert after["run"] == before["run"]
    assert all(process["restarts"] == 0 for process in after["processes"])
    command.ok("stop")
    assert command.report()["marks"] == []


def test_a_start_of_what_can_be_no_file_is_refused(command: Command) -> None:
    command.ok("start")
    command.ok("stop", "--keep")
    path = command.runtime_dir / "control.sock"
    for config in ("conf.ini", "/a\0b", 1, None):
        frame = protocol.encode(protocol.Request(command="start", arguments={"config": config}))
        assert raw(path, frame)["error"]["code"] == "bad-request"
    assert "Traceback" not in command.log()


def test_five_hundred_clients_at_once_are_served_beside_some_that_only_sit_there(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    path = command.runtime_dir / "control.sock"
    run = command.status()["run"]["id"]
    with ExitStack() as stack:
        for _ in range(CLIENTS_MAX - CLIENTS - 50):
            stack.enter_context(connected(path))
        for _ in range(40):
            deaf = stack.enter_context(connected(path))
            deaf.sendall(b'{"version": 1, "command": "status"}\n')
        with ThreadPoolExecutor(CLIENTS) as clients:
            asked = [
                clients.submit(client.request, str(path), "status", timeout_s=60) for _ in range(CLIENTS)
            ]
            assert [one.result()["run"]["id"] for one in asked] == [run] * CLIENTS
    assert all(process["restarts"] == 0 for process in command.status()["processes"])


def test_of_five_hundred_clients_that_are_there_before_one_asks_each_is_answered(command: Command) -> None:
    command.ok("start")
    path = command.runtime_dir / "control.sock"
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(path)) for _ in range(CLIENTS)]
        for one in clients:
            one.sendall(b'{"version": 1, "command": "status"}\n')
        for one in clients:
            assert json.loads(one.makefile().readline())["ok"] is True


def test_too_few_descriptors_for_all_who_connect_are_no_end_of_anything(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    supervisor = command.supervisor()
    _, hard = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    some_left = max(int(entry.name) for entry in Path(f"/proc/{supervisor}/fd").iterdir()) + 20
    before = command.status()["processes"]
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (some_left, hard))
    path = command.runtime_dir / "control.sock"
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connected(path))
        wait_until(
            lambda: "Too many open files" in command.log(), timeout_s=30, what="descriptors to be used up"
        )
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (hard, hard))
    after = wait_until(lambda: answered(command), timeout_s=6 * PATIENCE_S, what="an answer")
    assert [process["pid"] for process in after["processes"]] == [process["pid"] for process in before]
    command.ok("stop")
    assert all(one["down_s"] == 0 for one in command.report()["targets"])


def answered(command: Command) -> dict[str, Any]:
    """Return the status; nothing if it was not answered."""
    said = command.run("status", "--json")
    found: dict[str, Any] = json.loads(said.out) if said.code == 0 else {}
    return found


def test_the_supervisor_may_open_as_many_files_as_the_system_allows(command: Command) -> None:
    script = f"ulimit -Sn 64; exec {' '.join(command.argv('start'))}"
    subprocess.run(["bash", "-c", script], check=True, timeout=60, stdin=subprocess.DEVNULL)
    soft, hard = resource.prlimit(command.supervisor(), resource.RLIMIT_NOFILE)
    assert soft == hard > 64


def test_a_daemon_that_is_frozen_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_S", 0.5)
    command.ok("start")
    supervisor = command.supervisor()
    path = command.runtime_dir / "control.sock"
    os.kill(supervisor, signal.SIGSTOP)
    try:
        with pytest.raises(ControlError, match="the daemon did not answer within 1 s"):
            client.request(str(path), "ping", timeout_s=1)
        with ExitStack() as stack:
            fill_queue(path, stack)
            with pytest.raises(ControlError, match="the daemon has let nobody in for 0 s"):
                client.request(str(path), "ping", timeout_s=1)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_until(lambda: answered(command), timeout_s=30, what="an answer")


def fill_queue(path: Path, stack: ExitStack) -> None:
    """Connect until no more may wait to be let in."""
    error = 0
    while error != errno.EAGAIN:
        one = stack.enter_context(socket.socket(socket.AF_UNIX))
        one.setblocking(False)
        error = one.connect_ex(str(path))


def test_members_of_the_group_may_command_the_daemon_and_nothing_else(
    lonely_cloud: SimulatedCloud, command: Command, place: Path
) -> None:
    """Where the user may not give files to other groups, only the modes can be seen."""
    is_root = os.geteuid() == 0
    group = GROUP if is_root else os.getegid()
    given = group if lonely_cloud.network.mode == "root" else 0  # the only one that its namespace has
    command.write(with_group(lonely_cloud, place, given))
    command.runtime_dir = place / "run"
    command.ok("start")
    until_measured(command)
    path = command.runtime_dir / "control.sock"
    for one, mode in ((command.runtime_dir, 0o710), (path, 0o660)):
        assert (stat.S_IMODE(one.stat().st_mode), one.stat().st_gid) == (mode, group)
    others = [one for one in command.runtime_dir.iterdir() if one != path]
    assert sorted(one.name for one in others) == ["bus.sock", "lock", "points.sock"]
    assert all(one.stat().st_mode & 0o077 == 0 for one in others)
    if is_root:
        assert attempt(STRANGER, GROUP, path) == 0
        assert attempt(STRANGER, STRANGER, path) == errno.EACCES
        for other in others:
            assert attempt(STRANGER, GROUP, other) == errno.EACCES


def test_without_a_group_nobody_else_may_enter_a_folder_that_one_could(
    lonely_cloud: SimulatedCloud, command: Command, place: Path
) -> None:
    command.runtime_dir = place / "run"
    command.runtime_dir.mkdir()
    if os.geteuid() == 0:
        os.chown(command.runtime_dir, -1, GROUP)
    command.runtime_dir.chmod(0o2775)
    command.write(static_targets(lonely_cloud) | {"global": {"runtime_dir": str(command.runtime_dir)}})
    command.ok("start")
    assert stat.S_IMODE(command.runtime_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((command.runtime_dir / "control.sock").stat().st_mode) == 0o600


def test_a_group_that_the_user_may_not_give_files_to_is_one_line(
    lonely_cloud: SimulatedCloud, command: Command, place: Path
) -> None:
    command.write(with_group(lonely_cloud, place, GROUP))
    said = command.run("start", prefix=("setpriv", "--bounding-set", "-chown", "--inh-caps", "-chown", "--"))
    assert said.code == 2
    assert re.fullmatch(
        rf"downtimer: {command.config}: \[global\] control_group: cannot give {place}/run to group {GROUP}: "
        r"(Operation not permitted|Invalid argument); the daemon's user has to be a member\n",
        said.err,
    )
    assert not list(command.state_dir.glob("runs/*"))


def test_a_group_that_there_is_not_is_one_line(
    lonely_cloud: SimulatedCloud, command: Command, place: Path
) -> None:
    command.write(with_group(lonely_cloud, place, "no-such-group"))
    said = command.run("start")
    assert (said.code, said.err) == (
        2,
        f"downtimer: {command.config}: [global] control_group: there is no group 'no-such-group'\n",
    )


def test_an_idle_daemon_that_others_may_command_takes_no_configuration_and_no_account_of_theirs(
    lonely_cloud: SimulatedCloud, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = os.getegid() if lonely_cloud.network.mode == "root" else 0
    sections = with_group(lonely_cloud, place, group)
    command.write(sections)
    command.ok("start")
    until_measured(command)
    command.ok("stop", "--keep")
    ours, command.config = command.config, command.directory / "theirs.ini"
    command.report_file = command.directory / "not ours to write"
    command.write(sections)
    said = command.run("start")
    assert said.code == 2
    assert said.err == (
        f"downtimer: {command.config}: the daemon that is idle takes {ours} only, for with [global] "
        "control_group others may command it; `downtimer stop` ends it, then start again\n"
    )
    command.config = ours
    with monkeypatch.context() as theirs:
        for name, value in (("AUTH_URL", "http://127.0.0.1:1"), ("USERNAME", "them"), ("PASSWORD", "x")):
            theirs.setenv(f"OS_{name}", value)
        said = command.run("start")
    assert said.code == 2
    assert "the daemon that is idle signs in as before only, for with [global] control_group" in said.err
    command.ok("start")


def test_a_command_does_not_talk_to_somebody_who_only_poses_as_a_daemon(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "run"
    folder.mkdir()
    path = folder / "control.sock"
    is_root = os.geteuid() == 0
    with socket.socket(socket.AF_UNIX) as listening:
        if is_root:
            os.chown(folder, STRANGER, -1)
        with acting_as(STRANGER, STRANGER) if is_root else nullcontext():
            listening.bind(str(path))
            listening.listen()
        if not is_root:
            monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
        with pytest.raises(
            ControlError, match=rf"{path}: user \d+ listens there, who need not be a daemon's"
        ):
            client.request(str(path), "ping", timeout_s=1)


@contextmanager
def acting_as(user: int, group: int) -> Iterator[None]:
    """Be another user, who is a member of one group; for root."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
