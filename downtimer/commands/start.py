"""Begin to measure."""

from typing import Final

from downtimer.commands.common import ANSWER_S, Arguments, configuration, tell
from downtimer.config import Config
from downtimer.control import client
from downtimer.errors import ConfigError, ControlError, DowntimerError, ExitCode, NotRunningError
from downtimer.supervisor import launch

START_S: Final = 180.0


def run(arguments: Arguments) -> int:
    """Begin to measure."""
    config = configuration(arguments)
    resume = True if arguments["--resume"] else False if arguments["--new"] else None
    orders = launch.Orders(config=config, label=_label(arguments), resume=resume)
    if arguments["--foreground"]:
        launch.become_daemon(orders)
    if _is_idle(config):
        if resume:
            raise DowntimerError("the daemon was left idle by `stop --keep`: there is nothing to resume")
        asked = {"label": orders.label, "config": config.path}
        begun = client.request(config.control_socket, "start", asked, timeout_s=START_S)
        for line in begun["lines"]:
            tell(line)
    else:
        launch.start_daemon(orders, tell)
    return ExitCode.DONE


def _label(arguments: Arguments) -> str:
    label: str = arguments["--label"] or ""
    if len(label) > launch.LABEL_MAX:
        raise ConfigError(f"--label: longer than {launch.LABEL_MAX} characters")
    try:
        label.encode()
    except UnicodeEncodeError as exc:  # bytes of the command line that are no text
        raise ConfigError("--label: not UTF-8 text") from exc
    return label


def _is_idle(config: Config) -> bool:
    """Tell whether a daemon is there that measures nothing."""
    try:
        answer = client.request(config.control_socket, "ping", timeout_s=ANSWER_S)
    except (NotRunningError, ControlError):
        return False
    return not answer["measuring"]
