"""Deliver to InfluxDB what earlier runs still hold back."""

from typing import Final

from downtimer.commands.common import Arguments, configuration, run_under_way
from downtimer.config import Config
from downtimer.errors import ConfigError, DowntimerError, ExitCode
from downtimer.store import journal
from downtimer.store import ship as shipping
from downtimer.supervisor.lock import HeldError, measuring_nowhere

SHIP_S: Final = 3600.0


def run(arguments: Arguments) -> int:
    """Deliver to InfluxDB what earlier runs still hold back."""
    config = configuration(arguments)
    if config.db is None:
        raise ConfigError(f"{config.path}: [db]: missing; there is no InfluxDB to ship to")
    wanted = arguments["RUN"]
    entries = [e for e in journal.list_runs(config.global_.state_dir) if wanted in (None, e.id)]
    if wanted is not None and not entries:
        raise DowntimerError(f"no run {wanted}; `downtimer runs` lists them")
    under_way = run_under_way(config)
    left = 0
    for entry in entries:
        if entry.id != under_way and entry.error is None and not _is_measured(config, entry):
            left += shipping.ship(entry.path, config.db, SHIP_S)
    if left:
        raise DowntimerError(f"{left} points are still to be delivered")
    return ExitCode.DONE


def _is_measured(config: Config, entry: journal.RunEntry) -> bool:
    """Tell whether a daemon may be writing to a run, also one that does not answer."""
    if not entry.is_open:
        return False
    try:
        with measuring_nowhere(config.global_.state_dir):
            return False
    except HeldError:
        return True
