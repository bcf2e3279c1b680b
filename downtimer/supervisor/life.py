"""How a run begins and how it ends: what lies around the measurement itself.

Runs in the supervisor, before the first child is there and after the last one is gone, so that it may
read the journal; while a run is under way nobody but the writer touches it.
"""

import asyncio
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from downtimer.config import Config
from downtimer.errors import ConfigError
from downtimer.messages import Settings
from downtimer.model import SECOND_NS, Kind, Run
from downtimer.store import journal
from downtimer.supervisor import runs
from downtimer.supervisor.bus import Bus
from downtimer.supervisor.children import child_environment
from downtimer.supervisor.launch import Orders
from downtimer.supervisor.measurement import Measurement
from downtimer.supervisor.targets import TargetList

log = logging.getLogger(__name__)

REPORT_S: Final = 120.0
KINDS: Final = {Kind.SERVICE: ("service", "services"), Kind.ADDRESS: ("address", "addresses")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A measurement that is about to start. `line` tells the user whether it is a new run."""

    measurement: Measurement
    resumed: bool
    line: str


def begin(orders: Orders) -> Begun:
    """Prepare a new run, or the last one if it was cut off and may go on.

    Raises:
        DowntimerError: The state folder cannot be used, or `--resume` was asked for in vain.
    """
    config = orders.config
    _make_state_dir(config)
    cut_off = journal.last_cut_off(config.global_.state_dir)
    if orders.resume is not False and cut_off is not None:
        why_not = runs.why_not_resumed(config, orders.label, cut_off.run, cut_off.age_s)
        if orders.resume:
            runs.check_resumable(cut_off.run, why_not)
        if orders.resume or why_not is None:
            return _resume(config, cut_off)
        line = f"run {cut_off.run.id} was cut off and is not resumed: {why_not}; "
    else:
        if orders.resume:
            runs.check_resumable(None, None)
        line = f"run {cut_off.run.id} was cut off and is closed; " if cut_off is not None else ""
    journal.close_cut_off(config.global_.state_dir)
    run, anchor = runs.new_run(config, orders.label)
    journal.prune(config.global_.state_dir, keep=config.global_.keep_runs - 1)
    settings = _settings(config, run, anchor)
    return Begun(
        measurement=_measurement(settings, TargetList()),
        resumed=False,
        line=f"{line}run {run.id} begins",
    )


async def undo(begun: Begun) -> None:
    """Remove what a run that could not begin has left; a resumed one stays as it was."""
    if not begun.resumed:
        journal.discard(begun.measurement.settings.journal)


async def end(measurement: Measurement) -> dict[str, Any]:
    """End a run and write its report; return what `stop` answers."""
    await measurement.stop()
    settings = measurement.settings
    report_file = settings.config.global_.report_file
    error = await _write_report(settings.journal, report_file, settings.run)
    writer = measurement.picture.writer
    return {
        "run": settings.run.id,
        "journal": settings.journal,
        "report_file": report_file,
        "report_error": error,
        "influxdb_left": writer.backlog if writer is not None else 0,
    }


def describe(measurement: Measurement) -> str:
    """Return the line that tells what is measured."""
    counts = [(measurement.targets.count_probed(kind), words) for kind, words in KINDS.items()]
    what = " and ".join(f"{count} {words[count != 1]}" for count, words in counts)
    return f"measuring {what} as run {measurement.settings.run.id}"


def _resume(config: Config, cut_off: journal.CutOff) -> Begun:
    run, anchor = runs.resumed(cut_off.run, cut_off.last_ns)
    with journal.JournalReader(cut_off.path) as reader:
        targets = TargetList(reader.targets())
    gap_s = runs.now_ns(anchor) / SECOND_NS - cut_off.last_ns / SECOND_NS
    return Begun(
        measurement=_measurement(_settings(config, run, anchor), targets),
        resumed=True,
        line=f"run {run.id} was cut off and goes on; {gap_s:.0f} s were not observed",
    )


def _settings(config: Config, run: Run, anchor: runs.Anchor) -> Settings:
    return Settings(
        config=config,
        run=run,
        anchor=anchor,
        points=f"ipc://{config.global_.runtime_dir}/points.sock",
        journal=journal.path_of(config.global_.state_dir, run.id),
    )


def _measurement(settings: Settings, targets: TargetList) -> Measurement:
    return Measurement(settings, Bus(f"ipc://{settings.config.global_.runtime_dir}/bus.sock"), targets)


def _make_state_dir(config: Config) -> None:
    path = Path(config.global_.state_dir) / "runs"
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as exc:
        raise ConfigError(f"[global] state_dir: cannot write in {path}: {exc.strerror}") from exc


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
