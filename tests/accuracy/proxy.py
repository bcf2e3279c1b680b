"""A real HAProxy in front of simulated services, whose log tells what became of each request."""

import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from downtimer.demo.cloud import SimulatedCloud
from downtimer.demo.truth import Truth
from downtimer.model import MILLISECOND_NS, SECOND_NS
from tests.processes import require_program
from tests.waiting import wait_until

_PORTS_FROM = 9300
_LONGEST = 8192

_HEAD = """
global
    log {log} format rfc3164 local0
    maxconn 2000
defaults
    mode http
    log global
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    retries 0
    log-format "request %Ts %ms %ST %f %[capture.req.hdr(0)]"
"""
# At random: the turns of a round robin would fall in step with the regular requests of its few clients here.
_FRONT = """
frontend {name}
    bind {host}:{port}
    http-request capture req.hdr(User-Agent) len 20
    default_backend {name}
backend {name}
    balance random
"""


class Request(NamedTuple):
    """One request, as the proxy logged it: when it was accepted (CLOCK_BOOTTIME), and the status it got."""

    at_ns: int
    status: int
    agent: str


class Proxy:
    """HAProxy where the services are, from entering to leaving.

    Args:
        cloud: Where.
        host: On which it listens.
        backends: Of each frontend: ``host:port`` each. A dead one of several is taken out as kolla-ansible
            has it, after five checks 2 s apart; a single one is never, so that its death is always seen.
    """

    def __init__(self, cloud: SimulatedCloud, host: str, backends: Mapping[str, Sequence[str]]) -> None:
        self._cloud = cloud
        self._folder = cloud.directory
        self._backends = backends
        self._ports = {name: _PORTS_FROM + number for number, name in enumerate(backends)}
        self._host = host
        self._lines: list[str] = []
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def url(self, name: str) -> str:
        """Return where a frontend is."""
        return f"http://{self._host}:{self._ports[name]}/"

    def __enter__(self) -> Self:
        """Start it."""
        path = self._folder / "haproxy.log"
        self._log.bind(str(path))
        self._thread.start()
        config = self._folder / "haproxy.cfg"
        config.write_text(self._configuration(path))
        program = require_program("haproxy", "haproxy")
        process = self._cloud.run_in_cloud([program, "-q", "-db", "-f", str(config)])
        wait_until(
            lambda: self._has_listeners(process.pid) or process.poll() is not None,
            timeout_s=10,
            what="HAProxy to listen",
        )
        if process.poll() is not None:
            raise RuntimeError(f"HAProxy ended with {process.returncode}")
        return self

    def __exit__(self, *_: object) -> None:
        """Hear no more of it; the cloud ends it."""
        self._log.close()

    def requests(self, name: str, truth: Truth) -> list[Request]:
        """Return what became of the requests to a frontend, in order."""
        found = []
        for line in list(self._lines):
            seconds, milliseconds, status, frontend, agent = line.split(maxsplit=4)
            if frontend == name:
                utc_ns = int(seconds) * SECOND_NS + int(milliseconds) * MILLISECOND_NS
                boot_ns = utc_ns - truth.origin_utc_ns + truth.origin_boot_ns
                found.append(Request(boot_ns, int(status), agent))
        return sorted(found)

    def _configuration(self, log: Path) -> str:
        parts = [_HEAD.format(log=log)]
        for name, addresses in self._backends.items():
            parts.append(_FRONT.format(name=name, host=self._host, port=self._ports[name]))
            check = " check inter 2s fall 5 rise 2" if len(addresses) > 1 else ""
            parts += [f"    server s{i} {address}{check}\n" for i, address in enumerate(addresses)]
        return "".join(parts)

    def _has_listeners(self, pid: int) -> bool:
        """Tell whether the process listens on all ports, as its namespace's table has it."""
        table = Path(f"/proc/{pid}/net/tcp").read_text()
        return all(f":{port:04X} 00000000:0000 0A" in table for port in self._ports.values())

    def _collect(self) -> None:
        while True:
            try:
                message = self._log.recv(_LONGEST).decode(errors="replace")
            except OSError:
                return
            _, is_request, rest = message.partition("request ")
            if is_request:
                self._lines.append(rest.strip())
