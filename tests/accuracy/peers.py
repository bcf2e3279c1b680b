"""What people use today, in the same run: fping in a loop, and a blackbox_exporter that is polled.

Both once a second; their failed samples are counted as seconds, as their users do.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from downtimer.demo.cloud import SimulatedCloud
from downtimer.demo.netns import VANTAGE_IP
from downtimer.demo.truth import Truth
from downtimer.model import SECOND_NS
from tests import blackbox
from tests.processes import require_program
from tests.waiting import wait_until

SAMPLE_NS = SECOND_NS
_PORT = 9115
_FPING_IP = "10.255.254.1"
_LINE = re.compile(r"\[(?P<at>[0-9.]+)\] (?P<address>\S+) +: \[\d+\], (?P<what>.*)")


class Sample(NamedTuple):
    """One sample of a peer: when it was taken (CLOCK_BOOTTIME), of what, and whether it failed."""

    at_ns: int
    target: str
    has_failed: bool


class Peers:
    """Both, from construction to the end of the cloud.

    Args:
        cloud: In whose vantage they run.
        urls: What the blackbox_exporter probes, by name.
        addresses: What fping pings.
        authority: File of the certificates to trust.
    """

    def __init__(
        self, cloud: SimulatedCloud, urls: Mapping[str, str], addresses: Sequence[str], authority: Path
    ) -> None:
        self._folder = cloud.directory
        self._truth = cloud.truth
        self._polled = self._folder / "polled"
        self._pinged = self._folder / "pinged"
        if addresses:
            self._start_fping(cloud, addresses)
        if urls:
            self._start_blackbox(cloud, urls, authority)

    def _start_fping(self, cloud: SimulatedCloud, addresses: Sequence[str]) -> None:
        fping = require_program("fping", "fping")
        # A raw socket gets a copy of all replies that are for its address, ours as well if that is the same.
        assert cloud.run_in_vantage(["ip", "address", "add", _FPING_IP, "dev", "lo"]).wait(10) == 0
        assert cloud.run_in_cloud(["ip", "route", "add", _FPING_IP, "via", VANTAGE_IP]).wait(10) == 0
        options = ["-l", "-D", "-p", "1000", "-t", "1000", "-i", "1", "-S", _FPING_IP]
        command = ["stdbuf", "-oL", fping, *options, *addresses]
        with self._pinged.open("wb") as log:
            cloud.run_in_vantage(command, stdout=log, stderr=subprocess.DEVNULL)

    def _start_blackbox(self, cloud: SimulatedCloud, urls: Mapping[str, str], authority: Path) -> None:
        argv = blackbox.command(self._folder, authority, _PORT)
        exporter = cloud.run_in_vantage(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(
            lambda: blackbox.is_listening(exporter.pid, _PORT),
            timeout_s=10,
            what="the blackbox_exporter to listen",
        )
        named = [f"{name}={url}" for name, url in urls.items()]
        cloud.run_in_vantage(
            [sys.executable, "-m", "tests.accuracy.poller", str(_PORT), str(self._polled), *named]
        )

    def samples(self) -> list[Sample]:
        """Return all samples taken."""
        return [*self._of_fping(), *self._of_blackbox()]

    def _of_fping(self) -> Iterator[Sample]:
        lines = self._pinged.read_text().splitlines() if self._pinged.exists() else ()
        for line in lines:
            match = _LINE.fullmatch(line)
            if match is None:
                continue
            has_failed = match["what"].startswith("timed out")
            at_ns = boot_ns(self._truth, round(float(match["at"]) * SECOND_NS))
            # It says so when the time is up; the request left before.
            yield Sample(at_ns - SAMPLE_NS * has_failed, match["address"], has_failed)

    def _of_blackbox(self) -> Iterator[Sample]:
        lines = self._polled.read_text().splitlines() if self._polled.exists() else ()
        for line in lines:
            at, name, success = line.split()
            yield Sample(int(at), name, success == "0")


def boot_ns(truth: Truth, utc_ns: int) -> int:
    """Return an instant of the wall clock on the clock of the record."""
    return utc_ns - truth.origin_utc_ns + truth.origin_boot_ns
