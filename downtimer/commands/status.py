"""Show what is measured, and what is down right now.

Usage: downtimer status [--config FILE] [--json]

Options:
  --json                  as JSON
  -c FILE, --config FILE  the configuration [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]
"""

import msgspec

from downtimer.commands.common import (
    ANSWER_S,
    Arguments,
    configuration_of_daemon,
    hint_of_run,
    print_text,
)
from downtimer.control import client, status_text
from downtimer.errors import ExitCode, NotRunningError


def run(arguments: Arguments) -> int:
    """Show what is measured, and what is down right now."""
    config = configuration_of_daemon(arguments)
    try:
        answer = client.request(config.control_socket, "status", timeout_s=ANSWER_S)
    except NotRunningError as exc:
        raise NotRunningError(f"{exc}{hint_of_run(config)}") from exc
    if arguments["--json"]:
        print_text([msgspec.json.format(msgspec.json.encode(answer), indent=2).decode(), "\n"])
    else:
        print_text(status_text.render(answer))
    return ExitCode.DONE
