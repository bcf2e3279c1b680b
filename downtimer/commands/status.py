"""Show what is measured, and what is down right now."""

import msgspec

from downtimer.commands.common import ANSWER_S, Arguments, configuration, print_text
from downtimer.control import client, status_text
from downtimer.errors import ExitCode


def run(arguments: Arguments) -> int:
    """Show what is measured, and what is down right now."""
    config = configuration(arguments)
    answer = client.request(config.control_socket, "status", timeout_s=ANSWER_S)
    if arguments["--json"]:
        print_text([msgspec.json.format(msgspec.json.encode(answer), indent=2).decode(), "\n"])
    else:
        print_text(status_text.render(answer))
    return ExitCode.DONE
