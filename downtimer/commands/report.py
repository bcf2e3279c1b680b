"""Show how long everything was down: in the run under way, or in an earlier one.

Usage: downtimer report [--config FILE] [--run RUN] [--assert EXPR]...
                        [--lenient] [--format FORMAT] [--output FILE]
                        [--from STORE]

Options:
  --run RUN               which run: its id, or how that begins;
                          latest, latest~1
  --assert EXPR           a promise to judge it by; several may be given
  --lenient               what is undecided is no failure; a promise about
                          nothing, as of a misspelt name, still is one
  --format FORMAT         text (if not given), json, html, markdown, junit
  --output FILE           write there instead of printing; - is standard output
  --from STORE            journal or influxdb [default: journal]
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

Promises: 'service:nova <= 30s', 'service:* longest <= 5s', 'address:* <= 1%',
'project:shop outages <= 3', 'observed >= 99%', zero-downtime, accessible.

Without --run, --format and --output the file that `report_file` names is
replaced, too. Exit code 4: an assertion failed, or is undecided.
"""

import contextlib

from downtimer import memory, secrecy
from downtimer.commands.choosing import LATEST, open_journal
from downtimer.commands.common import Arguments, configuration
from downtimer.commands.delivering import wanted
from downtimer.config import Config
from downtimer.errors import ConfigError
from downtimer.model import RunId
from downtimer.store import influx
from downtimer.store.reader import Reader


def run(arguments: Arguments) -> int:
    """Show how long everything was down."""
    asked = wanted(arguments)
    config = configuration(arguments)
    is_plain = all(arguments[option] is None for option in ("--run", "--format", "--output"))
    with contextlib.closing(_reader(config, arguments["--from"], arguments["--run"])) as reader:
        return asked.deliver(reader, config.global_.report_file if is_plain else None)


def _reader(config: Config, store: str, run: str | None) -> Reader:
    """Open the store that a report is made from, at the run asked for or the latest."""
    if store == "journal":
        return open_journal(config, run)
    if store != "influxdb":
        raise ConfigError(f"--from {store}: there are journal, influxdb")
    if config.db is None:
        raise ConfigError(f"{config.path}: [db]: missing; there is no InfluxDB to read from")
    memory.hide()
    return influx.InfluxReader(
        secrecy.complete_db(config), None if run is None or run == LATEST else RunId(run)
    )
