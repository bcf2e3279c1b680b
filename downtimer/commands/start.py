"""Begin to measure; returns once everything is being measured.

Usage: downtimer start [--config FILE] [--label TEXT] [--foreground] [--new | --resume]

Options:
  --label TEXT            what the run is of, for the report
  --foreground            stay in the foreground and log to standard error
  --new                   begin a new run, even if one was cut off just now
  --resume                go on with the run that was cut off, however long ago
  -c FILE, --config FILE  the configuration [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

A run that was cut off is gone on with by the next start within 15 minutes, unless another label is given.
SIGTERM and SIGINT to the daemon are a stop with report.

Example:
  downtimer start --label "nova 28 to 29" && ./upgrade.sh; downtimer stop
"""

import os
from typing import Final

from downtimer import memory, secrecy
from downtimer.certificates import unverified
from downtimer.commands.common import ANSWER_S, Arguments, configuration, tell, warn
from downtimer.config import Config
from downtimer.control import client
from downtimer.errors import ConfigError, ControlError, DowntimerError, ExitCode, NotRunningError
from downtimer.supervisor import launch

START_S: Final = 180.0
PASSWORD: Final = "OS_PASSWORD"  # noqa: S105 - its name


def run(arguments: Arguments) -> int:
    """Begin to measure."""
    config = configuration(arguments)
    for line in (*secrecy.readable_by_others(config), *unverified(config)):
        warn(line)
    memory.hide()
    resume = True if arguments["--resume"] else False if arguments["--new"] else None
    label, password = _label(arguments), _password(config)
    if not arguments["--foreground"] and _is_idle(config):
        if resume:
            raise DowntimerError("the daemon was left idle by `stop --keep`: there is nothing to resume")
        _begin_anew(config, label, password)
        return ExitCode.DONE
    orders = launch.Orders(config=secrecy.complete(config, password=password), label=label, resume=resume)
    if arguments["--foreground"]:
        launch.become_daemon(orders)
    launch.start_daemon(orders, tell)
    return ExitCode.DONE


def _begin_anew(config: Config, label: str, password: str | None) -> None:
    """Have the idle daemon begin another run. It reads the configuration itself, but not our environment."""
    asked = {"label": label, "config": config.path, "password": password}
    begun = client.request(config.control_socket, "start", asked, timeout_s=START_S)
    for line in begun["lines"]:
        tell(line)


def _password(config: Config) -> str | None:
    """Return the password of our environment, where the file gives none and one is needed."""
    password = os.environ.get(PASSWORD)
    if not password or not secrecy.wants_password(config):
        return None
    try:
        password.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{PASSWORD}: not UTF-8 text") from None
    return password


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
