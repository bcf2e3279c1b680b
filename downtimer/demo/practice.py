"""``downtimer demo --cloud``: a simulated cloud to practise on, up until Ctrl-C or until a command ends.

Beside the cloud there is a folder with a configuration that fits, and three commands: ``vantage`` runs a
program where the cloud can be measured (its network is a namespace of its own), ``cloud`` does something to
it, ``downtimer`` is this program.
"""

import contextlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, Self, TextIO

from downtimer.demo.cloud import SimulatedCloud
from downtimer.demo.daemon import configuration
from downtimer.demo.orders import USAGE, Orders
from downtimer.demo.processes import kill, python_environment
from downtimer.errors import ExitCode
from downtimer.foreground import DEADLY, InterruptionError, Signals

_STOP_S: Final = 60.0
_PYTHON: Final = shlex.quote(sys.executable)

_HOW: Final = """
The floor is yours, in another terminal. A run around something that is done to it:

  {vantage} downtimer run --assert zero-downtime -- cloud restart nova

or step by step:

  {vantage} downtimer start
  {cloud} drop {address}
  {vantage} downtimer status
  {vantage} downtimer stop

What the command `cloud` can do:
{orders}

The configuration is {config}. Ctrl-C ends it all.
"""


def run_practice(command: Sequence[str], *, out: TextIO | None = None, keep_files: bool = False) -> int:
    """Have a cloud up, for whoever wants to measure it; return the exit status of the command.

    Args:
        command: What to run in its vantage, and for how long it is up; empty: until a signal comes.
        out: Where to say what there is to be done; None for standard output.
        keep_files: Whether to leave the folder in place.

    Raises:
        DemoError: There can be no cloud.
    """
    try:
        with (
            Signals(),
            SimulatedCloud() as cloud,
            Orders(cloud) as orders,
            Ground(cloud, orders, keep_files=keep_files) as ground,
        ):
            return ground.run(command) if command else ground.wait(out or sys.stdout)
    except InterruptionError as interruption:
        return ExitCode.SIGNALLED + interruption.number


class Ground:
    """The folder and its commands, from entering to leaving; a daemon that was left is stopped then.

    Attributes:
        directory: The folder; removed at the end.

    Args:
        cloud: To be measured.
        orders: To it.
        keep_files: Whether to leave the folder in place.
    """

    def __init__(self, cloud: SimulatedCloud, orders: Orders, *, keep_files: bool = False) -> None:
        self._cloud = cloud
        self._orders = orders
        self._keep_files = keep_files
        self.directory = Path(tempfile.mkdtemp(prefix="downtimer-practice-"))
        self._config = self.directory / "conf.ini"
        self._bin = self.directory / "bin"

    def __enter__(self) -> Self:
        self._config.touch(mode=0o600)
        self._config.write_text(configuration(self._cloud, self.directory))
        self._bin.mkdir()
        package = shlex.quote(python_environment()["PYTHONPATH"])
        ours = f"PYTHONPATH={package} exec {_PYTHON} -m downtimer"
        self._write("downtimer", f'{ours}.cli "$@"')
        self._write("cloud", f'{ours}.demo.orders {shlex.quote(str(self._orders.path))} "$@"')
        inside = self._cloud.network.in_vantage([]) if self._cloud.has_network else []
        settings = (
            f'DOWNTIMER_CONFIG={shlex.quote(str(self._config))} PATH={shlex.quote(str(self._bin))}:"$PATH"'
        )
        self._write("vantage", f'{settings} exec {shlex.join(inside)} "$@"')
        return self

    def __exit__(self, *_: object) -> None:
        if (self.directory / "run" / "control.sock").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(  # noqa: S603 - our own command
                    self._in_vantage(["downtimer", "stop"]), stdout=sys.stderr, timeout=_STOP_S, check=False
                )
        if not self._keep_files:
            shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, command: Sequence[str]) -> int:
        """Run a command in the vantage to its end; return its exit code."""
        process = subprocess.Popen(self._in_vantage(command))  # noqa: S603 - the user's own command
        try:
            with _passing_on(process):
                code = process.wait()
        finally:
            kill(process)
        return code if code >= 0 else ExitCode.SIGNALLED - code

    def wait(self, out: TextIO) -> int:
        """Say what there is to be done, and wait for Ctrl-C, which is the good end."""
        cloud = self._cloud
        out.write(f"A simulated cloud is running: {', '.join((*cloud.services, *cloud.addresses))}\n")
        if not cloud.has_network:
            out.write(f"without floating IPs: {cloud.no_network}.\n")
        words = {name: self._bin / name for name in ("vantage", "cloud")}
        address = next(iter(cloud.addresses), "ADDRESS")
        orders = "".join(f"  {line}\n" for line in USAGE.splitlines())
        out.write(_HOW.format(**words, address=address, orders=orders, config=self._config))
        out.flush()
        try:
            while True:
                signal.pause()
        except InterruptionError as interruption:
            if interruption.number == signal.SIGINT:
                return ExitCode.DONE
            raise

    def _in_vantage(self, command: Sequence[str]) -> list[str]:
        return [str(self._bin / "vantage"), *command]

    def _write(self, name: str, line: str) -> None:
        script = self._bin / name
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o700)


@contextlib.contextmanager
def _passing_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Let a process have the signals that we get. Those of a terminal it gets without us."""

    def pass_on(number: int, _: FrameType | None) -> None:
        if number not in (signal.SIGINT, signal.SIGQUIT):
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in DEADLY}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
