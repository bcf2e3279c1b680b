"""The promise of an upgrade without downtime: a restart of a service breaks it, one behind HAProxy keeps it.

Behind it there are two; each is taken out before it is restarted, as a rolling upgrade does.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from downtimer.demo.cloud import SERVICE_IP, SimulatedCloud
from downtimer.demo.orders import Orders
from tests.integration.command import Command, target
from tests.processes import require_program
from tests.waiting import wait_until

FRONT = 9390
BACKENDS = {"glance-a": 9391, "glance-b": 9392}
HAPROXY = """
global
    stats socket {folder}/admin level admin
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
frontend glance
    bind {host}:{front}
    default_backend glance
backend glance
    balance roundrobin
"""

ROLLING = """
import socket, subprocess, sys, time
admin, *restart = sys.argv[1:]
def tell(name, state):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(admin)
        connection.sendall(f"set server glance/{name} state {state}\\n".encode())
        connection.recv(1024)
for name in ("glance-a", "glance-b"):
    tell(name, "drain")
    time.sleep(0.5)
    subprocess.run([*restart, name, "1"], check=True)
    tell(name, "ready")
    time.sleep(0.5)
"""


@contextmanager
def balanced(cloud: SimulatedCloud) -> Iterator[Path]:
    """Run two glances, and HAProxy in front of them, which is told what to do by the socket given."""
    folder = cloud.directory
    config = HAPROXY.format(folder=folder, host=SERVICE_IP, front=FRONT)
    services = [cloud.start_service("glance", alias=name, port=port) for name, port in BACKENDS.items()]
    config += "".join(f"    server {name} {SERVICE_IP}:{port}\n" for name, port in BACKENDS.items())
    (folder / "haproxy.cfg").write_text(config)
    argv = [require_program("haproxy", "haproxy"), "-q", "-db", "-f", str(folder / "haproxy.cfg")]
    process = cloud.run_in_cloud(argv)
    try:
        wait_until((folder / "admin").exists, timeout_s=10, what="HAProxy to listen")
        yield folder / "admin"
    finally:
        process.terminate()
        process.wait()
        for service in services:
            service.close()
        for name in BACKENDS:
            del cloud.services[name]


def order(orders: Orders, *words: str) -> list[str]:
    """Return the command that gives an order to the cloud."""
    return [sys.executable, "-m", "downtimer.demo.orders", str(orders.path), *words]


def test_a_restart_breaks_the_promise_which_names_the_service_the_second_and_the_cause(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    with Orders(lonely_cloud) as orders:
        said = command.run("run", "--assert", "zero-downtime", "--", *order(orders, "restart", "glance", "1"))
    assert said.code == 4, said
    first, *_ = said.out.splitlines()
    assert first == "glance is back, after 1 s"
    (episode,) = target(command.report(), "glance")["episodes"]
    assert episode["ongoing"] is False
    assert set(episode["causes"]) == {"refused"}
    since = episode["start"][:19].replace("T", " ")
    verdict = said.err.splitlines()[-1]
    assert verdict.startswith("downtimer: assertion 'zero-downtime' failed: ")
    assert "glance" in verdict
    assert since in verdict
    assert "refused" in verdict


def test_a_rolling_restart_behind_haproxy_keeps_it(lonely_cloud: SimulatedCloud, command: Command) -> None:
    with Orders(lonely_cloud) as orders, balanced(lonely_cloud) as admin:
        urls = {"urls": f"glance=http://{SERVICE_IP}:{FRONT}/"}
        command.write({"static": urls, "vantage": {"name": "here", "reference": "none"}})
        rolling = [sys.executable, "-c", ROLLING, str(admin), *order(orders, "restart")]
        said = command.run("run", "--assert", "zero-downtime", "--", *rolling)
    assert said.code == 0, said
    assert said.out.startswith("glance-a is back, after 1 s\nglance-b is back, after 1 s\n")
    service = target(command.report(), "glance")
    assert (service["down_s"], service["down_max_s"], service["episodes"]) == (0, 0, [])
    assert service["window_s"] > 4
