"""Begin to measure; returns once everything is being measured.

Usage: downtimer start [--config FILE] [--os-cloud NAME] [--label TEXT]
                       [--foreground] [--new | --resume]

Options:
  --os-cloud NAME         the cloud, an entry of clouds.yaml; without it that of
                          the configuration, else OS_CLOUD, else OS_AUTH_URL
  --label TEXT            what the run is of, for the report
  --foreground            stay in the foreground and log to standard error
  --new                   begin a new run, even if one was cut off just now
  --resume                go on with the run that was cut off, however long ago
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

A run that was cut off is gone on with by the next start within 15 minutes,
unless another label is given. SIGTERM and SIGINT to the daemon are a stop with
report.

Example:
  downtimer start --label "nova 28 to 29" && ./upgrade.sh; downtimer stop
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from downtimer import accounts, memory, secrecy
from downtimer.certificates import unverified
from downtimer.commands.common import (
    ANSWER_S,
    Arguments,
    Say,
    configuration,
    label,
    run_under_way,
    showing_start,
    tell,
    warn,
)
from downtimer.config import Config
from downtimer.control import client
from downtimer.control.wording import down_already
from downtimer.errors import ControlError, DowntimerError, ExitCode, NotRunningError
from downtimer.store import journal
from downtimer.store.schema import SUFFIX
from downtimer.supervisor import launch

START_S: Final = 180.0


def run(arguments: Arguments) -> int:
    """Begin to measure."""
    config = configuration(arguments)
    if arguments["--foreground"]:
        launch.become_daemon(_orders(config, arguments))
    with saying_what_is_left(config, KeyboardInterrupt):
        begin(config, arguments, tell)
    with contextlib.suppress(DowntimerError):  # it measures; what is down `status` tells, too
        found = down_already(client.request(config.control_socket, "status", timeout_s=ANSWER_S))
        if found:
            warn(found)
    return ExitCode.DONE


@contextlib.contextmanager
def saying_what_is_left(config: Config, interruption: type[BaseException]) -> Iterator[None]:
    """Say, should a start be interrupted, that nothing was begun, or what is left of it."""
    before = _journals(config)
    try:
        yield
    except interruption:
        going_on, made = run_under_way(config), sorted(_journals(config) - before)
        if going_on is not None:
            warn(f"interrupted; run {going_on} begins all the same, `downtimer stop` ends it")
        elif made:
            warn(f"interrupted; run {made[-1]} was ended, `downtimer report --run {made[-1]}` shows it")
        else:
            warn("interrupted; nothing was begun")
        raise


def _journals(config: Config) -> set[str]:
    return {path.stem for path in Path(journal.folder_of(config.global_.state_dir)).glob(f"*{SUFFIX}")}


def begin(config: Config, arguments: Arguments, say: Say) -> bool:
    """Begin a run, in a daemon that was left idle or in a new one; return whether it was left idle.

    Args:
        config: For the run, as it was read.
        arguments: Which may have ``--os-cloud``, ``--label``, ``--new`` and ``--resume``.
        say: Takes lines that tell how far it is, and last what is measured. What is not as it should be is
            said on standard error.

    Raises:
        DowntimerError: No run began.
    """
    if not _is_idle(config):
        orders = _orders(config, arguments)
        with showing_start(orders.config, say) as (say_aside, warn_aside):
            launch.start_daemon(orders, say_aside, warn_aside)
        return False
    if arguments["--resume"]:
        raise DowntimerError("the daemon was left idle by `stop --keep`: there is nothing to resume")
    asked = _asked(config, arguments)
    with showing_start(config, say) as (say_aside, warn_aside):
        *complaints, line = client.request(config.control_socket, "start", asked, timeout_s=START_S)["lines"]
        for complaint in complaints:
            warn_aside(complaint)
        say_aside(line)
    return True


def _orders(config: Config, arguments: Arguments) -> launch.Orders:
    memory.hide()
    found = accounts.resolve(config, arguments["--os-cloud"])
    _warn(config, found)
    return launch.Orders(
        config=found,
        label=label(arguments) or "",
        resume=True if arguments["--resume"] else False if arguments["--new"] else None,
    )


def _asked(config: Config, arguments: Arguments) -> dict[str, Any]:
    """Return what the idle daemon is asked for.

    It reads the configuration itself; it can see neither our environment nor our clouds.yaml.
    """
    memory.hide()
    cloud, account, password = arguments["--os-cloud"], None, None
    if accounts.is_of_file(config, cloud):
        password = accounts.password_of_environment(config)
    else:
        account = accounts.choose(config, cloud)
    _warn(config, replace(config, account=account))
    return {
        "label": label(arguments) or "",
        "config": config.path,
        "password": password,
        "account": msgspec.to_builtins(account),
    }


def _warn(given: Config, found: Config) -> None:
    """Say what is not safe: of the configuration as it was read, and with what was found besides."""
    for line in (*secrecy.readable_by_others(given), *unverified(found)):
        warn(line)


def _is_idle(config: Config) -> bool:
    """Tell whether a daemon is there that measures nothing."""
    try:
        answer = client.request(config.control_socket, "ping", timeout_s=ANSWER_S)
    except (NotRunningError, ControlError):
        return False
    return not answer["measuring"]
