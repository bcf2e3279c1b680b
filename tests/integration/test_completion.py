"""The completion for bash, in a real bash: it offers what the command takes, all of it and nothing else."""

import contextlib
import importlib
import keyword
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from downtimer import report
from downtimer.cli import COMMANDS
from downtimer.report import comparison_text
from downtimer.store.recording import JournalWriter
from tests.unit.runs import RUN

pytestmark = pytest.mark.untimed

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = str(ROOT / "bin" / "downtimer")
SCRIPT: Final = str(ROOT / "etc" / "completion" / "downtimer.bash")
TIMEOUT_S: Final = 60
END: Final = "."
"""A line that no offer is."""


def environment() -> dict[str, str]:
    """Return one in which the checkout's command is run by the interpreter of these tests."""
    path = f"{ROOT / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def offered(*lines: list[str], cwd: Path = ROOT, program: str = PROGRAM) -> list[set[str]]:
    """Return what a bash offers for each line of words, the last of which is to be completed."""
    asked = "".join(
        f"COMP_WORDS=({shlex.join([program, *line])}); COMP_CWORD={len(line)}; _downtimer\n"
        f"printf '%s\\n' \"${{COMPREPLY[@]}}\" {END}\n"
        for line in lines
    )
    done = subprocess.run(
        ["bash", "-u", "-c", f"source {shlex.quote(SCRIPT)}\n{asked}"],
        env=environment(),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [set(block.split()) for block in done.stdout.split(f"{END}\n")[:-1]]


def usage_of(command: str) -> str:
    """Return what docopt parses a command's arguments by."""
    module = importlib.import_module(f"downtimer.commands.{command}{'_' * keyword.iskeyword(command)}")
    pattern = re.search(r"Usage:((?:.+\n?)+)", module.__doc__ or "")
    assert pattern is not None
    return pattern[1].partition(" -- ")[0]


def test_every_command_is_offered_and_no_other() -> None:
    first, sta, options = offered([""], ["sta"], ["-"])
    assert first == set(COMMANDS)
    assert sta == {name for name in COMMANDS if name.startswith("sta")}
    assert options == {"--config", "--help", "--version"}


def test_every_option_of_every_command_is_offered_and_no_other() -> None:
    offers = offered(*([name, "-"] for name in COMMANDS))
    taken = [set(re.findall(r"--[a-z-]+", usage_of(name))) | {"--help"} for name in COMMANDS]
    assert dict(zip(COMMANDS, offers, strict=True)) == dict(zip(COMMANDS, taken, strict=True))


def test_formats_and_stores_are_offered() -> None:
    begun, stores = offered(["report", "--format", "=", "j"], ["report", "--from", ""])
    assert begun == {name for name in report.FORMATS if name.startswith("j")}
    assert stores == {"journal", "influxdb"}


def test_every_command_that_has_formats_offers_all_of_its_own() -> None:
    having = [name for name in COMMANDS if "--format" in usage_of(name)]
    assert {"run", "stop", "report", "compare"} <= set(having)
    for name, offer in zip(having, offered(*([name, "--format", ""] for name in having)), strict=True):
        assert offer == set(comparison_text.FORMATS if name == "compare" else report.FORMATS), name


@pytest.mark.parametrize(
    "described",
    [
        ["--format FORMAT  text, json, html, markdown or junit"],
        ["--format FORMAT  of the report: text (if not given), json,", "   html, markdown, junit"],
        ["--format FORMAT  text (if not given;", "   not json), json, html, markdown, junit; of", "   these"],
        ["--format FORMAT", "   text (if not given), json, html,", "   markdown, junit"],
        ["-f FORMAT, --format FORMAT", "   text,", "   json,", "   html,", "   markdown,", "   junit"],
    ],
)
def test_a_list_may_be_wrapped_anywhere(tmp_path: Path, described: list[str]) -> None:
    program, usage = tmp_path / "downtimer", "Usage: downtimer stop [--format FORMAT]\n\nOptions:\n"
    usage += "".join(f"  {line}\n" for line in [*described, "--keep  or what, json", "", "The end."])
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{usage}EOF\n")
    program.chmod(0o755)
    assert offered(["stop", "--format", ""], program=str(program)) == [set(report.FORMATS)]


def test_runs_are_offered_by_the_configuration_that_is_named(tmp_path: Path) -> None:
    config = tmp_path / "conf.ini"
    config.write_text(
        f"[global]\nstate_dir = {tmp_path}\nruntime_dir = {tmp_path}\n[static]\nips = 127.0.0.1\n"
    )
    (tmp_path / "runs").mkdir()
    with contextlib.closing(JournalWriter(f"{tmp_path}/runs/{RUN.id}.sqlite", RUN, ships=False)):
        pass
    (tmp_path / "runs" / "$(touch evil).sqlite").touch()
    named = ["--config", str(config)]
    lines = [[*named, "report", "--run", ""], ["ship", *named, ""], ["ship", *named, "1999"]]
    assert offered(*lines, cwd=tmp_path) == [{RUN.id}, {RUN.id}, set()]
    assert not (tmp_path / "evil").exists()


def test_files_are_offered_where_one_is_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "some.ini").touch()
    lines = [["--config", "so"], ["status", "-c", "so"], ["report", "--output", "=", "so"]]
    assert offered(*lines, cwd=tmp_path) == [{"some.ini"}] * 3


def test_what_takes_anything_is_offered_nothing() -> None:
    assert offered(["start", "--label", ""], ["start", ""], ["nonsense", "-"], ["nonsense", ""]) == [
        set(),
        set(),
        {"--help"},
        set(),
    ]


def test_a_person_at_a_terminal_gets_the_rest_of_the_word() -> None:
    with shell() as terminal:
        os.write(terminal, f"PS1='> '; source {shlex.quote(SCRIPT)}\n".encode())
        os.write(terminal, b"downtimer dem\t--keep\t;")
        assert "downtimer demo --keep-files ;" in read_until(terminal, "--keep-files ;")
        os.write(terminal, b"\x03")


@contextlib.contextmanager
def shell() -> Iterator[int]:
    """Yield the terminal of an interactive bash, which ends with it."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=its,
        stdout=its,
        stderr=its,
        env=environment(),
        start_new_session=True,
    ) as bash:
        os.close(its)
        try:
            yield ours
        finally:
            bash.kill()
            os.close(ours)


def read_until(terminal: int, text: str) -> str:
    """Return what has come out of a terminal by the time that `text` has."""
    seen, deadline = "", time.monotonic() + TIMEOUT_S
    while text not in seen:
        assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], seen
        seen += os.read(terminal, 1 << 12).decode()
    return seen
