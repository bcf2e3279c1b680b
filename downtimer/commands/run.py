"""Measure while a command does its work, then report, and judge.

Usage: downtimer run [--config FILE] [--os-cloud NAME] [--label TEXT]
                     [--assert EXPR]... [--lenient] [--format FORMAT]
                     [--output FILE] [--new | --resume] -- COMMAND...

Options:
  --os-cloud NAME         the cloud, as for `downtimer start`
  --label TEXT            what the run is of, for the report
  --assert EXPR           a promise to judge the run by; `downtimer report
                          --help` has examples
  --lenient               what is undecided is no failure; a promise about
                          nothing, as of a misspelt name, still is one
  --format FORMAT         of the report: text (if not given), json, html,
                          markdown, junit
  --output FILE           write it there; else it follows, on standard output,
                          what the command has written there
  --new                   begin a new run, even if one was cut off just now
  --resume                go on with the run that was cut off, however long ago
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

The command begins once everything has been seen. It is measured until
2 seconds after its end, or up to 10 while something is down that was not
before. It has our standard input, output and error (what we say ourselves is
on standard error) and gets the signals that we get; the report still comes.
In it `downtimer mark TEXT` needs no --config, and DOWNTIMER_RUN is the run.

Exit: the command's own if not 0, 128+N if signal N ended it; else 4 if an
assertion failed or is undecided, 1 if the run could not be ended or reported.
If it was not begun: 126 not executable, 127 not found, 125 for any other
reason, wrong usage and configuration among them, 128+N for signal N.

Example:
  downtimer run --assert zero-downtime -- ansible-playbook upgrade.yml
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from downtimer.commands import start, stop
from downtimer.commands.common import ANSWER_S, Arguments, configuration, label, warn
from downtimer.commands.delivering import wanted
from downtimer.config import VARIABLE, Config
from downtimer.control import client
from downtimer.control.wording import down_already
from downtimer.errors import ControlError, DowntimerError, ExitCode, NotRunningError
from downtimer.foreground import InterruptionError, Signals, check_command
from downtimer.model import Kind

SEEN_S: Final = 60.0
"""If something was not seen by then, the command begins all the same."""

POLL_S: Final = 0.2
AFTERMATH_S: Final = 2.0
"""So long what comes after the command is measured, for every target is to be probed once more."""

AFTERMATH_MOST_S: Final = 10.0
"""Likewise while something is down that was not before the command: its end is to be seen."""

CHECKED: Final = (Kind.SERVICE, Kind.ADDRESS)
PATIENCE: Final = "the run is being ended, and reported; the next signal leaves the daemon alone with that"


def run(arguments: Arguments) -> int:
    """Measure while a command does its work.

    Raises:
        DowntimerError: The command was not begun.
    """
    config, command = configuration(arguments), arguments["COMMAND"]
    measured = _Measured(config, arguments)
    check_command(command[0])
    _refuse_if_measuring(config)
    try:
        with Signals() as signals:
            return measured.run(command, signals)
    except InterruptionError as exc:
        return ExitCode.SIGNALLED + exc.number


def _refuse_if_measuring(config: Config) -> None:
    """See that no run is under way that is not ours.

    Raises:
        DowntimerError: One is.
    """
    with contextlib.suppress(NotRunningError, ControlError):  # what else is wrong the start says
        status = client.request(config.control_socket, "status", timeout_s=ANSWER_S)
        run = status["run"]["id"]
        raise DowntimerError(f"run {run} is under way already; `downtimer stop` ends it")


def _down(status: Mapping[str, Any]) -> set[str]:
    """Return what is down."""
    return {turned["target"] for turned in status["down"]}


class _Measured:
    """A run around a command.

    Args:
        config: Of the daemon.
        arguments: Of ours.

    Raises:
        ConfigError: They are wrong.
    """

    def __init__(self, config: Config, arguments: Arguments) -> None:
        self._config = config
        self._arguments = arguments
        self._wanted = wanted(arguments)
        label(arguments)
        self._was_idle = False  # the daemon, and is to be so again

    def run(self, command: Sequence[str], signals: Signals) -> int:
        """Begin a run, run the command, end the run, report; return the exit code.

        Raises:
            DowntimerError: The command was not begun.
            InterruptionError: It was not, for a signal; or another one came while the run was ended.
        """
        with start.saying_what_is_left(self._config, InterruptionError):
            self._was_idle = start.begin(self._config, self._arguments, warn)
        with self._told_if_left():
            try:
                status = self._until_seen()
                code = signals.run(command, self._environment(status["run"]["id"]), PATIENCE)
            except (DowntimerError, InterruptionError):
                signals.be_patient(PATIENCE)
                run = stop.end(self._config, keep=self._was_idle)["run"]
                shown = "" if run is None else f"; `downtimer report --run {run}` shows what was measured"
                warn(f"the command was not begun{shown}")
                raise
            self._see_aftermath(_down(status), signals)
            concluded = self._concluded(status["run"]["id"])
            return code or concluded

    @contextlib.contextmanager
    def _told_if_left(self) -> Iterator[None]:
        """Say how to end the daemon, should it be left to itself."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(NotRunningError, ControlError):
                status = self._status()
                run, ending = status["run"]["id"], status["ending"]
                how = "is being ended by the daemon" if ending else "goes on; `downtimer stop` ends it"
                warn(f"run {run} {how}")
            raise

    def _until_seen(self) -> Mapping[str, Any]:
        """Wait until everything has been seen once; say, and return, how it stands. A paused run goes on."""
        deadline_s = time.monotonic() + SEEN_S
        while True:
            status = self._status()
            unseen = sum(status["targets"][kind]["unseen"] for kind in CHECKED)
            if status["paused"] is not None:
                client.request(self._config.control_socket, "resume", timeout_s=start.START_S)
            elif not unseen:
                warn(f"everything was seen; {down_already(status) or 'the command begins'}")
                return status
            elif time.monotonic() > deadline_s:
                warn(f"{unseen} targets were not seen within {SEEN_S:.0f} s; `downtimer status` tells more")
                return status
            time.sleep(POLL_S)

    def _see_aftermath(self, before: set[str], signals: Signals) -> None:
        """Measure on for a moment, or until a signal comes. `before`: what was down before the command."""
        ended_s, passed_s = time.monotonic(), 0.0
        with contextlib.suppress(NotRunningError, ControlError):  # the end of the run will tell
            while passed_s < AFTERMATH_S or (passed_s < AFTERMATH_MOST_S and _down(self._status()) - before):
                time.sleep(POLL_S)
                if signals.is_urged:
                    return
                passed_s = time.monotonic() - ended_s

    def _status(self) -> dict[str, Any]:
        return client.request(self._config.control_socket, "status", timeout_s=ANSWER_S)

    def _environment(self, run: str) -> Mapping[str, str]:
        return {
            **os.environ,
            VARIABLE: str(Path(self._config.path).absolute()),
            "DOWNTIMER_RUN": run,
        }

    def _concluded(self, run: str) -> int:
        """End the run and report; return the exit code of that."""
        try:
            self._check_still(run)
            return stop.report_on(stop.end(self._config, keep=self._was_idle), self._wanted)
        except DowntimerError as exc:
            warn(str(exc))
            return ExitCode.ASSERTION if exc.exit_code == ExitCode.ASSERTION else ExitCode.FAILED
        except BrokenPipeError:  # whoever read our output has enough
            return ExitCode.SIGNALLED + signal.SIGPIPE

    def _check_still(self, run: str) -> None:
        """See that the run under way is ours: the command may have ended that, and begun another.

        Raises:
            DowntimerError: It is not.
        """
        found = run
        with contextlib.suppress(NotRunningError, ControlError):  # the end of the run will tell
            found = self._status()["run"]["id"]
        if found != run:
            raise DowntimerError(
                f"run {run} was ended by someone else; run {found} is under way, and goes on"
            )
