"""List the runs that are kept, or remove one.

Usage: downtimer runs [--config FILE] [--json] [--delete RUN]

Options:
  --delete RUN            remove the run of exactly that name
  --json                  as JSON
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]
"""

import contextlib

from downtimer.commands.choosing import choose
from downtimer.commands.common import (
    Arguments,
    configuration,
    print_text,
    run_elsewhere,
    run_under_way,
    warn,
)
from downtimer.config import Config
from downtimer.errors import ConfigError, DowntimerError, ExitCode
from downtimer.model import RunId
from downtimer.report import runs_text
from downtimer.store import journal
from downtimer.supervisor.lock import HeldError, measuring_nowhere


def run(arguments: Arguments) -> int:
    """List the runs, or remove one."""
    config = configuration(arguments)
    if arguments["--delete"] is not None:
        _delete(config, RunId(arguments["--delete"]))
        return ExitCode.DONE
    entries = journal.list_runs(config.global_.state_dir)
    under_way = run_under_way(config) or run_elsewhere(config)
    if arguments["--json"]:
        print_text(runs_text.render_json(entries, under_way))
    else:
        print_text(runs_text.render(entries, under_way))
    return ExitCode.DONE


def _delete(config: Config, run: RunId) -> None:
    """Remove a run that is not under way. One without an end is, if any daemon has its folder."""
    state_dir = config.global_.state_dir
    if run == run_under_way(config):
        raise DowntimerError(f"run {run} is under way; `downtimer stop` ends it")
    entries = journal.list_runs(state_dir)
    entry = next((entry for entry in entries if entry.id == run), None)
    if entry is None:
        _refuse_to_guess(config, run)
    is_open = entry is not None and entry.is_open
    try:
        with measuring_nowhere(state_dir) if is_open else contextlib.nullcontext():
            journal.delete_run(state_dir, run)
        if entry is not None and entry.backlog:
            warn(f"{entry.backlog} points of run {run} had not reached InfluxDB; they are gone with it")
    except HeldError as exc:
        raise DowntimerError(f"run {run} is under way (pid {exc.holder}); `downtimer stop` ends it") from exc


def _refuse_to_guess(config: Config, given: str) -> None:
    """See that what is to be removed is not named as a run may be elsewhere.

    Raises:
        ConfigError: It is.
    """
    try:
        meant = choose(config, given)
    except ConfigError:
        raise
    except DowntimerError:  # it names none, which is for others to say
        return
    raise ConfigError(f"--delete {given}: wants the whole name: {meant.id}")
