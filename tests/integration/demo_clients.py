"""What the tests of the simulated cloud have in common: its clients, and a look at what runs."""

import contextlib
import subprocess
import time
from pathlib import Path

import requests
from keystoneauth1 import session
from keystoneauth1.identity import generic

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from tests.waiting import wait_until

TIMEOUT_S = 5.0
LOOPBACK = CloudConfig(network="none", services=("keystone", "neutron", "nova", "cinder"), page_cap=3)
"""Services alone, on the loopback."""

SMALL = CloudConfig(services=("keystone", "nova"), addresses=("172.16.166.151", "172.16.166.152"))
"""Two services and two addresses in namespaces, whichever kind can be had."""


def sign_in(cloud: SimulatedCloud, path: str = "", *, password: str | None = None) -> session.Session:
    """Return a client as downtimer's discovery makes one."""
    plugin = generic.Password(
        auth_url=cloud.keystone_url + path,
        username=cloud.config.user,
        password=cloud.config.password if password is None else password,
        project_name="admin",
        user_domain_id="default",
        project_domain_id="default",
    )
    return session.Session(auth=plugin, timeout=TIMEOUT_S)


def token_of(client: session.Session) -> str:
    """Sign in."""
    token = client.get_token()
    assert token is not None
    return token


def status_of(cloud: SimulatedCloud, name: str, *, timeout_s: float = 1.0) -> int | str:
    """Ask a service's root with a connection of its own; the status, or the name of the exception."""
    try:
        return requests.get(cloud.service(name).url, timeout=timeout_s, allow_redirects=False).status_code
    except requests.RequestException as error:
        return type(error).__name__


def ping(cloud: SimulatedCloud, address: str, *options: str) -> str:
    """Run the real ping in the vantage; return what it says."""
    process = cloud.run_in_vantage(["ping", "-n", *options, address], stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=30)
    return output.decode()


def exists(pid: int) -> bool:
    """Whether a process is there; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def let_pass(seconds: float) -> None:
    """Let an outage last; the record, not this, says how long it was."""
    before = time.monotonic()
    wait_until(lambda: time.monotonic() - before > seconds, timeout_s=seconds + 5, what="time to pass")


def namespaces() -> set[Path]:
    """Return the network namespaces in which something runs."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.add((process / "ns/net").readlink())
    return found


def descendants(pid: int) -> set[int]:
    """Return the living processes that descend from that one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(stat.parent.name)] = int(parent)
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= more
    return found
