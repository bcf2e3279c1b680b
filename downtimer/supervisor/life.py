"""How a run begins and how it ends: what lies around the measurement itself.

Runs in the supervisor, before the first child is there and after the last one is gone, so that it may
read the journal; while a run is under way nobody but the writer touches it.
"""

import asyncio
import contextlib
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from downtimer import accounts, certificates, secrecy
from downtimer import config as configurations
from downtimer.account import Account, Trust
from downtimer.certificates import unverified, why_unusable
from downtimer.clock import Anchor
from downtimer.config import Config
from downtimer.errors import ConfigError, DowntimerError
from downtimer.messages import Settings
from downtimer.model import Kind, Run
from downtimer.printable import printable
from downtimer.source import Source
from downtimer.store import journal
from downtimer.store.schema import SUFFIX
from downtimer.supervisor import runs
from downtimer.supervisor.bus import Bus
from downtimer.supervisor.children import child_environment
from downtimer.supervisor.launch import Orders
from downtimer.supervisor.lock import check_report_file
from downtimer.supervisor.measurement import MARKS_SHOWN, Measurement, Past
from downtimer.supervisor.targets import TargetList

log = logging.getLogger(__name__)

REPORT_S: Final = 120.0
KINDS: Final = {Kind.SERVICE: ("service", "services"), Kind.ADDRESS: ("address", "addresses")}
FOR_LIFE: Final = ("state_dir", "runtime_dir", "log_file", "control_group")
"""Options of ``[global]`` that a daemon keeps from its first run to its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A measurement that is about to start. `line`: what became of a run that was cut off, if one was."""

    measurement: Measurement
    resumed: bool
    line: str | None


def configure_anew(old: Config, path: str, account: Account | None, password: str | None) -> Config:
    """Return what a file says now, for the next run of a daemon that was left idle.

    Args:
        old: The configuration that the daemon has.
        path: Of the file.
        account: What whoever starts it has found elsewhere than in the file; None: what that says counts.
        password: What whoever starts it has in the environment for one that the file does not give.

    Raises:
        ConfigError: It is wrong, or another daemon would be needed for it.
    """
    if path != old.path and old.global_.control_group is not None:
        raise ConfigError(
            f"{path}: the daemon that is idle takes {old.path} only, for with [global] control_group others "
            "may command it; `downtimer stop` ends it, then start again"
        )
    if account not in (None, old.account) and old.global_.control_group is not None:
        raise ConfigError(
            f"{path}: the daemon that is idle signs in as before only, for with [global] control_group "
            "others may command it; `downtimer stop` ends it, then start again"
        )
    new = secrecy.complete(configurations.load(path))
    new = replace(new, account=account or accounts.of_file(new, password))
    accounts.check_targets(new)
    for option in FOR_LIFE:
        kept = getattr(old.global_, option)
        if getattr(new.global_, option) != kept:
            raise ConfigError(
                f"{path}: [global] {option}: the daemon that is idle has "
                f"{'none' if kept is None else kept}, and cannot change it; "
                "`downtimer stop` ends it, then start again"
            )
    check_report_file(new)
    return new


def check_anew(config: Config) -> None:
    """Check what was read again in the midst of a run, and say aloud what is not safe.

    Raises:
        ConfigError: A file of certificates can't be used.
    """
    _check_cacert(config)
    for line in (*secrecy.readable_by_others(config), *unverified(config)):
        log.warning("%s", line)


def begin(orders: Orders) -> Begun:
    """Prepare a new run, or the last one if it was cut off and may go on.

    Raises:
        ConfigError: Probes could not leave, or the file of CA certificates can't be used.
        DowntimerError: A run in the state folder cannot be closed, or `--resume` was asked for in vain.
    """
    config = orders.config
    state_dir = config.global_.state_dir
    _check_source(config)
    _check_cacert(config)
    for line in unverified(config):
        log.warning("%s", line)
    last = journal.last_run(state_dir)
    cut_off = last if last is not None and last.run.end_ns is None else None
    why_not = runs.why_not_resumed(config, orders, cut_off)
    if cut_off is not None and why_not is None:
        return _resume(config, cut_off)
    if orders.resume:
        ended = f" (the last one, {last.run.id}, has ended)" if last is not None and cut_off is None else ""
        raise DowntimerError(f"{why_not}{ended}; start without --resume")
    if cut_off is not None:
        journal.close_interrupted(cut_off)
    run, anchor = runs.new_run(config, orders.label)
    for removed in journal.prune(state_dir, config.global_.keep_runs - 1, never=run.id):
        lost = f"; {removed.backlog} points of it had not reached InfluxDB" if removed.backlog else ""
        log.warning("[global] keep_runs: run %s was removed%s", removed.id, lost)
    return Begun(
        measurement=_measurement(_settings(config, run, anchor), TargetList(), Past()),
        resumed=False,
        line=f"{why_not}; `downtimer report --run {cut_off.run.id}` shows it"
        if cut_off is not None
        else None,
    )


def undo(begun: Begun) -> None:
    """Remove what a run that could not begin has left; a resumed one stays as it was."""
    settings = begun.measurement.settings
    if not begun.resumed and Path(settings.journal).exists():
        journal.delete_run(settings.config.global_.state_dir, settings.run.id)


async def end(measurement: Measurement, label: str | None = None) -> dict[str, Any]:
    """End a run and write its report; return what `stop` answers.

    Args:
        measurement: Of the run.
        label: What the run is called from now on; None: as it is.

    Raises:
        DowntimerError: The end could not be recorded. What was recorded before is in the report.
    """
    settings = measurement.settings
    report_file = settings.config.global_.report_file
    failure: DowntimerError | None = None
    try:
        await measurement.stop(label)
    except DowntimerError as exc:
        failure = None if _has_ended(settings.journal) else exc
    log.info("run %s has ended%s", settings.run.id, "" if failure is None else f", but {failure}")
    error = await _write_report(settings.journal, report_file, settings.run)
    if failure is not None:
        raise DowntimerError(f"{failure}; {error or f'what was recorded before is in {report_file}'}")
    writer = measurement.picture.writer
    return {
        "run": settings.run.id,
        "journal": settings.journal,
        "report_file": report_file,
        "report_error": error,
        "influxdb_left": writer.backlog if writer is not None and settings.config.db is not None else 0,
    }


def _has_ended(path: str) -> bool:
    """Tell whether a run has ended by its journal: its writer may have died while it shipped."""
    try:
        with contextlib.closing(journal.JournalReader(path)) as reader:
            return reader.run().end_ns is not None
    except DowntimerError:
        return False


def describe(measurement: Measurement) -> str:
    """Return the line that tells what is measured."""
    counts = [(measurement.targets.count_probed(kind), words) for kind, words in KINDS.items()]
    what = " and ".join(f"{count} {words[count != 1]}" for count, words in counts)
    run = measurement.settings.run.id
    if measurement.paused_ns is not None:
        return f"run {run} is still paused, with {what}; `downtimer resume` goes on probing"
    return f"measuring {what} as run {run}"


def complaints(measurement: Measurement) -> list[str]:
    """Return lines about what of the configuration has no effect, or will soon have none."""
    path = measurement.settings.config.path
    return [printable(f"{path}: {line}") for line in measurement.picture.complaints]


def _check_source(config: Config) -> None:
    """Refuse to begin where no probe could leave. What goes away later is no reason to end."""
    try:
        Source(config.targets.source).check()
    except OSError as exc:
        raise ConfigError(
            f"{config.path}: [targets] source: cannot send from {config.targets.source}: {exc.strerror}"
        ) from exc


def _check_cacert(config: Config) -> None:
    """Refuse to begin where no certificate could be verified. Children that come later read the file anew."""
    wanted = [(certificates.where(config), config.trust)]
    if config.db is not None:
        wanted.append((f"{config.path}: [db] cacert", Trust(cacert=config.db.cacert)))
    for where, trust in wanted:
        if (reason := why_unusable(trust)) is not None:
            raise ConfigError(f"{where}: {reason}")


def _resume(config: Config, cut_off: journal.LastRun) -> Begun:
    run, anchor = runs.resumed(cut_off.run, cut_off.through_ns)
    with contextlib.closing(journal.JournalReader(cut_off.path)) as reader:
        targets = TargetList(reader.targets())
        past = Past(marks=reader.marks()[-MARKS_SHOWN:], paused_ns=cut_off.paused_ns)
    gap_s = runs.age_s(cut_off)
    return Begun(
        measurement=_measurement(_settings(config, run, anchor), targets, past),
        resumed=True,
        line=f"run {run.id} was cut off {gap_s:.0f} s ago and goes on; that time was not observed"
        if past.paused_ns is None
        else f"run {run.id} was cut off while it was paused",
    )


def _settings(config: Config, run: Run, anchor: Anchor) -> Settings:
    return Settings(
        config=config,
        run=run,
        anchor=anchor,
        points=f"ipc://{config.global_.runtime_dir}/points.sock",
        journal=str(Path(config.global_.state_dir) / "runs" / f"{run.id}{SUFFIX}"),
    )


def _measurement(settings: Settings, targets: TargetList, past: Past) -> Measurement:
    return Measurement(settings, Bus(f"ipc://{settings.config.global_.runtime_dir}/bus.sock"), targets, past)


async def _write_report(journal_path: str, report_file: str, run: Run) -> str | None:
    """Have a short-lived child write the report; return why it could not, None if it did."""
    command = [sys.executable, "-m", "downtimer.report.child"]
    command += ["--journal", journal_path, "--output", report_file, "--run", run.id]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(),
        cwd="/",
    )
    try:
        async with asyncio.timeout(REPORT_S):
            _, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        return f"the report was not done within {REPORT_S:.0f} s; `downtimer report` makes it again"
    if process.returncode == 0:
        return None
    text = stderr.decode("utf-8", "replace").strip()
    log.error("report: %s", text)
    return text.splitlines()[-1] if text else f"the report's process ended with {process.returncode}"
