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
from collections.abc import Callable
from typing import Final

from downtimer import memory, secrecy
from downtimer.certificates import unverified
from downtimer.commands.common import (
    ANSWER_S,
    Arguments,
    configuration,
    label,
    showing_start,
    tell,
    warn,
)
from downtimer.config import Config
from downtimer.control import client
from downtimer.errors import ConfigError, ControlError, DowntimerError, ExitCode, NotRunningError
from downtimer.supervisor import launch

START_S: Final = 180.0
PASSWORD: Final = "OS_PASSWORD"  # noqa: S105 - its name


def run(arguments: Arguments) -> int:
    """Begin to measure."""
    config = configuration(arguments)
    if arguments["--foreground"]:
        _prepare(config)
        launch.become_daemon(_orders(config, arguments))
    begin(config, arguments, tell)
    return ExitCode.DONE


def begin(config: Config, arguments: Arguments, say: Callable[[str], None]) -> bool:
    """Begin a run, in a daemon that was left idle or in a new one; return whether it was left idle.

    Args:
        config: For the run.
        arguments: Which may have ``--label``, ``--new`` and ``--resume``.
        say: Takes lines that tell how far it is, and last what is measured.

    Raises:
        DowntimerError: No run began.
    """
    _prepare(config)
    if not _is_idle(config):
        orders = _orders(config, arguments)
        with showing_start(config, say) as say_aside:
            launch.start_daemon(orders, say_aside)
        return False
    if arguments["--resume"]:
        raise DowntimerError("the daemon was left idle by `stop --keep`: there is nothing to resume")
    # It reads the configuration itself, but not our environment.
    asked = {
        "label": label(arguments) or "",
        "config": config.path,
        "password": password_of_environment(config),
    }
    with showing_start(config, say) as say_aside:
        for line in client.request(config.control_socket, "start", asked, timeout_s=START_S)["lines"]:
            say_aside(line)
    return True


def _prepare(config: Config) -> None:
    for line in (*secrecy.readable_by_others(config), *unverified(config)):
        warn(line)
    memory.hide()


def _orders(config: Config, arguments: Arguments) -> launch.Orders:
    return launch.Orders(
        config=secrecy.complete(config, password=password_of_environment(config)),
        label=label(arguments) or "",
        resume=True if arguments["--resume"] else False if arguments["--new"] else None,
    )


def password_of_environment(config: Config) -> str | None:
    """Return the password of our environment, where the file gives none and one is needed."""
    password = os.environ.get(PASSWORD)
    if not password or not secrecy.wants_password(config):
        return None
    try:
        password.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{PASSWORD}: not UTF-8 text") from None
    return password


def _is_idle(config: Config) -> bool:
    """Tell whether a daemon is there that measures nothing."""
    try:
        answer = client.request(config.control_socket, "ping", timeout_s=ANSWER_S)
    except (NotRunningError, ControlError):
        return False
    return not answer["measuring"]
