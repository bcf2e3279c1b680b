"""Let all probing rest: nothing is sent to the cloud until `downtimer resume`.

Usage: downtimer pause [--config FILE]

Options:
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

It returns once all that was under way is resolved. That time is not observed,
and the report says so: it is in no downtime, and percentages are of the rest.
The run goes on, and rests on, also if the daemon is restarted.
"""

from typing import Final

from downtimer.commands.common import Arguments, ask_daemon, tell
from downtimer.control.wording import moment_of
from downtimer.errors import ExitCode

PAUSE_S: Final = 60.0


def run(arguments: Arguments) -> int:
    """Let all probing rest."""
    paused = ask_daemon(arguments, "pause", timeout_s=PAUSE_S)
    already = " already" if paused["was_paused"] else ""
    tell(f"paused{already} since {moment_of(paused['since'])}; `downtimer resume` goes on")
    return ExitCode.DONE
