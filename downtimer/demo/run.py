"""``downtimer demo``: a simulated cloud is upgraded, the real daemon measures it, the truth is shown beside.

Exit status 0 if every injected outage lies within the bounds reported and nothing else was down.
"""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TextIO

from downtimer.control import progress
from downtimer.demo.cloud import SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.database import ALIVE, DEAD
from downtimer.demo.script import Act, Moment, Step, length_s, moments, upgrade
from downtimer.demo.truth import Fault
from downtimer.demo.verdict import compare, format_table
from downtimer.errors import DowntimerError, ExitCode
from downtimer.foreground import InterruptionError, handling
from downtimer.terminal_line import TerminalLine

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE_S = 2.0
_TICK_S = 0.25


def run_demo(*, out: TextIO | None = None, keep_files: bool = False) -> int:
    """Run the demo; return the exit status of the command.

    A signal ends it in order: the daemon, the services and the namespaces are gone when it returns.

    Args:
        out: Where to write; None for standard output.
        keep_files: Whether to leave the daemon's configuration, journal and log in place.
    """
    stream = sys.stdout if out is None else out
    try:
        with _interruptible():
            show = _Show(stream)
            show.line.show("a simulated cloud is being started")
            with SimulatedCloud() as cloud:
                show.line.clear()
                return _measure(cloud, show, keep_files=keep_files)
    except DowntimerError as error:
        sys.stderr.write(f"downtimer demo: {error}\n")
        return error.exit_code
    except InterruptionError as interruption:
        stream.write("\ninterrupted; everything is cleaned up\n")
        return ExitCode.SIGNALLED + interruption.number


def play(cloud: SimulatedCloud, steps: tuple[Step, ...], show: "_Show") -> None:
    """Inject what the script says, when it says so."""
    begun = time.monotonic()
    for moment in moments(steps):
        show.wait(begun, moment.at_s)
        show.moment(moment)
        _inject(cloud, moment)
    show.wait(begun, length_s(steps))
    show.line.clear()


class _Show:
    """Progress: one line that changes on a terminal, a line for each moment elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.line = TerminalLine(out)
        self._down: list[str] = []
        self._never = threading.Event()
        self.length_s = 0.0

    def say(self, text: str) -> None:
        """Write lines."""
        self._out.write(f"{text}\n")
        self._out.flush()

    def wait(self, begun: float, at_s: float) -> None:
        """Wait until that second of the script, showing the time that passes."""
        while (left_s := begun + at_s - time.monotonic()) > 0:
            down = f"down now: {', '.join(self._down)}" if self._down else "all up"
            self.line.show(f"  {at_s - left_s:4.1f} of {self.length_s:.0f} s   {down}")
            self._never.wait(min(left_s, _TICK_S) if self.line.is_live else left_s)

    def moment(self, moment: Moment) -> None:
        """Show that something is being done."""
        if moment.down:
            self._down.append(moment.step.target)
        else:
            self._down.remove(moment.step.target)
        if not self.line.is_live:
            self.say(f"  {moment.at_s:4.1f} s  {moment.text}")


def _measure(cloud: SimulatedCloud, show: _Show, *, keep_files: bool) -> int:
    """Start the daemon, play the script, print the report and the table."""
    _introduce(cloud, show)
    with contextlib.ExitStack() as stack:
        daemon = Daemon(cloud, keep_files=keep_files)
        with progress.watched(daemon.control_socket, cloud.keystone_url, show.line.show):
            stack.enter_context(daemon)
        if keep_files:
            show.say(f"Its files are in {daemon.directory} and stay there.")
        steps = upgrade(cloud.addresses)
        show.length_s = length_s(steps)
        show.say(f"The daemon measures. An upgrade of {show.length_s:.0f} seconds begins.")
        play(cloud, steps, show)
        show.say(f"The daemon is told to stop; its report:\n\n{daemon.stop()}")
        report = daemon.report()
    injected = {target: cloud.truth.down_s(target, _PATIENCE_S) for target in cloud.targets}
    rows = compare(injected, report)
    show.say(f"Held against what was really injected:\n\n{format_table(rows)}")
    if all(row.holds for row in rows):
        show.say("Every injected outage lies within its bounds, and nothing else was down.")
        return ExitCode.DONE
    show.say("The report does NOT agree with what was injected.")
    return ExitCode.FAILED


def _introduce(cloud: SimulatedCloud, show: _Show) -> None:
    names = [name for service in cloud.services.values() for name in service.targets]
    show.say(f"A simulated cloud is running: {', '.join(names)}")
    if cloud.has_network:
        show.say(f"and {len(cloud.addresses)} floating IPs, in network namespaces of their own.")
    else:
        show.say(f"without floating IPs: {cloud.no_network}.")


def _inject(cloud: SimulatedCloud, moment: Moment) -> None:
    target, act = moment.step.target, moment.step.act
    if act is Act.DROP:
        (cloud.drop if moment.down else cloud.restore)(target)
    elif act is Act.DATABASE and moment.down:
        when = cloud.service(target).set_database(DEAD)
        cloud.truth.begin(Fault(target=target, what="database dead", start=when))
    elif act is Act.DATABASE:
        cloud.truth.end(target, cloud.service(target).set_database(ALIVE))
    elif moment.down:
        cloud.service(target).kill()
    else:
        cloud.service(target).start()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have the first signal raise where we are, and all later ones ignored while we clean up."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise InterruptionError(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with handling(_SIGNALS, interrupt):
        yield
