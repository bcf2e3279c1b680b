"""The service manager's protocol, held against a real socket that stands for systemd's."""

import os
import socket
import time
from pathlib import Path

import pytest

from downtimer.supervisor.notify import ServiceManager


def heard(manager: socket.socket) -> list[str]:
    """Return the lines of the next datagram."""
    return manager.recv(4096).decode().split("\n")


@pytest.fixture
def systemd(tmp_path: Path) -> socket.socket:
    """A socket as systemd has one."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(tmp_path / "notify"))
    made.settimeout(5)
    return made


def test_every_turn_of_the_daemons_life_is_told(systemd: socket.socket) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": systemd.getsockname()})
    manager.ready("measuring 1 service")
    assert heard(systemd) == ["READY=1", "STATUS=measuring 1 service"]
    manager.reloading()
    reloading, since = heard(systemd)
    assert reloading == "RELOADING=1"
    assert 0 <= time.monotonic() - int(since.removeprefix("MONOTONIC_USEC=")) / 1e6 < 60
    manager.feed()
    assert heard(systemd) == ["WATCHDOG=1"]
    manager.stopping()
    assert heard(systemd)[0] == "STOPPING=1"
    systemd.close()


def test_an_abstract_address_is_one_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0downtimer-test-{os.getpid()}")
        listening.settimeout(5)
        ServiceManager({"NOTIFY_SOCKET": f"@downtimer-test-{os.getpid()}"}).feed()
        assert heard(listening) == ["WATCHDOG=1"]


def test_children_inherit_none_of_it_and_others_keep_theirs() -> None:
    environment = {
        "NOTIFY_SOCKET": "/nowhere",
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": "1",
        "PATH": "/bin",
    }
    assert ServiceManager(environment).watchdog_s is None  # it is another process that is watched
    assert environment == {"PATH": "/bin"}
    assert ServiceManager({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 3
    assert ServiceManager({"WATCHDOG_USEC": "often"}).watchdog_s is None
    assert ServiceManager({"WATCHDOG_USEC": "0"}).watchdog_s is None


def test_without_anybody_or_with_somebody_gone_nothing_happens() -> None:
    ServiceManager({}).ready("measuring")
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/at/all"}).ready("measuring")
