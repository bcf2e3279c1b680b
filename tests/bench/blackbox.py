"""A prometheus-blackbox-exporter, scraped as Prometheus does, over a connection that is kept."""

import http.client
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tests import blackbox
from tests.ports import free_port
from tests.processes import Server, ServerProcess
from tests.waiting import wait_until


class Blackbox(Server):
    """The exporter; `authority` is the file of the authority that it trusts."""

    def __init__(self, directory: Path, authority: Path) -> None:
        directory.mkdir()
        self._port = free_port()
        argv = blackbox.command(directory, authority, self._port)
        super().__init__(ServerProcess(argv, directory=directory))

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process.start()
        wait_until(
            lambda: blackbox.is_listening(self.pid, self._port),
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
