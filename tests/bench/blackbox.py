"""A prometheus-blackbox-exporter, scraped as Prometheus does, over a connection that is kept."""

import http.client
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tests.ports import free_port
from tests.processes import Server, ServerProcess, require_program
from tests.waiting import wait_until

_CONFIG: Final = """\
modules:
  api:
    prober: http
    timeout: 2s
    http:
      follow_redirects: false
      preferred_ip_protocol: ip4
      tls_config: {{ca_file: {authority}}}
"""


class Blackbox(Server):
    """The exporter; `authority` is the file of the authority that it trusts."""

    def __init__(self, directory: Path, authority: Path) -> None:
        directory.mkdir()
        config = directory / "blackbox.yml"
        config.write_text(_CONFIG.format(authority=authority))
        self._port = free_port()
        program = require_program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
        argv = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self._port}"]
        super().__init__(ServerProcess(argv, directory=directory))

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process.start()
        awaited = f":{self._port:04X} 00000000:0000 0A"
        table = Path(f"/proc/{self.pid}/net")
        wait_until(
            lambda: any(awaited in (table / name).read_text() for name in ("tcp", "tcp6")),
            timeout_s=10,
            what="the exporter to listen",
        )

    def probe(self, urls: Sequence[str], *, seconds: float, per_second: float) -> int:
        """Have it probe these in turn for so long, as fast as that if it can; return how often it did.

        Raises:
            AssertionError: A probe failed.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        began = time.monotonic()
        probes = 0
        while (now := time.monotonic()) - began < seconds:
            if (early := probes / per_second - (now - began)) > 0:
                time.sleep(early)
            connection.request("GET", f"/probe?module=api&target={quote(urls[probes % len(urls)], safe='')}")
            assert b"\nprobe_success 1\n" in connection.getresponse().read()
            probes += 1
        connection.close()
        return probes
