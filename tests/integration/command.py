"""The command, as a user runs it, with a configuration and folders of its own, in a network namespace."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downtimer.demo.cloud import SimulatedCloud
from tests.waiting import wait_until

PROGRAM = (sys.executable, "-m", "downtimer.cli")
COMMAND_S = 120
ADDRESS = "172.16.166.151"


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


class Command:
    """downtimer on one configuration.

    Args:
        directory: For configuration, state, sockets, log and report.
        prefix: What enters the namespace in which it runs.
        sections: Of the configuration, beside the places.
    """

    def __init__(
        self, directory: Path, *, prefix: Sequence[str], sections: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.directory = directory
        self.config = directory / "conf.ini"
        self.report_file = directory / "report"
        self.log_file = directory / "log"
        self.state_dir = directory / "state"
        self.runtime_dir = directory / "run"
        self._prefix = list(prefix)
        self.write(sections)

    def write(self, sections: Mapping[str, Mapping[str, str]]) -> None:
        """Write the configuration."""
        places = {
            "report_file": str(self.report_file),
            "log_file": str(self.log_file),
            "state_dir": str(self.state_dir),
            "runtime_dir": str(self.runtime_dir),
        }
        everything = dict(sections) | {"global": places | dict(sections.get("global", {}))}
        text = "".join(
            f"[{name}]\n" + "".join(f"{option}={value}\n" for option, value in options.items())
            for name, options in everything.items()
        )
        self.config.touch(mode=0o600)
        self.config.write_text(text)

    def run(self, *words: str, prefix: Sequence[str] = ()) -> Said:
        """Run one command to its end; `prefix` comes between the namespace and it."""
        done = subprocess.run(
            self.argv(*words, prefix=prefix),
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def argv(self, *words: str, prefix: Sequence[str] = ()) -> list[str]:
        """Return the command line of a command; what is behind a ``--`` stays there."""
        end = words.index("--") if "--" in words else len(words)
        return [*self._prefix, *prefix, *PROGRAM, *words[:end], "--config", str(self.config), *words[end:]]

    def environment(self) -> dict[str, str]:
        """Return what a shell needs that runs commands of `argv`: these have no other directory."""
        return {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}

    def ok(self, *words: str) -> str:
        """Run a command that must succeed; return what it printed."""
        said = self.run(*words)
        assert said.code == 0, f"{words}: {said}\n{self.log()}"
        return said.out

    def status(self) -> dict[str, Any]:
        """Return the status."""
        found: dict[str, Any] = json.loads(self.ok("status", "--json"))
        return found

    def pids(self) -> dict[str, int]:
        """Return the process ids of the children by class."""
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def supervisor(self) -> int:
        """Return the process id of the supervisor."""
        return int((self.runtime_dir / "lock").read_text())

    def report(self, *words: str) -> dict[str, Any]:
        """Return the report in JSON."""
        found: dict[str, Any] = json.loads(self.ok("report", "--format", "json", *words))
        return found

    def log(self) -> str:
        """Return the log; empty if there is none."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def end(self) -> None:
        """Stop whatever runs; for the end of a test, also one that failed."""
        self.run("stop")


def static_targets(cloud: SimulatedCloud) -> dict[str, dict[str, str]]:
    """Return the sections that name them."""
    targets = {"urls": f"glance={cloud.service('glance').url}/", "ips": " ".join(cloud.addresses)}
    return {"static": targets, "vantage": {"name": "here", "reference": "none"}}


def target(report: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a target of a report."""
    (found,) = [one for one in report["targets"] if one["name"] == name]
    assert isinstance(found, dict)
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until_measured(command: Command) -> None:
    """Wait until every target has been seen up."""
    counts = wait_until(
        lambda: (
            (found := command.status()["targets"])
            and found["service"]["up"] == 1
            and found["address"]["up"] == 2
        ),
        timeout_s=10,
        what="all to be up",
    )
    assert counts


def processes_of(command: Command) -> list[str]:
    """Return the command lines of processes that this installation has left running."""
    runs = {path.stem for path in (command.state_dir / "runs").glob("*.sqlite")}
    mine = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes() if os.geteuid() == 0 else b""
        except OSError:
            continue
        if str(command.directory).encode() in environment or any(run in line for run in runs):
            mine.append(line)
    return mine
