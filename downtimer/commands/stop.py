"""End the run, write its report and print it.

Usage: downtimer stop [--config FILE] [--label TEXT] [--keep]
                      [--assert EXPR]... [--lenient] [--format FORMAT]
                      [--output FILE]

Options:
  --label TEXT            what the run was of, instead of the label of its start
  --keep                  leave the daemon running, without a run
  --assert EXPR           a promise to judge the run by, as zero-downtime or
                          'service:nova <= 30s'; several may be given
  --lenient               what is undecided is no failure; a promise about
                          nothing, as of a misspelt name, still is one
  --format FORMAT         of what is printed: text (if not given), json, html,
                          markdown, junit
  --output FILE           write there instead of printing; - is standard output
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

It waits up to 30 seconds for InfluxDB; what is left the next start delivers, or
`downtimer ship`. Exit code 4: an assertion failed, or is undecided.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from downtimer.commands.common import (
    Arguments,
    configuration_of_daemon,
    hinting_of_run,
    label,
    print_file,
    warn,
)
from downtimer.commands.delivering import UndeliveredError, Wanted, wanted
from downtimer.config import Config
from downtimer.control import client
from downtimer.errors import DowntimerError, ExitCode
from downtimer.store import journal
from downtimer.store.outbox import SHIP_S
from downtimer.supervisor.lock import wait_for_end

STOP_S: Final = 300.0
END_S: Final = 10.0
POLL_S: Final = 1.0
PATIENCE: Final = 4
"""InfluxDB is to be seen failing so often in a row, for the writer tells every other second how it fares."""


def run(arguments: Arguments) -> int:
    """End the run, and print its report."""
    asked, name = wanted(arguments), label(arguments)
    ended = end(configuration_of_daemon(arguments), keep=bool(arguments["--keep"]), name=name)
    if ended["run"] is None:
        warn("no run was under way; the daemon has ended")
        return asked.nothing_measured()
    return report_on(ended, asked)


def end(config: Config, *, keep: bool, name: str | None = None) -> dict[str, Any]:
    """End the run under way; return what the daemon answers (`downtimer.supervisor.life.end`).

    Args:
        config: Of the daemon.
        keep: Leave it running, without a run. Else it is gone when this returns.
        name: What the run is called from now on; None: as it is.

    Raises:
        DowntimerError: There is none, or its end could not be recorded.
    """
    asked = {"keep": keep} if name is None else {"keep": keep, "label": name}
    with hinting_of_run(config), _telling_what_it_waits_for(config):
        ended = client.request(config.control_socket, "stop", asked, timeout_s=STOP_S)
    if not keep:
        wait_for_end(config, END_S)
    return ended


def report_on(ended: Mapping[str, Any], asked: Wanted) -> int:
    """Print the report on a run that has ended, and what InfluxDB lacks of it; return the exit code.

    Raises:
        DowntimerError: It could not be printed or written.
    """
    try:
        return _report(ended, asked)
    except UndeliveredError as exc:
        raise UndeliveredError(
            f"{exc}; `downtimer report --run {ended['run']}` has it", ExitCode(exc.exit_code)
        ) from exc
    finally:
        if ended["influxdb_left"]:
            warn(
                f"{ended['influxdb_left']} points are not in InfluxDB yet; "
                f"`downtimer ship {ended['run']}`, or the next start, delivers them"
            )


def _report(ended: Mapping[str, Any], asked: Wanted) -> int:
    """Print the report. The daemon has written it, but of assertions it knows nothing."""
    if ended["report_error"] is None and asked.is_plain:
        print_file(ended["report_file"])
        return ExitCode.DONE
    is_to_be_judged = ended["report_error"] is None and asked.assertions
    with contextlib.closing(journal.JournalReader(ended["journal"])) as reader:
        code = asked.deliver(reader, ended["report_file"] if is_to_be_judged else None)
    if ended["report_error"] is not None:
        error = DowntimerError(ended["report_error"])
        error.exit_code = code or error.exit_code
        raise error
    return code


@contextlib.contextmanager
def _telling_what_it_waits_for(config: Config) -> Iterator[None]:
    """Watch a stop from another thread for as long as it takes."""
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(config, ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(config: Config, ended: threading.Event) -> None:
    """Say it, once, if nothing but InfluxDB holds up a stop."""
    seen = 0
    while seen < PATIENCE:
        if ended.wait(POLL_S):
            return
        try:
            status = client.request(config.control_socket, "status", timeout_s=POLL_S)
        except DowntimerError:  # too busy to answer, or it has ended
            continue
        seen = seen + 1 if _waits_for_influxdb(status) else 0
    warn(f"{status['influxdb']['error']}; waiting for it, up to {SHIP_S:.0f} s")


def _waits_for_influxdb(status: Mapping[str, Any]) -> bool:
    """Tell whether only the writer is left, and InfluxDB takes nothing from it."""
    running = [process["name"] for process in status["processes"] if process["pid"] is not None]
    return running == ["writer"] and status["influxdb"]["state"] == "failing"
