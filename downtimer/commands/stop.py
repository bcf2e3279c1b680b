"""End the run, and print its report."""

import contextlib
from typing import Final

from downtimer import report as reports
from downtimer.commands.common import Arguments, configuration, print_file, print_text, warn
from downtimer.config import Config
from downtimer.control import client
from downtimer.errors import DowntimerError, ExitCode, NotRunningError
from downtimer.store import journal
from downtimer.supervisor.lock import wait_for_end

STOP_S: Final = 300.0
END_S: Final = 10.0


def run(arguments: Arguments) -> int:
    """End the run, and print its report."""
    config = configuration(arguments)
    try:
        ended = client.request(
            config.control_socket, "stop", {"keep": bool(arguments["--keep"])}, timeout_s=STOP_S
        )
    except NotRunningError as exc:
        raise NotRunningError(f"{exc}{_cut_off_hint(config)}") from exc
    if not arguments["--keep"]:
        wait_for_end(config, END_S)
    if ended["run"] is None:
        warn("no run was under way; the daemon has ended")
        return ExitCode.DONE
    if ended["report_error"] is not None:
        with contextlib.closing(journal.JournalReader(ended["journal"])) as reader:
            print_text(reports.render(reader))
        raise DowntimerError(ended["report_error"])
    print_file(ended["report_file"])
    if ended["influxdb_left"]:
        warn(
            f"{ended['influxdb_left']} points are not in InfluxDB yet; "
            f"`downtimer ship {ended['run']}`, or the next start, delivers them"
        )
    return ExitCode.DONE


def _cut_off_hint(config: Config) -> str:
    """Return what to do about a run whose daemon is gone; empty if there is none."""
    last = journal.last_run(config.global_.state_dir)
    if last is None or last.run.end_ns is not None:
        return ""
    return f"; run {last.run.id} was cut off: `downtimer start` goes on with it, `downtimer report` shows it"
