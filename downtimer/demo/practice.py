"""``downtimer demo --cloud``: a simulated cloud to practise on, until it is told to end or a command is over.

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
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self, TextIO

from downtimer.demo.cloud import SimulatedCloud
from downtimer.demo.daemon import configuration
from downtimer.demo.orders import Orders
from downtimer.demo.processes import kill, python_environment
from downtimer.errors import ExitCode
from downtimer.foreground import DEADLY, InterruptionError, Signals, check_command, handling

_STOP_S: Final = 60.0
_PYTHON: Final = shlex.quote(sys.executable)

_COMMANDS: Final = ("downtimer", "cloud", "vantage")
_WIDTH: Final = 79

_HOW: Final = """
The configuration is {config}.
Ctrl-C or SIGTERM ends it all.

In the shell of the last line, a run around something that is done to it:

  downtimer run --assert zero-downtime -- cloud restart nova

or step by step, where `cloud help` tells what else can be done:

  downtimer start
  cloud {order}
  downtimer status
  downtimer stop

First, in another terminal, a shell from where the cloud can be measured:

  {vantage} {shell}
"""
"""For 24 rows, and what is to be typed first is the last: it has not scrolled away."""


def run_practice(command: Sequence[str], *, out: TextIO | None = None, keep_files: bool = False) -> int:
    """Have a cloud up, for whoever wants to measure it; return the exit status of the command.

    Args:
        command: What to run in its vantage, and for how long it is up; empty: until a signal comes.
        out: Where to say what there is to be done; None for standard output.
        keep_files: Whether to leave the folder in place.

    Raises:
        DemoError: There can be no cloud.
        CommandError: The command can't be run.
    """
    if not command:
        _obey_ctrl_c()
    elif command[0] not in _COMMANDS:
        check_command(command[0])
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


def _obey_ctrl_c() -> None:
    """Have SIGINT end us also as a job in a script's background: shells have these ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
        if self._keep_files:
            sys.stderr.write(f"The files are in {self.directory} and stay there.\n")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, command: Sequence[str]) -> int:
        """Run a command in the vantage to its end; return its exit code."""
        process = subprocess.Popen(self._in_vantage(command))  # noqa: S603 - the user's own command
        try:
            with handling(DEADLY, lambda number, _: _pass_on(process, number)):
                code = process.wait()
        finally:
            kill(process)
        return code if code >= 0 else ExitCode.SIGNALLED - code

    def wait(self, out: TextIO) -> int:
        """Say what there is to be done, and wait for Ctrl-C, which is the good end."""
        try:
            out.write(self._how())
            out.flush()
            while True:
                signal.pause()
        except InterruptionError as interruption:
            if interruption.number == signal.SIGINT:
                return ExitCode.DONE
            raise

    def _how(self) -> str:
        """Return what there is, and what can be done with it."""
        names = ", ".join(name for service in self._cloud.services.values() for name in service.targets)
        addresses = self._cloud.addresses
        also = f"and {len(addresses)} floating IPs" if addresses else "without floating IPs"
        why = "" if self._cloud.has_network else f" ({self._cloud.no_network})"
        there_is = textwrap.fill(f"A simulated cloud is running: {names}, {also}{why}.", _WIDTH)
        order = f"drop {addresses[0]}" if addresses else "restart nova"
        shell = "bash" if shutil.which("bash") else "sh"
        how = _HOW.format(config=self._config, order=order, vantage=self._bin / "vantage", shell=shell)
        return f"{there_is}\n{how}"

    def _in_vantage(self, command: Sequence[str]) -> list[str]:
        return [str(self._bin / "vantage"), *command]

    def _write(self, name: str, line: str) -> None:
        script = self._bin / name
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o700)


def _pass_on(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Let a process have a signal that we got. Those of a terminal it gets without us."""
    if number not in (signal.SIGINT, signal.SIGQUIT):
        process.send_signal(number)
