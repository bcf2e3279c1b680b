"""Go on probing after a pause; returns once everything is being measured again.

Usage: downtimer resume [--config FILE]

Options:
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]
"""

from typing import Final

from downtimer.commands.common import Arguments, ask_daemon, tell
from downtimer.control.wording import moment_of
from downtimer.errors import ExitCode

RESUME_S: Final = 120.0


def run(arguments: Arguments) -> int:
    """Go on probing."""
    resumed = ask_daemon(arguments, "resume", timeout_s=RESUME_S)
    if resumed["since"] is None:
        tell("it was not paused, and goes on")
    else:
        tell(f"measuring again; it was paused since {moment_of(resumed['since'])}")
    return ExitCode.DONE
