"""Label this instant: the report tells of each step, from one mark to the next.

Usage: downtimer mark [--config FILE] [--] TEXT...

Options:
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

It returns once the daemon has it, and prints the instant. In a command that
is run by `downtimer run` it needs no --config.

Example:
  downtimer mark "neutron: database migration"
"""

from downtimer.commands.common import ANSWER_S, Arguments, ask_daemon, tell
from downtimer.control.wording import moment_of
from downtimer.errors import ConfigError, ExitCode
from downtimer.given import check_text
from downtimer.model import MARK_MAX


def run(arguments: Arguments) -> int:
    """Label this instant."""
    marked = ask_daemon(arguments, "mark", {"text": _text(arguments["TEXT"])}, timeout_s=ANSWER_S)
    tell(f"marked at {moment_of(marked['at'])}")
    return ExitCode.DONE


def _text(words: list[str]) -> str:
    """Return the text of a mark.

    Raises:
        ConfigError: It is none.
    """
    text = " ".join(words)
    if not text.strip():
        raise ConfigError("TEXT: is empty; say what begins now")
    check_text("TEXT", text, most=MARK_MAX)
    return text
