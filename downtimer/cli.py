"""downtimer: how long was each OpenStack API and each floating IP down?

Usage: downtimer COMMAND [OPTIONS]         (downtimer help COMMAND tells of one)

Measure
  run      measure while another command does its work, report, and judge
  start    begin to measure; returns once everything is being measured
  status   what is measured, and what is down right now
  mark     label this instant, so that the report tells of each step
  pause    let all probing rest               resume   go on with it
  stop     end the run, write its report and print it

Look back
  report   how long everything was down       compare  two runs, side by side
  runs     the runs that are kept             ship     deliver to InfluxDB
  export   a run as JSON Lines                import   such a file, or Rally's

Before: doctor tells whether all is ready; demo measures a simulated upgrade.

Example: downtimer run --assert zero-downtime -- ./upgrade.sh

Configuration: /etc/downtimer/conf.ini, $DOWNTIMER_CONFIG, or --config FILE.
Exit: 0 done, 1 failed, 2 wrong usage, 3 not running, 4 an assertion failed.
"""

import importlib
import io
import keyword
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import docopt

import downtimer
from downtimer.errors import ConfigError, DowntimerError, ExitCode
from downtimer.misuse import explain
from downtimer.options import hint
from downtimer.printable import printable

COMMANDS: Final = (
    "run",
    "start",
    "stop",
    "status",
    "mark",
    "pause",
    "resume",
    "report",
    "compare",
    "runs",
    "ship",
    "export",
    "import",
    "doctor",
    "demo",
)
"""Modules of `downtimer.commands`; the docstring of each is its usage."""

_CONFIG: Final = ("-c", "--config")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that knows no en dash shows its escape
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _dispatch(words)
    except DowntimerError as exc:
        print(f"downtimer: {printable(str(exc))}", file=sys.stderr)
        # Of a command that is run the exit code is its own: ours must differ from what others use.
        is_of_command = _split(words)[0] == "run" and exc.exit_code < ExitCode.NOT_BEGUN
        return ExitCode.NOT_BEGUN if is_of_command else exc.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _dispatch(words: list[str]) -> int:
    name, rest = _split(words)
    if name == "help":
        name, rest = rest[0] if rest else "--help", ["--help"]
    if name in ("--help", "-h"):
        print((__doc__ or "").strip())
        return ExitCode.DONE
    if name == "--version":
        print(f"downtimer {downtimer.__version__}")
        return ExitCode.DONE
    if name not in COMMANDS:
        raise ConfigError(_unknown(name))
    module = importlib.import_module(f"downtimer.commands.{name}{'_' * keyword.iskeyword(name)}")
    usage = (module.__doc__ or "").strip()
    ours = rest[: rest.index("--")] if "--" in rest else rest
    if "--help" in ours or "-h" in ours:
        print(usage)
        return ExitCode.DONE
    code: int = module.run(_parsed(name, usage, rest))
    return code


def _split(words: list[str]) -> tuple[str, list[str]]:
    """Return the command, and its arguments: those that were given before it come first."""
    before = 0
    while before < len(words) and words[before].partition("=")[0] in _CONFIG:
        before += 1 if "=" in words[before] else 2
    if before >= len(words):
        return "", []
    return words[before], words[:before] + words[before + 1 :]


def _parsed(name: str, usage: str, words: list[str]) -> Mapping[str, Any]:
    """Return docopt's reading of a command's arguments.

    Raises:
        ConfigError: They are wrong.
    """
    try:
        arguments: Mapping[str, Any] = docopt.docopt(usage, [name, *words], default_help=False)
    except docopt.DocoptExit:
        raise ConfigError(f"{explain(name, usage, words)}; `downtimer {name} --help` tells more") from None
    return arguments


def _unknown(name: str) -> str:
    """Return what is wrong with a word that is no command."""
    if not name:
        return f"no command given; there are {', '.join(COMMANDS)}"
    if name in ("-V", "-v", "version"):
        return f"unknown {'option' if name.startswith('-') else 'command'} {name}; did you mean --version?"
    if name.startswith("-"):
        return f"unknown option {name}; an option comes after the command, as in `downtimer status --json`"
    return f"unknown command {name!r}{hint(name, COMMANDS)}; there are {', '.join(COMMANDS)}"


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


if __name__ == "__main__":
    sys.exit(main())
