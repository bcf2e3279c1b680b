"""What imported runs are, and what they are not."""

from dataclasses import replace
from pathlib import Path

from downtimer.model import Run, RunId
from downtimer.report import runs_text
from downtimer.store.journal import JournalWriter, journal_path, last_run, list_runs, prune
from tests.unit.runs import ns

RUN = Run(
    id=RunId("20261122-163705-1234"),
    label="",
    vantage="here",
    cloud="",
    start_utc_ns=1_795_365_425_123_000_000,
    boot_origin_ns=0,
    boot_id="boot-1",
)


def make(folder: Path, name: str, *, start_s: int = 0, is_imported: bool = False) -> Run:
    """Make a run without an end."""
    run = replace(
        RUN,
        id=RunId(name),
        start_utc_ns=RUN.start_utc_ns + ns(start_s),
        boot_id="" if is_imported else RUN.boot_id,
    )
    JournalWriter(journal_path(str(folder), run.id), run, ships=False).close()
    return run


def test_imported_run_is_neither_the_last_nor_open_nor_removed_for_being_old(tmp_path: Path) -> None:
    measured = make(tmp_path, "20261122-163705-1234")
    imported = [make(tmp_path, f"r{number}", start_s=number, is_imported=True) for number in (-9, 9)]
    last = last_run(str(tmp_path))
    assert last is not None
    assert last.run.id == measured.id
    assert {entry.id for entry in list_runs(str(tmp_path)) if entry.is_open} == {measured.id}
    assert [entry.id for entry in prune(str(tmp_path), 0, never=RunId(""))] == [measured.id]
    assert {entry.id for entry in list_runs(str(tmp_path))} == {run.id for run in imported}
    assert last_run(str(tmp_path)) is None


def test_imported_run_is_one_plain_file_that_is_listed_as_such(tmp_path: Path) -> None:
    make(tmp_path, "r1", is_imported=True)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["r1.sqlite"]
    assert "  imported" in "".join(runs_text.render(list_runs(str(tmp_path)), None))


def test_length_is_listed_as_reports_word_it(tmp_path: Path) -> None:
    writer = JournalWriter(journal_path(str(tmp_path), RUN.id), RUN, ships=False)
    writer.end_run(ns(88.1))
    writer.close()
    assert "  1 min 28.1 s  " in "".join(runs_text.render(list_runs(str(tmp_path)), None))
