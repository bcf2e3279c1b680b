"""downtimer: how long was each OpenStack API and each floating IP down?

Usage:
  downtimer start [--config FILE] [--label TEXT] [--foreground] [--new | --resume]
  downtimer stop [--config FILE] [--keep]
  downtimer status [--config FILE] [--json]
  downtimer report [--config FILE] [--run RUN] [--format FORMAT] [--output FILE] [--from STORE]
  downtimer runs [--config FILE] [--json] [--delete RUN]
  downtimer ship [--config FILE] [RUN]
  downtimer demo [--keep-files]
  downtimer --help | --version

Commands:
  start   begin to measure; returns once the daemon measures
  stop    end the run, write the report and print it
  status  what is measured, and what is down right now
  report  how long everything was down: of the run under way, or of an earlier one
  runs    the runs that are kept
  ship    deliver to InfluxDB what earlier runs still hold back
  demo    a simulated cloud, a real measurement, a scripted upgrade of 30 seconds

Options:
  -c FILE, --config FILE  the configuration [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]
  --label TEXT            what the run is of, for the report
  --foreground            stay in the foreground and log to standard error
  --new, --resume         begin a new run, or go on with the one that was cut off
  --keep                  leave the daemon running, without a run
  --run RUN               which run (see `downtimer runs`); the latest if not given
  --format FORMAT         text or json; text if not given
  --output FILE           write there instead of printing
  --from STORE            journal or influxdb [default: journal]
  --delete RUN            remove a run
  --json                  as JSON
  --keep-files            leave the demo's configuration, journal and log in place
  -h, --help              this text
  --version               the version

A run that was cut off is gone on with by the next start within 15 minutes, unless another label is given.
SIGTERM and SIGINT to the daemon are a stop with report.

Files (for others than root under ~/.local/state/downtimer, sockets in $XDG_RUNTIME_DIR/downtimer):
  /etc/downtimer/conf.ini  /var/lib/downtimer/runs/  /var/log/downtimer.log  /var/log/downtimer.report

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not running.

Example:
  downtimer start --label "nova 28 to 29" && ./upgrade.sh; downtimer stop
"""

import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import docopt

import downtimer
from downtimer.errors import DowntimerError, ExitCode
from downtimer.options import hint
from downtimer.printable import printable

_COMMANDS = ("start", "stop", "status", "report", "runs", "ship", "demo")
"""Modules of `downtimer.commands`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that knows no en dash shows its escape
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _dispatch(words)
    except docopt.DocoptExit:
        print(f"downtimer: {printable(_wrong(words))}; `downtimer --help` shows how", file=sys.stderr)
        return ExitCode.USAGE
    except DowntimerError as exc:
        print(f"downtimer: {printable(str(exc))}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _wrong(words: list[str]) -> str:
    """Return what is wrong with a command line that docopt refused."""
    if not any(word in _COMMANDS for word in words):
        given = f"unknown command {words[0]!r}" if words and words[0][0:1] != "-" else "no command given"
        return f"{given}; there are {', '.join(_COMMANDS)}"
    known = set(re.findall(r"--[a-z-]+", __doc__ or ""))
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in known:
            return f"unknown option {option}{hint(option, known)}"
    return f"wrong usage: {' '.join(words)}"


def _open_standard_streams() -> None:
    """Put the null device where the caller gave us nothing, or what we open next would stand there."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above


def _dispatch(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        print((__doc__ or "").strip())
        return ExitCode.DONE
    if words == ["--version"]:
        print(f"downtimer {downtimer.__version__}")
        return ExitCode.DONE
    arguments: Mapping[str, Any] = docopt.docopt(__doc__, words, default_help=False)
    name = next(name for name in _COMMANDS if arguments[name])
    code: int = importlib.import_module(f"downtimer.commands.{name}").run(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
