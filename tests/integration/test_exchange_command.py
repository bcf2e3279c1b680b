"""Export and import as commands: of a real run, under way and ended, into another installation."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from downtimer import report
from downtimer.demo.cloud import SimulatedCloud
from tests.integration.command import Command, Said, static_targets, until_measured

pytestmark = pytest.mark.untimed

GUIDE = Path(__file__).parent.parent.parent / "doc" / "guide" / "export.rst"
RALLY = Path(__file__).parent.parent / "data" / "rally"


@pytest.fixture
def elsewhere(lonely_cloud: SimulatedCloud, tmp_path: Path) -> Command:
    """Another installation, in which nothing was measured."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Command(folder, prefix=lonely_cloud.network.in_vantage([]), sections=static_targets(lonely_cloud))


def states(command: Command) -> dict[str, str]:
    """Return the runs that are kept, each with its state."""
    return {one["id"]: one["state"] for one in json.loads(command.ok("runs", "--json"))}


def take_in(command: Command, text: str, *words: str) -> Said:
    """Import a text by way of standard input."""
    done = subprocess.run(
        command.argv("import", *words, "-"),
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def test_run_is_reported_alike_where_it_was_measured_and_elsewhere(
    command: Command, elsewhere: Command
) -> None:
    command.ok("start", "--label", "nova 28 → 29")
    until_measured(command)
    command.ok("mark", "шаг 1")
    under_way = command.ok("export")
    command.ok("pause")
    command.ok("resume")
    command.ok("stop")
    (run,) = states(command)
    exported = command.directory / "run.jsonl"
    assert command.ok("export", run[:9], "--output", str(exported)) == ""

    told = elsewhere.ok("import", str(exported))
    assert told.startswith(f"run {run}: 1 service, 2 addresses, ")
    assert told.endswith(f"; `downtimer report --run {run}` reports on it\n")
    for form in report.FORMATS:
        words = ("report", "--format", form, "--run", run)
        assert elsewhere.ok(*words) == command.ok(*words)
    assert elsewhere.ok("export", run) == exported.read_text(encoding="utf-8")
    assert states(elsewhere) == {run: "imported"}
    assert_not_taken_twice(elsewhere, exported, run)

    elsewhere.ok("runs", "--delete", run)
    assert take_in(elsewhere, under_way).code == 0
    assert "Service glance was down approximately" in elsewhere.ok("report", "--run", run)
    try:  # nothing goes on with it, though it began minutes ago and has no end
        begun = elsewhere.ok("start")
        assert f"run {run}" not in begun
        assert "cut off" not in begun
    finally:
        elsewhere.end()
    assert sorted(states(elsewhere).values()) == ["ended", "imported"]
    assert elsewhere.ok("export", run) == under_way


def assert_not_taken_twice(elsewhere: Command, exported: Path, run: str) -> None:
    """A run that is there is refused, and nothing of the attempt is left."""
    before = sorted((elsewhere.state_dir / "runs").iterdir())
    said = elsewhere.run("import", str(exported))
    where = elsewhere.state_dir / "runs"
    assert said == Said(
        1, "", f"downtimer: run {run} is in {where} already; `downtimer runs --delete {run}` removes it\n"
    )
    assert sorted(where.iterdir()) == before


def test_rally_results_are_taken_in_all_or_none(elsewhere: Command) -> None:
    told = elsewhere.ok("import", "--from", "rally", str(RALLY / "3.4-results.json"))
    assert [line.split(": ")[1].split(";")[0] for line in told.splitlines()] == [
        "Dummy.dummy_exception_probability, 12 iterations, 5 failed, 2 marks",
        "Dummy.dummy_timed_atomic_actions, 6 iterations, 0 failed, 0 marks",
    ]
    first, second = sorted(states(elsewhere))
    text = elsewhere.ok("report", "--run", first)
    assert text.startswith(
        "Service Dummy.dummy_exception_probability was down approximately 0 seconds which is"
    )
    assert "step one" in text
    elsewhere.ok("runs", "--delete", first)
    said = elsewhere.run("import", "--from", "rally", str(RALLY / "3.4-report.json"))
    assert (said.code, f"run {second} is in" in said.err) == (1, True)
    assert states(elsewhere) == {second: "imported"}


def test_csv_is_converted_as_the_guide_says(elsewhere: Command) -> None:
    (_, example) = GUIDE.read_text().split(".. code-block:: python\n")
    indented = example.split("\n.. code-block:: bash\n")[0]
    program = "\n".join(line.removeprefix("    ") for line in indented.splitlines())
    rows = "time,ok,seconds\n" + "".join(f"{1_795_721_385 + i}.5,{int(i != 3)},0.0{i}\n" for i in range(9))
    converted = subprocess.run(
        [sys.executable, "-c", program], input=rows, capture_output=True, text=True, timeout=60, check=True
    )
    assert take_in(elsewhere, converted.stdout).out.startswith("run from-csv: 1 service, 9 samples;")
    (web,) = elsewhere.report("--run", "from-csv")["targets"]
    assert (web["down_s"], web["down_min_s"], web["down_max_s"], web["window_s"]) == (1.0, 0.0, 2.0, 8.0)
    text = elsewhere.ok("report", "--run", "from-csv")
    assert ("not yet" in text, "prober" in text, "2026-11-26 19:29:53.500 UTC" in text) == (False, True, True)


def test_examples_of_the_guide_can_be_taken_in(elsewhere: Command) -> None:
    _, *blocks = GUIDE.read_text().split(".. code-block:: json\n")
    assert len(blocks) == 2
    for block in blocks:
        (lines,) = re.findall(r"\n((?:    .+\n)+)", block.partition("\n\n\n")[0])[:1]
        run = (
            take_in(elsewhere, lines.replace("\n     ", "").replace("    ", "")).out.split(":")[0].split()[1]
        )
        text = elsewhere.ok("report", "--run", run)
        assert ("not yet" in text, "vantage" in text) == (False, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("import", "/nowhere/x"),
            Said(1, "", "downtimer: cannot read /nowhere/x: No such file or directory\n"),
        ),
        (("import", "/"), Said(1, "", "downtimer: cannot read /: Is a directory\n")),
        (("import", "/dev/null"), Said(1, "", "downtimer: /dev/null: it is empty\n")),
        (
            ("import", "--from", "tempest", "/dev/null"),
            Said(2, "", "downtimer: --from tempest: there are downtimer, rally\n"),
        ),
    ],
)
def test_what_can_not_be_imported_is_one_line(elsewhere: Command, words: tuple[str, ...], said: Said) -> None:
    assert elsewhere.run(*words) == said


def test_run_that_is_not_there_is_said_with_where_it_was_looked_for(elsewhere: Command) -> None:
    where = elsewhere.state_dir / "runs"
    expected = f"downtimer: no run 'nosuch' in {where}; `downtimer runs` lists them, latest is one, too\n"
    for words in (("export", "nosuch"), ("report", "--run", "nosuch")):
        assert elsewhere.run(*words) == Said(1, "", expected)
    assert (
        elsewhere.run("export").err
        == f"downtimer: no run in {elsewhere.state_dir}; `downtimer start` begins one\n"
    )


def test_names_in_an_error_are_shown_safely(elsewhere: Command) -> None:
    head = {"run": {"format": "downtimer-run", "version": 1, "id": "x", "start": "2026-11-26T19:00:00Z"}}
    hostile = {"target": {"id": "a", "kind": "\x1b[2J\nfake", "name": "a"}}
    said = take_in(elsewhere, f"{json.dumps(head)}\n{json.dumps(hostile)}\n")
    assert (
        said.err
        == "downtimer: standard input: line 2: Invalid enum value '\\x1b[2J\\nfake' - at `$.target.kind`\n"
    )
    assert (said.code, list((elsewhere.state_dir / "runs").iterdir())) == (1, [])


def test_run_that_can_not_be_read_is_not_shipped_and_that_fails(
    elsewhere: Command, lonely_cloud: SimulatedCloud
) -> None:
    elsewhere.write(static_targets(lonely_cloud) | {"db": {"host": "127.0.0.1"}})
    runs = elsewhere.state_dir / "runs"
    runs.mkdir(parents=True)
    (runs / "r1.sqlite").write_text("no database at all, but long enough to be taken for one " * 9)
    said = elsewhere.run("ship", "r1")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"downtimer: {runs}/r1.sqlite: ")
    everything = elsewhere.run("ship")
    assert (everything.code, "run r1 can't be read" in everything.err) == (0, True)
