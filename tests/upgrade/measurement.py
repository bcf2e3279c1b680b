"""One run: the cloud, downtimer that measures it, the prober beside it, and the upgrade."""

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

from downtimer.cells import order
from downtimer.demo.processes import python_environment
from downtimer.demo.truth import Truth
from downtimer.findings import TargetSummary
from downtimer.joining import join_edges
from downtimer.outages import summarize
from downtimer.report.attributed import attributed_spans
from downtimer.store.journal import JournalReader
from tests.integration.command import Command
from tests.integration.keystone_install import KeystoneInstallation
from tests.processes import ServerProcess
from tests.upgrade.cloud import PASSWORD, USER, Cloud
from tests.upgrade.steps import Step, Upgrade
from tests.upgrade.tally import Asked, read

KEYSTONE: Final = "keystone"
QUIET_S: Final = 60.0
PAUSE_S: Final = 5.0
SETTLED_S: Final = 30.0

_ERROR: Final = re.compile(r"\(HTTP/1\.1 5\d\d\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of one run.

    Attributes:
        is_busy: Whether the prober asked all the time, or only once the schema had been expanded.
        transactions: Those that the old Keystone had open just before that.
        steps: The upgrade's own log.
        asked: What the prober asked.
        errors: How many requests the old Keystone answered with an error of its own, by its log.
        truth: Ties all instants to UTC.
        text: The report.
        services: What it says of each service, by its name.
        checks: The same of each of Keystone's checks alone, by its name.
        origin_ns: Instant 0 of both (CLOCK_BOOTTIME).
    """

    is_busy: bool
    transactions: int
    steps: Sequence[Step]
    asked: Sequence[Asked]
    errors: int
    truth: Truth
    text: str
    services: Mapping[str, TargetSummary]
    checks: Mapping[str, TargetSummary]
    origin_ns: int


def measure(
    old: KeystoneInstallation, new: KeystoneInstallation, directory: Path, *, is_busy: bool
) -> Measured:
    """Upgrade it, and return what was measured.

    Args:
        old: Serves at first, on a database of its own making.
        new: Takes its place.
        directory: For everything; must not exist.
        is_busy: Whether the prober asks all the time, or only once the schema has been expanded.
    """
    directory.mkdir()
    truth, label = Truth(), f"keystone upgrade, {'busy' if is_busy else 'idle'}"
    with Cloud.running(old, new, directory / "cloud") as cloud:
        prober = Prober(cloud, directory / "prober")
        with _measured(cloud, directory / "downtimer", label) as command, prober:
            if is_busy:
                prober.start()
            time.sleep(QUIET_S)
            transactions = cloud.open_transactions()
            upgrade = Upgrade(cloud)
            upgrade.expand()
            if not is_busy:
                prober.start()
            time.sleep(PAUSE_S)
            upgrade.replace()
            upgrade.contract()
            time.sleep(SETTLED_S)
            asked = prober.asked()
            text = command.ok("stop")
    (journal,) = (command.state_dir / "runs").glob("*.sqlite")
    with contextlib.closing(JournalReader(str(journal))) as reader:
        services, checks = _summarize(reader)
        origin_ns = reader.run().boot_origin_ns
    return Measured(
        is_busy=is_busy,
        transactions=transactions,
        steps=upgrade.steps,
        asked=asked,
        errors=len(_ERROR.findall((directory / "cloud" / "old" / "output.log").read_text())),
        truth=truth,
        text=text,
        services=services,
        checks=checks,
        origin_ns=origin_ns,
    )


class Prober:
    """The process that asks, and its log."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        directory.mkdir()
        self._log = directory / "asked"
        argv = [sys.executable, "-m", "tests.upgrade.prober", str(cloud.old.port), str(self._log)]
        self._process = ServerProcess(argv, directory=directory, environment=python_environment())

    def start(self) -> None:
        """Start it."""
        self._process.start()

    def asked(self) -> list[Asked]:
        """Return what it has asked so far."""
        if not self._process.is_running():
            raise RuntimeError(f"the prober ended; it said:\n{self._process.log_tail()}")
        lines = self._log.read_text().splitlines(keepends=True)
        return read(line for line in lines if line.endswith("\n"))

    def __enter__(self) -> None:
        """Have it ended with the context."""

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.stop()


@contextlib.contextmanager
def _measured(cloud: Cloud, directory: Path, label: str) -> Iterator[Command]:
    """Have it measured; leaving stops the daemon."""
    directory.mkdir()
    account = {"keystone_endpoint": cloud.old.url, "user": USER, "password": PASSWORD}
    sections = {"global": account, "vantage": {"name": "here", "reference": "none"}}
    command = Command(directory, prefix=[], sections=sections)
    command.ok("start", "--label", label)
    try:
        yield command
    finally:
        command.end()


def _summarize(reader: JournalReader) -> tuple[Mapping[str, TargetSummary], Mapping[str, TargetSummary]]:
    """Return what the journal says of each service, and of each of Keystone's checks alone."""
    found = {state.target.name: (state, spans) for state, spans in attributed_spans(reader)}
    keystone, spans = found[KEYSTONE]
    series = join_edges([order(list(each)) for _, each in groupby(spans, key=attrgetter("check"))])
    return (
        {name: summarize(*each) for name, each in found.items()},
        {each[0].check: summarize(keystone, each) for each in series},
    )
