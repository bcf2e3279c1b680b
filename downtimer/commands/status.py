"""Show what is measured, and what is down right now.

Usage: downtimer status [--config FILE] [--json]

Options:
  --json                  as JSON
  -c FILE, --config FILE  the configuration [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]
"""

import msgspec

from downtimer.commands.common import ANSWER_S, Arguments, ask_daemon, print_text
from downtimer.control import status_text
from downtimer.errors import ExitCode


def run(arguments: Arguments) -> int:
    """Show what is measured, and what is down right now."""
    answer = ask_daemon(arguments, "status", timeout_s=ANSWER_S)
    if arguments["--json"]:
        print_text([msgspec.json.format(msgspec.json.encode(answer), indent=2).decode(), "\n"])
    else:
        print_text(status_text.render(answer))
    return ExitCode.DONE
