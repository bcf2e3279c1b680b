"""Power cuts: whatever part of the unsynced is on the disk, the journal has all that was acknowledged."""

import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from downtimer.messages import Ack, SpanFact
from downtimer.model import Incarnation, RunId
from downtimer.store.journal import JournalReader, JournalWriter, last_run, list_runs
from downtimer.workers.writer import COMMIT_S
from tests.chaos.aftermath import inspect
from tests.chaos.disk import ROOT, Sync, Truncate
from tests.chaos.flapping import Flapping
from tests.chaos.powercut import after_cuts, aftermaths, at_ns, cut
from tests.chaos.recorded import Recording, record
from tests.integration.command import Command, is_alive, until_measured
from tests.integration.influx_env import InfluxServer
from tests.waiting import wait_until
from tests.writer_env import Bench

pytestmark = pytest.mark.untimed

CUTS: Final = 40
LATE_S: Final = 5.0
"""So long a commit may take here, where other tests run, and each write is recorded."""

COPIES: Final = 10
LOGS: Final = 3


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A writer's life without InfluxDB."""
    return record(tmp_path_factory.mktemp("recorded") / "life", seed=1, influx=None)


@pytest.fixture(scope="module")
def shipping(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One with an InfluxDB that is frozen now and then."""
    directory = tmp_path_factory.mktemp("shipping")
    with InfluxServer(directory / "influxdb") as influx:
        return record(directory / "life", seed=1, influx=influx)


@pytest.mark.parametrize("kind", ["recording", "shipping"])
def test_cut_at_any_instant_costs_a_second_and_nothing_that_was_acknowledged(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    recorded: Recording = request.getfixturevalue(kind)
    outcome = cut(tmp_path / "cut", recorded, seed=7, times=CUTS, fault="power cut")
    assert outcome.times == CUTS
    assert (outcome.lost, outcome.twice, outcome.invented_s) == (0, 0, 0)
    assert 0 < outcome.unobserved_s < COMMIT_S + LATE_S


def test_recording_has_all_that_a_writer_does_to_its_files(shipping: Recording) -> None:
    """The log begins anew, and is cut to its limit; the room that the outbox needed is given back."""
    lengths = [step.change.length for step in shipping.steps if isinstance(step.change, Truncate)]
    assert 16 << 20 in lengths
    assert max(lengths) > 4 * lengths[-1]


def test_folder_that_is_not_synced_would_be_noticed(recording: Recording, tmp_path: Path) -> None:
    steps = [step for step in recording.steps if step.change != Sync(ROOT)]
    careless = replace(recording, steps=steps)
    assert sum(each.lost for each in aftermaths(tmp_path / "cut", careless, seed=7, times=CUTS)) > 0


def test_acknowledgement_before_the_commit_would_be_noticed(recording: Recording, tmp_path: Path) -> None:
    told = [replace(each, acknowledged_ns=each.sent_ns) for each in recording.told]
    hasty = replace(recording, told=told)
    assert sum(each.lost for each in aftermaths(tmp_path / "cut", hasty, seed=7, times=CUTS)) > 0


def test_cut_while_the_journal_is_made_is_told_in_one_line_and_prevents_no_other_run(
    recording: Recording, tmp_path: Path
) -> None:
    """At every instant until the first facts are there, and after an earlier run that was cut off."""
    earlier = replace(recording.run, id=RunId("20231231-000000-0001"), start_utc_ns=1)
    old = tmp_path / "old.sqlite"
    JournalWriter(str(old), earlier, ships=False).close()
    first = min(told.acknowledged_ns for told in recording.told)
    instants = [number for number, step in enumerate(recording.steps) if step.at_ns < first]
    unmade = 0
    for state, _ in after_cuts(tmp_path / "state", recording.steps, instants, rng()):
        (state / "runs").mkdir(exist_ok=True)
        shutil.copy(old, state / "runs" / f"{earlier.id}.sqlite")
        errors = [entry.error for entry in list_runs(str(state)) if entry.error is not None]
        last = last_run(str(state))
        assert last is not None
        if last.run.id == earlier.id:
            unmade += len(errors)
            assert all(recording.run.id in error and "\n" not in error for error in errors)
        else:
            assert (last.run.id, errors) == (recording.run.id, [])
        JournalWriter(last.path, last.run, ships=False).close()
    assert unmade > len(instants) / 4


def test_cut_while_the_run_ends_leaves_it_whole(recording: Recording, tmp_path: Path) -> None:
    """There the journal leaves WAL mode, with a change that the next who reads it may have to undo."""
    steps = recording.steps
    instants = range(len(steps) - 40, len(steps) + 1)
    halfway = 0
    for state, number in after_cuts(tmp_path / "state", steps, instants, rng()):
        halfway += any(file.stat().st_size > 512 for file in state.glob("runs/*-journal"))
        after = inspect(state, recording, at_ns(steps, number))
        assert (after.lost, after.twice, after.was_made) == (0, 0, True)
    assert halfway > 0


def test_journals_that_were_cut_off_while_they_were_made_are_no_trouble_to_the_command(
    command: Command,
) -> None:
    command.ok("start")
    until_measured(command)
    pids = [command.supervisor(), *command.pids().values()]
    run = command.status()["run"]["id"]
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), timeout_s=30, what="the end of all")
    runs = command.state_dir / "runs"
    (runs / "29990101-000000-0001.sqlite").touch()
    with closing(sqlite3.connect(runs / "29990101-000000-0002.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA user_version = 0")
    listed = command.ok("runs").splitlines()
    assert [line.split()[0] for line in listed[1:]] == [run, "29990101-000000-0001", "29990101-000000-0002"]
    assert all("`downtimer runs --delete" in line for line in listed[2:])
    said = command.run("report", "--format", "json")
    assert (said.code, said.err.count("\n")) == (0, 2)
    assert all(f"this is run {run}" in line for line in said.err.splitlines())
    assert f"run {run} was cut off" in command.ok("start")
    until_measured(command)
    command.ok("stop")
    for line in listed[2:]:
        command.ok("runs", "--delete", line.split()[0])
    assert [path.name for path in runs.iterdir()] == [f"{run}.sqlite"]


def test_copy_of_a_journal_in_use_is_whole_if_its_log_has_not_begun_anew(tmp_path: Path) -> None:
    """The main file first, then the log, which has whatever of the main file has changed meanwhile."""
    bench = Bench(tmp_path / "live")
    flapping = Flapping(rng(), 2_000)
    flapping.begin(Incarnation("api.1"))
    facts: dict[int, list[SpanFact]] = {}
    acknowledged: set[int] = set()
    whole: list[bytes] = []
    deadline = time.monotonic() + 120
    with bench.writer(flapping.states) as writer, bench.worker() as worker:
        epoch = worker.greet()
        while len(whole) < COPIES or len(set(whole)) < LOGS:
            assert time.monotonic() < deadline, f"{len(whole)} copies, of {len(set(whole))} logs"
            serial = len(facts) + 1
            facts[serial] = flapping.probe(writer.now_ns())
            worker.send(epoch, serial, *facts[serial], progress=(flapping.progress(),))
            while isinstance(answer := worker.hear(timeout_s=0.05), Ack):
                acknowledged.add(answer.serial)
            if not acknowledged:
                continue
            promised = {fact.span.first_sent_ns for each in acknowledged for fact in facts[each]}
            copy = tmp_path / "copy.sqlite"
            if log := _copy(Path(bench.journal), copy):
                whole.append(log)
                assert promised <= _first_sent(copy)
            for file in tmp_path.glob("copy*"):
                file.unlink()


def rng() -> random.Random:
    """Return what chooses, the same in each test."""
    return random.Random(7)  # noqa: S311 - repeatable


def _copy(journal: Path, copy: Path) -> bytes | None:
    """Copy a journal; return what tells its log from others, None if that has begun anew meanwhile."""
    log, log_copy = Path(f"{journal}-wal"), Path(f"{copy}-wal")
    before = _salt(log)
    shutil.copy(journal, copy)
    shutil.copy(log, log_copy)
    return before if before == _salt(log) == _salt(log_copy) else None


def _salt(log: Path) -> bytes:
    """Return what tells one beginning of a log from another."""
    with log.open("rb") as file:
        return file.read(32)[16:24]


def _first_sent(journal: Path) -> set[int]:
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(JournalReader(str(journal))) as reader:
        return {span.first_sent_ns for span in reader.spans()}
