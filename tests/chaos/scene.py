"""What is measured while faults befall downtimer: a cloud that is well, but for addresses that flap.

These make the load: a span for every turn, in whatever moment a process dies.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import msgspec

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.truth import now_ns
from downtimer.model import ICMP, SECOND_NS, Verdict
from tests.accuracy.judge import Report
from tests.chaos.ledger import Ledger
from tests.chaos.outcome import Outcome
from tests.chaos.spans import Held, read
from tests.integration.command import Command
from tests.troubles import AFTER_NS, Trouble, invented_s, unobserved_s
from tests.waiting import wait_until

SERVICES: Final = ("keystone", "glance", "neutron")
QUIET: Final = tuple(f"172.16.166.{last}" for last in range(21, 41))
FLAPPING: Final = tuple(f"172.16.166.{last}" for last in range(41, 61))
READY_S: Final = 60.0
_ROOT: Final = Path(__file__).parents[2]
_LEARN_S: Final = 4.0
_FLAP_S: Final = (0.1, 0.4)


class Scene:
    """From entering to leaving.

    Attributes:
        cloud: The simulated one.
        command: downtimer, which measures it.
        ledger: What its journal has ever held.
        random: Whatever is left to chance.
        played: The troubles so far.
    """

    def __init__(
        self,
        directory: Path,
        *,
        seed: int,
        sections: Mapping[str, Mapping[str, str]] | None = None,
        disk_bytes: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            directory: For configuration, state, log and report.
            seed: Of what is left to chance.
            sections: More of the configuration.
            disk_bytes: The state is on a disk of its own, so large; None: where the directory is.
        """
        self.ledger = Ledger()
        self.random = random.Random(seed)  # noqa: S311 - so that it can be played again
        self.played: list[Trouble] = []
        self._directory, self._sections, self._disk_bytes = directory, sections or {}, disk_bytes
        self._root = ""  # under which the daemon's files are seen from here
        self._origin_ns: int | None = None  # of the run, on the clock of the record
        self._exit = ExitStack()
        self._over = threading.Event()
        self._lost = Counter[str]()  # spans, by name of the trouble

    def __enter__(self) -> Self:
        """Build it, and measure until everything is known."""
        try:
            config = CloudConfig(services=SERVICES, addresses=(*QUIET, *FLAPPING), unassociated=())
            self.cloud = self._exit.enter_context(SimulatedCloud(config))
            account = {"keystone_endpoint": self.cloud.keystone_url, "user": config.user}
            own = dict(self._sections)
            own["global"] = account | {"password": config.password} | dict(own.get("global", {}))
            own.setdefault("vantage", {"name": "chaos", "reference": "none"})
            inside = () if self._disk_bytes is None else self._mount(self._disk_bytes)
            self._inside = self.cloud.network.in_vantage(inside)
            self.command = Command(self._directory, prefix=self._inside, sections=own)
            self._exit.callback(self.command.end)
            self.command.ok("start")
            self.until_up()
            time.sleep(_LEARN_S)
            flapping = threading.Thread(target=self._flap, args=(random.Random(self.random.random()),))  # noqa: S311
            flapping.start()
            self._exit.callback(flapping.join)
            self._exit.callback(self._over.set)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self._exit.close()

    @property
    def journal(self) -> Path:
        """The journal of the only run."""
        (found,) = (self.seen(self.command.state_dir) / "runs").glob("*.sqlite")
        return found

    def seen(self, path: Path) -> Path:
        """Return where a path of the daemon's is seen from here, by everything but SQLite."""
        return Path(f"{self._root}{path}")

    def until_up(self) -> None:
        """Wait until all that is well is up."""

        def are_up() -> bool:
            targets = self.command.status()["targets"]
            up = {kind: counts["up"] + counts["slow"] for kind, counts in targets.items()}
            return bool(up["service"] == len(SERVICES) and up["address"] >= len(QUIET))

        wait_until(are_up, timeout_s=READY_S, what="all that is well to be up")

    def trouble(self, name: str, act: Callable[[], None]) -> None:
        """Play a trouble; what was committed before it is noted."""
        self._note()
        start_ns = now_ns()
        act()
        self.played.append(Trouble(name, start_ns, now_ns()))

    def _note(self) -> None:
        """Note what is committed now; what is lost was lost by the last trouble."""
        held, before = self._read(), self.ledger.lost
        self.ledger.note(held.spans)
        if self.played:
            self._lost[self.played[-1].name] += self.ledger.lost - before
        if self._origin_ns is None:
            self._origin_ns = held.origin_ns

    def end(self) -> list[Outcome]:
        """Stop; return what came of the troubles."""
        time.sleep(AFTER_NS / SECOND_NS)
        self._over.set()
        self.command.ok("stop")
        self._note()
        report = self.report()
        # Every reply has a request, which the cloud's kernel has counted.
        excess = max(0, self.ledger.probes[ICMP, Verdict.UP] - self.echoes())
        invented = invented_s(report, self.played, FLAPPING)
        starts = [*(trouble.start_ns for trouble in self.played[1:]), None]
        longest: dict[str, float] = {}
        for trouble, next_ns in zip(self.played, starts, strict=True):
            seconds = unobserved_s(report, trouble, next_ns, FLAPPING)
            longest[trouble.name] = max(longest.get(trouble.name, 0.0), seconds)
        times = Counter(trouble.name for trouble in self.played)
        return [
            Outcome(
                fault=name,
                times=count,
                lost=self._lost[name],
                twice=self.ledger.twice + excess,  # by which of them cannot be told
                invented_s=invented[name],
                unobserved_s=longest[name],
                back_s=max(one.end_ns - one.start_ns for one in self.played if one.name == name) / SECOND_NS,
            )
            for name, count in times.items()
        ]

    def report(self) -> Report:
        """Return what is reported of the run, which has ended."""
        with tempfile.TemporaryDirectory() as folder:
            report = Report(Path(shutil.copy(self.journal, folder)))
        if self._origin_ns is not None:
            report.origin_ns = self._origin_ns  # that of the journal is another after a reboot
        return report

    def _read(self) -> Held:
        """Return what the journal holds now."""
        if self._disk_bytes is None:
            return read(self.journal)
        inside = self.command.state_dir / "runs" / self.journal.name
        argv = [*self._inside, sys.executable, "-m", "tests.chaos.spans", str(inside)]
        where = os.pathsep.join(
            filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])
        )  # it is elsewhere then
        said = subprocess.run(
            argv, stdout=subprocess.PIPE, check=True, env=os.environ | {"PYTHONPATH": where}
        ).stdout
        return msgspec.json.decode(said, type=Held)

    def echoes(self) -> int:
        """Return how many echo requests have come in at the cloud."""
        text = Path(f"/proc/{self.cloud.network.cloud_pid}/net/snmp").read_text()
        names, values = (line.split() for line in text.splitlines() if line.startswith("Icmp:"))
        return int(dict(zip(names, values, strict=True))["InEchos"])

    def _mount(self, size: int) -> list[str]:
        """Mount a disk for the state; return the command that enters where it is."""
        state = self._directory / "state"
        state.mkdir()
        script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && exec cat'
        argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(size), str(state)]
        holder = self._exit.enter_context(
            subprocess.Popen(
                self.cloud.network.in_vantage(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        self._root = f"/proc/{holder.pid}/root"
        return ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--"]

    def _flap(self, chance: random.Random) -> None:
        """Take addresses away and give them back until it is over."""
        gone: set[str] = set()
        while not self._over.wait(chance.uniform(*_FLAP_S)):
            some = chance.sample(FLAPPING, 3)
            back = [address for address in some if address in gone]
            away = [address for address in some if address not in gone]
            if back:
                self.cloud.restore(*back)
            if away:
                self.cloud.drop(*away)
            gone = (gone | set(away)) - set(back)
        if gone:
            self.cloud.restore(*gone)
