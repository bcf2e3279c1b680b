"""Show what is measured, and what is down right now.

Usage: downtimer status [--config FILE] [--json | --watch]

Options:
  --json                  as JSON
  --watch                 all the time; q quits (without a terminal: a line for
                          each change, until the run has ended)
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]
"""

import msgspec

from downtimer.commands.common import (
    ANSWER_S,
    Arguments,
    ask_daemon,
    configuration_of_daemon,
    has_open_run,
    hinting_of_run,
    print_text,
)
from downtimer.control import status_text
from downtimer.errors import ExitCode
from downtimer.watch import plain
from downtimer.watch.daemon import WatchedDaemon


def run(arguments: Arguments) -> int:
    """Show what is measured, and what is down right now."""
    if arguments["--watch"]:
        _watch(arguments)
        return ExitCode.DONE
    answer = ask_daemon(arguments, "status", timeout_s=ANSWER_S)
    if arguments["--json"]:
        print_text([msgspec.json.format(msgspec.json.encode(answer), indent=2).decode(), "\n"])
    else:
        print_text(status_text.render(answer))
    return ExitCode.DONE


def _watch(arguments: Arguments) -> None:
    """Show it until the user quits or, if that is no terminal, until the run has ended."""
    config = configuration_of_daemon(arguments)
    daemon = WatchedDaemon(config.control_socket)
    with hinting_of_run(config):
        daemon.ask(ANSWER_S)
    from downtimer.watch import terminal  # noqa: PLC0415 - takes a tenth of a second, for a watch alone

    if terminal.is_fit():
        terminal.watch(daemon)
    else:
        plain.watch(daemon, print_text, lambda: not has_open_run(config))
