"""What each command does. Each takes docopt's arguments and returns an exit code; errors are raised."""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from downtimer import config as configuration
from downtimer import report as reports
from downtimer.config import Config
from downtimer.control import client, status_text
from downtimer.errors import ConfigError, ControlError, DowntimerError, ExitCode, NotRunningError
from downtimer.model import RunId
from downtimer.printable import printable
from downtimer.report.output import write_atomically
from downtimer.store import journal, runs_text
from downtimer.store.reader import Reader
from downtimer.supervisor import launch
from downtimer.supervisor.lock import HeldError, measuring_nowhere, wait_for_end

Arguments = Mapping[str, Any]

ANSWER_S: Final = 30.0
STOP_S: Final = 300.0
END_S: Final = 10.0
START_S: Final = 180.0
SHIP_S: Final = 3600.0

DEFAULT_CONFIG: Final = f"$DOWNTIMER_CONFIG or {configuration.DEFAULT_PATH}"
"""What docopt gives as the default, for the help shows it."""


def start(arguments: Arguments) -> int:
    """Begin to measure."""
    config = _config(arguments)
    resume = True if arguments["--resume"] else False if arguments["--new"] else None
    orders = launch.Orders(config=config, label=_label(arguments), resume=resume)
    if arguments["--foreground"]:
        launch.become_daemon(orders)
    if _is_idle(config):
        if resume:
            raise DowntimerError("the daemon was left idle by `stop --keep`: there is nothing to resume")
        begun = client.request(config.control_socket, "start", {"label": orders.label}, timeout_s=START_S)
        for line in begun["lines"]:
            _tell(line)
    else:
        launch.start_daemon(orders, _tell)
    return ExitCode.DONE


def stop(arguments: Arguments) -> int:
    """End the run, and print its report."""
    config = _config(arguments)
    try:
        ended = client.request(
            config.control_socket, "stop", {"keep": bool(arguments["--keep"])}, timeout_s=STOP_S
        )
    except NotRunningError as exc:
        raise NotRunningError(f"{exc}{_cut_off_hint(config)}") from exc
    if not arguments["--keep"]:
        wait_for_end(config, END_S)
    if ended["report_error"] is not None:
        with contextlib.closing(journal.JournalReader(ended["journal"])) as reader:
            _print(reports.render(reader))
        raise DowntimerError(ended["report_error"])
    _print_file(ended["report_file"])
    if ended["influxdb_left"]:
        _warn(
            f"{ended['influxdb_left']} points are not in InfluxDB yet; "
            f"`downtimer ship {ended['run']}`, or the next start, delivers them"
        )
    return ExitCode.DONE


def status(arguments: Arguments) -> int:
    """Show what is measured, and what is down right now."""
    config = _config(arguments)
    answer = client.request(config.control_socket, "status", timeout_s=ANSWER_S)
    if arguments["--json"]:
        _print([msgspec.json.format(msgspec.json.encode(answer), indent=2).decode(), "\n"])
    else:
        _print(status_text.render(answer))
    return ExitCode.DONE


def report(arguments: Arguments) -> int:
    """Show how long everything was down."""
    config = _config(arguments)
    form = arguments["--format"] or "text"
    if form not in reports.FORMATS:
        raise ConfigError(f"--format {form}: there are {', '.join(reports.FORMATS)}")
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
                _print(reports.render(reader, form))
                raise
            _print_file(config.global_.report_file)
        else:
            _print(reports.render(reader, form))
    finally:
        reader.close()
    return ExitCode.DONE


def runs(arguments: Arguments) -> int:
    """List the runs, or remove one."""
    config = _config(arguments)
    if arguments["--delete"] is not None:
        _delete(config, RunId(arguments["--delete"]))
        return ExitCode.DONE
    entries = journal.list_runs(config.global_.state_dir)
    under_way = _run_under_way(config)
    if arguments["--json"]:
        _print(runs_text.render_json(entries, under_way))
    else:
        _print(runs_text.render(entries, under_way))
    return ExitCode.DONE


def _delete(config: Config, run: RunId) -> None:
    """Remove a run that is not under way. One without an end is, if any daemon has its folder."""
    state_dir = config.global_.state_dir
    if run == _run_under_way(config):
        raise DowntimerError(f"run {run} is under way; `downtimer stop` ends it")
    entry = next((entry for entry in journal.list_runs(state_dir) if entry.id == run), None)
    is_open = entry is not None and entry.is_open
    try:
        with measuring_nowhere(state_dir) if is_open else contextlib.nullcontext():
            journal.delete_run(state_dir, run)
        if entry is not None and entry.backlog:
            _warn(f"{entry.backlog} points of run {run} had not reached InfluxDB; they are gone with it")
    except HeldError as exc:
        raise DowntimerError(f"run {run} is under way (pid {exc.holder}); `downtimer stop` ends it") from exc


def ship(arguments: Arguments) -> int:
    """Deliver to InfluxDB what earlier runs still hold back."""
    config = _config(arguments)
    if config.db is None:
        raise ConfigError(f"{config.path}: [db]: missing; there is no InfluxDB to ship to")
    from downtimer.store import ship as shipping  # noqa: PLC0415 - as in `_reader`

    wanted = arguments["RUN"]
    entries = [e for e in journal.list_runs(config.global_.state_dir) if wanted in (None, e.id)]
    if wanted is not None and not entries:
        raise DowntimerError(f"no run {wanted}; `downtimer runs` lists them")
    under_way = _run_under_way(config)
    left = 0
    for entry in entries:
        if entry.id != under_way and entry.error is None and not _is_measured(config, entry):
            left += shipping.ship(entry.path, config.db, SHIP_S)
    if left:
        raise DowntimerError(f"{left} points are still to be delivered")
    return ExitCode.DONE


def demo(arguments: Arguments) -> int:
    """Play a scripted upgrade of a simulated cloud, and measure it for real."""
    from downtimer.demo.run import run_demo  # noqa: PLC0415 - no other command needs it

    return run_demo(keep_files=bool(arguments["--keep-files"]))


def _config(arguments: Arguments) -> Config:
    given = arguments["--config"]
    if not given:
        raise ConfigError("--config: is empty")
    return configuration.load(None if given == DEFAULT_CONFIG else given)


def _cut_off_hint(config: Config) -> str:
    """Return what to do about a run whose daemon is gone; empty if there is none."""
    last = journal.last_run(config.global_.state_dir)
    if last is None or last.run.end_ns is not None:
        return ""
    return f"; run {last.run.id} was cut off: `downtimer start` goes on with it, `downtimer report` shows it"


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


def _is_measured(config: Config, entry: journal.RunEntry) -> bool:
    """Tell whether a daemon may be writing to a run, also one that does not answer."""
    if not entry.is_open:
        return False
    try:
        with measuring_nowhere(config.global_.state_dir):
            return False
    except HeldError:
        return True


def _run_under_way(config: Config) -> RunId | None:
    try:
        answer = client.request(config.control_socket, "status", timeout_s=ANSWER_S)
    except (NotRunningError, ControlError):
        return None
    return RunId(answer["run"]["id"])


def _reader(config: Config, store: str, run: str | None) -> Reader:
    """Open the store that a report is made from, at the run asked for or the latest."""
    under_way = _run_under_way(config)
    if under_way is not None and run in (None, under_way) and store == "journal":
        flushed = client.request(config.control_socket, "report", timeout_s=ANSWER_S)
        if flushed["silent"]:
            _warn(f"no answer from {', '.join(flushed['silent'])}: the latest seconds may be missing")
        return journal.JournalReader(flushed["journal"])
    if store == "influxdb":
        if config.db is None:
            raise ConfigError(f"{config.path}: [db]: missing; there is no InfluxDB to read from")
        from downtimer.store import influx  # noqa: PLC0415 - its client takes 0.2 s to import

        return influx.InfluxReader(config.db, RunId(run) if run is not None else None)
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
            _warn(f"a later run can't be read: {entry.error}; this is run {found.id}")
    return found


def _print(chunks: Iterable[str]) -> None:
    """Print a text.

    Raises:
        BrokenPipeError: Whoever read our output has enough.
        DowntimerError: It can't be written.
    """
    try:
        sys.stdout.writelines(chunks)
        sys.stdout.flush()
    except OSError as exc:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's end fails, too
        if isinstance(exc, BrokenPipeError):
            raise
        raise DowntimerError(f"cannot write to standard output: {exc.strerror}") from exc


def _print_file(path: str) -> None:
    with Path(path).open(encoding="utf-8") as file:
        _print(iter(lambda: file.read(1 << 16), ""))


def _tell(line: str) -> None:
    """Print a line about something that goes on even if nobody reads of it."""
    with contextlib.suppress(BrokenPipeError, DowntimerError):
        _print([line, "\n"])


def _warn(line: str) -> None:
    print(f"downtimer: {printable(line)}", file=sys.stderr)
