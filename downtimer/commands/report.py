"""Show how long everything was down: in the run under way, or in an earlier one.

Usage: downtimer report [--config FILE] [--run RUN] [--format FORMAT] [--output FILE] [--from STORE]

Options:
  --run RUN               which run (`downtimer runs` lists them); the latest if not given
  --format FORMAT         text or json; text if not given
  --output FILE           write there instead of printing
  --from STORE            journal or influxdb [default: journal]
  -c FILE, --config FILE  the configuration [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

Without --run, --format and --output the file that `report_file` names is replaced, too.
"""

from pathlib import Path

from downtimer import memory, secrecy
from downtimer import report as reports
from downtimer.commands.common import (
    ANSWER_S,
    Arguments,
    configuration,
    print_file,
    print_text,
    run_under_way,
    warn,
)
from downtimer.config import Config
from downtimer.control import client
from downtimer.errors import ConfigError, DowntimerError, ExitCode
from downtimer.model import RunId
from downtimer.report.output import write_atomically
from downtimer.store import influx, journal
from downtimer.store.reader import Reader


def run(arguments: Arguments) -> int:
    """Show how long everything was down."""
    config = configuration(arguments)
    form = arguments["--format"] or "text"
    reports.check_format(form)
    reader = _reader(config, arguments["--from"], arguments["--run"])
    try:
        output = arguments["--output"]
        if output is not None:
            write_atomically(Path(output), reports.render(reader, form))
            return ExitCode.DONE
        if arguments["--run"] is None and arguments["--format"] is None:
            try:
                write_atomically(Path(config.global_.report_file), reports.render(reader, form))
            except DowntimerError:
                print_text(reports.render(reader, form))
                raise
            print_file(config.global_.report_file)
        else:
            print_text(reports.render(reader, form))
    finally:
        reader.close()
    return ExitCode.DONE


def _reader(config: Config, store: str, run: str | None) -> Reader:
    """Open the store that a report is made from, at the run asked for or the latest."""
    under_way = run_under_way(config)
    if under_way is not None and run in (None, under_way) and store == "journal":
        flushed = client.request(config.control_socket, "report", timeout_s=ANSWER_S)
        if flushed["silent"]:
            warn(f"no answer from {', '.join(flushed['silent'])}: the latest seconds may be missing")
        return journal.JournalReader(flushed["journal"])
    if store == "influxdb":
        if config.db is None:
            raise ConfigError(f"{config.path}: [db]: missing; there is no InfluxDB to read from")
        memory.hide()
        return influx.InfluxReader(secrecy.complete_db(config), RunId(run) if run is not None else None)
    if store != "journal":
        raise ConfigError(f"--from {store}: there are journal, influxdb")
    return journal.JournalReader(_find(config, run).path)


def _find(config: Config, run: str | None) -> journal.RunEntry:
    entries = journal.list_runs(config.global_.state_dir)
    if run is not None:
        entries = [entry for entry in entries if entry.id == run]
        if not entries:
            raise DowntimerError(f"no run {run}; `downtimer runs` lists them")
    readable = [entry for entry in entries if entry.error is None]
    if not readable:
        raise DowntimerError(
            next((entry.error for entry in entries if entry.error is not None), None)
            or f"no run in {config.global_.state_dir}; `downtimer start` begins one"
        )
    found = max(readable, key=lambda entry: entry.start_utc_ns)
    for entry in entries:
        if entry.error is not None and entry.id > found.id:  # ids begin with the instant
            warn(f"a later run can't be read: {entry.error}; this is run {found.id}")
    return found
