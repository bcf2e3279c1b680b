"""`downtimer run`: a run around a command, which notices nothing of it."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from downtimer.demo.cloud import SimulatedCloud
from tests.integration.command import PROGRAM, Command, Said, is_alive, processes_of
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

LONG_S = 60
DOWNTIMER = " ".join(PROGRAM)


def runs(command: Command) -> list[dict[str, object]]:
    """Return the runs that are kept."""
    found: list[dict[str, object]] = json.loads(command.ok("runs", "--json"))
    return found


@contextmanager
def running(command: Command, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start `downtimer run`; it is gone at the end, and so is its command."""
    process = subprocess.Popen(
        command.argv("run", *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def finished(process: subprocess.Popen[str]) -> Said:
    """Wait for its end."""
    out, err = process.communicate(timeout=LONG_S)
    return Said(process.returncode, out, err)


def test_the_command_has_our_streams_and_its_exit_code_is_ours(command: Command, tmp_path: Path) -> None:
    script = f'read word; echo "read $word"; echo aside >&2; {DOWNTIMER} mark "step $DOWNTIMER_RUN"; exit 7'
    done = subprocess.run(
        command.argv("run", "--label", "night", "--", "sh", "-c", script, "--", "--help"),
        input="a line\n",
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 7, done
    first, second, report = done.stdout.split("\n", 2)
    assert (first, second[:12]) == ("read a line", "marked at 20")
    assert report.startswith("Service glance was down approximately 0 seconds")
    assert report == command.report_file.read_text()
    measuring, begins, aside, *rest = done.stderr.splitlines()
    assert measuring.startswith("downtimer: measuring 1 service and 2 addresses as run ")
    assert (begins, aside, rest) == ("downtimer: everything was seen; the command begins", "aside", [])
    (run,) = runs(command)
    assert (run["label"], run["state"]) == ("night", "ended")
    assert [mark["text"] for mark in command.report()["marks"]] == [f"step {run['id']}"]
    assert processes_of(command) == []


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--", "no-such-command"], 127, "no-such-command: command not found"),
        (["--", "/etc/passwd"], 126, "/etc/passwd: Permission denied"),
        (["--", ""], 127, ": command not found"),
        (["--assert", "zero-downtme", "--", "true"], 125, "assertion 'zero-downtme': "),
        (["--format", "pdf", "--", "true"], 125, "--format pdf: there are "),
        (
            ["--output", "/no/such/file", "--", "true"],
            125,
            "--output /no/such/file: cannot be written: No such ",
        ),
        (["--label", "x" * 1_001, "--", "true"], 125, "--label: longer than "),
        (["true"], 125, "no `--` before the command; it is downtimer run "),
        (["--"], 125, "no command behind the `--`; "),
    ],
)
def test_what_cannot_be_run_is_one_line_and_no_run(
    command: Command, words: list[str], code: int, problem: str
) -> None:
    said = command.run("run", *words)
    assert (said.code, said.out, said.err.count("\n")) == (code, "", 1), said
    assert said.err.startswith(f"downtimer: {problem}")
    assert not command.state_dir.exists()


def test_a_report_that_cannot_be_written_at_the_end_hides_no_verdict(command: Command) -> None:
    folder = command.directory / "gone"
    folder.mkdir()
    options = ["--assert", "service:nosuch <= 1s", "--output", str(folder / "report")]
    said = command.run("run", *options, "--", "rmdir", str(folder))
    (run,) = runs(command)
    assert (said.code, said.out) == (4, "")
    verdict, where = said.err.splitlines()[-2:]
    assert verdict == "downtimer: assertion 'service:nosuch <= 1s' failed: no target fits service:nosuch"
    problem = f"cannot write the report {folder}/report: No such file or directory"
    assert where == f"downtimer: {problem}; `downtimer report --run {run['id']}` has it"

    command.ok("start")
    for words in (["stop"], ["report"], ["compare"], ["export"]):
        said = command.run(*words, "--output", str(folder / "report"))
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said
    command.ok("status")


def test_a_run_under_way_is_not_disturbed_and_an_idle_daemon_stays_idle(command: Command) -> None:
    command.ok("start")
    run = command.status()["run"]["id"]
    said = command.run("run", "--", "true")
    assert (said.code, said.out) == (125, "")
    assert said.err == f"downtimer: run {run} is under way already; `downtimer stop` ends it\n"
    assert command.status()["run"]["id"] == run
    command.ok("stop", "--keep")
    daemon = command.supervisor()
    said = command.run("run", "--format", "json", "--output", str(command.directory / "out"), "--", "true")
    assert (said.code, said.out) == (0, "")
    assert json.loads((command.directory / "out").read_text())["run"]["id"] != run
    assert is_alive(daemon)
    assert "no run is under way" in command.run("status").err


def test_signals_are_passed_on_and_the_report_still_comes(command: Command) -> None:
    script = "trap 'echo usr1' USR1; trap 'echo term; exit 3' TERM; echo begun; while :; do sleep 0.1; done"
    with running(command, "--", "bash", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "usr1\n"
        process.send_signal(signal.SIGTERM)
        said = finished(process)
    assert said.code == 3
    assert said.out.startswith("term\nService glance was down")
    assert processes_of(command) == []


def test_a_signal_after_the_command_hurries_us_and_the_report_still_comes(command: Command) -> None:
    with running(command, "--", "sh", "-c", "trap '' INT; echo done") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        said = finished(process)
    assert (said.code, said.out.startswith("Service glance was down")) == (0, True)
    assert said.err.endswith("the next signal leaves the daemon alone with that\n")


def test_a_command_that_a_signal_ends_and_what_a_terminal_sends(command: Command) -> None:
    """What a terminal sends, the whole foreground group gets: it must come to the command once."""
    ours, theirs = pty.openpty()
    script = (
        "import os, signal, time\n"
        "count = 0\n"
        "def on(*_):\n    global count; count += 1\n"
        "signal.signal(signal.SIGINT, on); print('begun', flush=True)\n"
        "while not count: time.sleep(0.01)\n"
        "time.sleep(1); print(count, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    argv = command.argv("run", "--", sys.executable, "-c", script)
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", *argv],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        os.write(ours, b"\x03")
        said = finished(process)
    os.close(ours)
    os.close(theirs)
    assert said.code == 128 + signal.SIGKILL
    assert said.out.startswith("1\nService glance was down"), said


def test_a_signal_before_the_command_leaves_nothing(command: Command) -> None:
    with running(command, "--", "echo", "never") as process:
        wait_until(lambda: "supervisor" in command.log(), timeout_s=20, what="the daemon to be there")
        process.send_signal(signal.SIGINT)
        said = finished(process)
    if "never" in said.out:  # it was quicker than we
        pytest.fail("the command began before it could be interrupted")
    assert (said.code, said.out) == (130, "")
    last = said.err.splitlines()[-1].partition("; ")[0]
    assert last in ("downtimer: interrupted", "downtimer: the command was not begun")
    wait_until(lambda: processes_of(command) == [], timeout_s=10, what="the daemon to end")


def test_ctrl_c_during_a_start_is_one_line_and_begins_nothing(command: Command) -> None:
    with subprocess.Popen(
        command.argv("start"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: "supervisor" in command.log(), timeout_s=20, what="the daemon to be there")
        process.send_signal(signal.SIGINT)
        said = finished(process)
    if said.code == 0:  # it was quicker than we
        pytest.fail("it measured before it could be interrupted")
    assert said == Said(130, "", "downtimer: interrupted; nothing was begun\n")
    assert runs(command) == []
    assert processes_of(command) == []


def test_what_is_down_before_the_command_is_said(lonely_cloud: SimulatedCloud, command: Command) -> None:
    lonely_cloud.service("glance").kill()
    try:
        said = command.run("run", "--", "true")
        started = command.run("start")
    finally:
        lonely_cloud.service("glance").start()
    assert "downtimer: everything was seen; down already: glance (refused)" in said.err.splitlines()
    assert (started.code, started.err) == (0, "downtimer: down already: glance (refused)\n")
    assert len(started.out.splitlines()) == 1


def test_a_run_that_cannot_be_ended_fails_a_good_command(command: Command) -> None:
    script = f"kill -9 $(cat {command.runtime_dir}/lock)"
    said = command.run("run", "--", "sh", "-c", script)
    assert (said.code, said.out) == (1, "")
    assert "no daemon is running" in said.err.splitlines()[-1]
    assert "was cut off: `downtimer start` goes on with it" in said.err.splitlines()[-1]

    command.ok("start")
    command.ok("pause")
    os.kill(command.supervisor(), signal.SIGKILL)
    said = command.run("run", "--resume", "--format", "json", "--", "true")
    assert said.code == 0, said
    report = json.loads(said.out)
    assert [event["kind"] for event in report["events"]] == ["resume", "pause", "resume", "unpause"]
    assert all("paused" in one["unobserved"] for one in report["targets"])


def test_another_run_than_ours_is_not_ended_and_not_reported_as_ours(command: Command) -> None:
    script = f"{DOWNTIMER} stop --keep > /dev/null && {DOWNTIMER} start > /dev/null"
    said = command.run("run", "--assert", "observed >= 0%", "--", "sh", "-c", script)
    assert (said.code, said.out) == (1, "")
    ours, theirs = (run["id"] for run in runs(command))
    line = f"run {ours} was ended by someone else; run {theirs} is under way, and goes on"
    assert said.err.splitlines()[-1] == f"downtimer: {line}"
    assert command.status()["run"]["id"] == theirs
