"""Deliver to InfluxDB what earlier runs still hold back.

Usage: downtimer ship [--config FILE] [RUN]

  RUN                     its id or how that begins, latest, or latest~1; all if
                          not given

Options:
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]
"""

from typing import Final

from downtimer import memory, secrecy
from downtimer.commands.choosing import choose
from downtimer.commands.common import Arguments, configuration, run_under_way, warn
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
    memory.hide()
    db = secrecy.complete_db(config)
    wanted = arguments["RUN"]
    entries = journal.list_runs(config.global_.state_dir) if wanted is None else [choose(config, wanted)]
    under_way = run_under_way(config)
    said, left = False, 0
    for entry in entries:
        if entry.id == under_way or _is_measured(config, entry):
            line = f"run {entry.id} is under way: its daemon delivers its points itself"
        elif entry.error is not None:
            line = f"run {entry.id} can't be read: {entry.error}"
        elif entry.is_imported:
            line = f"run {entry.id} was imported; such runs are not shipped" if wanted is not None else ""
        else:
            shipped = shipping.ship(entry.path, db, SHIP_S)
            left += shipped.left
            line = _told(entry, shipped)
        if line:
            warn(line)
            said = True
    if left:
        raise DowntimerError(f"{left} points are still to be delivered")
    if not said:
        warn("nothing to ship")
    return ExitCode.DONE


def _told(entry: journal.RunEntry, shipped: shipping.Shipped) -> str:
    """Return what became of a run's points; empty if there were none."""
    if shipped.rejected:
        return (
            f"run {entry.id}: {shipped.delivered} points delivered, {shipped.rejected} rejected by InfluxDB"
        )
    return f"run {entry.id}: {shipped.delivered} points delivered" if shipped.delivered else ""


def _is_measured(config: Config, entry: journal.RunEntry) -> bool:
    """Tell whether a daemon may be writing to a run, also one that does not answer."""
    if not entry.is_open:
        return False
    try:
        with measuring_nowhere(config.global_.state_dir):
            return False
    except HeldError:
        return True
