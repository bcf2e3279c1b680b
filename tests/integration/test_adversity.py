"""What happens to the daemon and its folders that should not: removed, shared, unwritable, unreadable."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from downtimer.demo.cloud import SimulatedCloud
from tests.integration.checks import unobserved
from tests.integration.command import Command, is_alive, static_targets, until_measured
from tests.waiting import wait_until

LINE = "Service glance was down approximately 0 seconds which is 0.0% of total uptime\n"


def test_a_run_is_never_measured_or_removed_by_two(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    supervisor, run = command.supervisor(), command.status()["run"]["id"]
    shutil.rmtree(command.runtime_dir)
    try:
        second = command.run("start")
        assert second.code == 1
        assert (
            f"is in use by a downtimer whose runtime_dir is another, or was removed (pid {supervisor})"
            in (second.err)
        )
        assert second.err.count("\n") == 1
        removal = command.run("runs", "--delete", run)
        assert (removal.code, f"run {run} is under way" in removal.err) == (1, True)
    finally:
        os.kill(supervisor, signal.SIGTERM)
        wait_until(lambda: not is_alive(supervisor), timeout_s=20, what="the daemon to end")
    assert command.report_file.read_text().startswith(LINE)
    (listed,) = json.loads(command.ok("runs", "--json"))
    assert listed["state"] == "ended"
    command.ok("runs", "--delete", run)


def test_a_report_that_cannot_be_filed_is_printed_all_the_same(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    file = command.directory / "missing" / "report"
    file.parent.mkdir()
    command.write(static_targets(lonely_cloud) | {"global": {"report_file": str(file)}})
    command.ok("start")
    file.parent.rmdir()
    until_measured(command)
    for word in ("report", "stop"):
        said = command.run(word)
        assert said.code == 1
        assert said.out.startswith(LINE)
        assert said.err == f"downtimer: cannot write the report {file}: No such file or directory\n"


@pytest.mark.parametrize(
    ("option", "path", "problem"),
    [
        ("state_dir", "file/state", "cannot write in {}/file/state/runs: Not a directory"),
        ("runtime_dir", "file/run", "cannot make {}/file/run: Not a directory"),
        ("log_file", "file/deep/log", "cannot write {}/file/deep/log: Not a directory"),
        ("report_file", "missing/report", "cannot write {}/missing/report: No such file or directory"),
        ("report_file", "", "{} is a folder"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line_with_file_section_and_option(
    command: Command, option: str, path: str, problem: str
) -> None:
    (command.directory / "file").touch()
    command.write({"static": {"ips": "127.0.0.1"}, "global": {option: str(command.directory / path)}})
    said = command.run("start")
    place = problem.format(command.directory)
    assert (said.code, said.err) == (2, f"downtimer: {command.config}: [global] {option}: {place}\n")


def test_a_journal_that_cannot_be_read_is_named_and_never_passed_over_in_silence(command: Command) -> None:
    command.ok("start")
    until_measured(command)
    command.ok("stop")
    (run,) = json.loads(command.ok("runs", "--json"))
    broken = command.state_dir / "runs" / "29991231-235959-0000.sqlite"
    broken.write_bytes(b"no journal" * 1000)
    said = command.run("report", "--run", broken.stem)
    assert (said.code, said.out) == (1, "")
    assert said.err == f"downtimer: {broken}: file is not a database\n"
    latest = command.run("report")
    assert latest.code == 0
    assert latest.out.startswith(LINE)
    assert latest.err == (
        f"downtimer: a later run can't be read: {broken}: file is not a database; this is run {run['id']}\n"
    )


def test_nothing_may_stand_where_the_control_socket_belongs(command: Command) -> None:
    (command.runtime_dir / "control.sock").mkdir(parents=True)
    said = command.run("start")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"downtimer: cannot listen on {command.runtime_dir}/control.sock: ")
    assert said.err.count("\n") == 1
    assert list(command.state_dir.glob("runs/*")) == []


def test_without_standard_streams_all_is_done_in_silence(command: Command) -> None:
    closed = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    for word in ("start", "status", "stop"):
        said = command.run(word, prefix=closed)
        assert (said.code, said.out, said.err) == (0, "", ""), word
    assert command.report_file.read_text().startswith("Service glance was ")


def test_output_that_cannot_be_written_is_one_line(command: Command) -> None:
    said = command.run("runs", prefix=("sh", "-c", 'exec "$@" >/dev/full', "sh"))
    assert said.code == 1
    assert said.err == "downtimer: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["start", "--label", "\udcff"], "--label: not UTF-8 text"),
        (["start", "--label", "x" * 1001], "--label: longer than 1000 characters"),
    ],
)
def test_a_label_that_cannot_be_kept_is_one_line(command: Command, words: list[str], problem: str) -> None:
    said = command.run(*words)
    assert (said.code, said.err) == (2, f"downtimer: {problem}\n")


def test_a_configuration_that_is_wrong_by_now_does_not_keep_a_run_from_its_end(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.ok("start")
    until_measured(command)
    command.write(static_targets(lonely_cloud) | {"foo": {"bar": "1"}})
    problem = f"downtimer: {command.config}: [foo]: unknown section; there are "
    for word in ("status", "stop"):
        said = command.run(word)
        assert said.code == 0, said
        assert said.err.startswith(problem)
        assert said.err.endswith("; for the daemon that runs this is of no matter\n")
    assert said.out.startswith(LINE)
    assert command.run("start").code == 2


def test_a_daemon_in_another_runtime_dir_is_not_taken_for_dead(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    command.ok("start")
    until_measured(command)
    pid, run = command.supervisor(), command.status()["run"]["id"]
    elsewhere = {"global": {"runtime_dir": str(command.directory / "elsewhere")}}
    command.write(static_targets(lonely_cloud) | elsewhere)
    for word in ("status", "stop"):
        said = command.run(word)
        assert said.code == 3
        assert f"; run {run} is under way in a downtimer (pid {pid}) whose runtime_dir is another" in said.err
        assert f"`kill {pid}` ends it, with a report" in said.err
    (listed,) = json.loads(command.ok("runs", "--json"))
    assert listed["state"] == "running"
    command.write(static_targets(lonely_cloud))


def test_a_folder_that_others_use_is_not_closed_to_them(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    shared = command.directory / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "theirs").touch()
    command.write(static_targets(lonely_cloud) | {"global": {"runtime_dir": str(shared)}})
    said = command.run("start")
    problem = f"{shared} is open to others, and has 'theirs' in it; choose a folder that nothing else uses"
    assert (said.code, said.err) == (2, f"downtimer: {command.config}: [global] runtime_dir: {problem}\n")
    assert shared.stat().st_mode & 0o7777 == 0o1777
    (shared / "theirs").unlink()
    command.ok("start")
    assert shared.stat().st_mode & 0o777 == 0o700


def test_a_writer_that_starts_while_the_disk_fails_waits_for_it(
    lonely_cloud: SimulatedCloud, command: Command
) -> None:
    """It was killed, and its folder was mounted read-only meanwhile, as a disk that fails is."""
    journals = command.state_dir / "runs"
    journals.mkdir(parents=True)
    holder = Disk(lonely_cloud, journals)
    inside = Command(command.directory, prefix=holder.inside, sections=static_targets(lonely_cloud))
    try:
        inside.ok("start")
        until_measured(inside)
        pid = inside.pids()["writer"]
        os.kill(pid, signal.SIGKILL)
        holder.remount("ro")
        wait_until(lambda: inside.status()["journal"]["error"] is not None, timeout_s=20, what="an error")
        time.sleep(3)
        (writer,) = [one for one in inside.status()["processes"] if one["name"] == "writer"]
        assert writer["state"] == "running"
        assert inside.log().count("cannot write, and will try again") == 1
        holder.remount("rw")
        wait_until(lambda: inside.status()["journal"]["error"] is None, timeout_s=20, what="the end of it")
        inside.ok("stop")
        for one in inside.report()["targets"]:
            assert (one["down_s"], unobserved(one)) == (0, {})
    finally:
        inside.end()
        holder.close()


class Disk:
    """A file system of its own over a folder, in a mount namespace of its own.

    Attributes:
        inside: The command that enters the vantage, where it is mounted.
    """

    def __init__(self, cloud: SimulatedCloud, folder: Path) -> None:
        script = 'mount -t tmpfs tmpfs "$1" && echo mounted && exec cat'
        self._folder = folder
        self._holder = subprocess.Popen(
            cloud.network.in_vantage(["unshare", "--mount", "sh", "-c", script, "sh", str(folder)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"mounted\n"
        enter = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--"]
        self.inside = cloud.network.in_vantage(enter)

    def remount(self, mode: str) -> None:
        """Mount it read-only or not, as soon as no file is open for writing."""
        argv = [*self.inside, "mount", "-o", f"remount,{mode}", str(self._folder)]
        wait_until(
            lambda: subprocess.run(argv, stderr=subprocess.DEVNULL, check=False).returncode == 0,
            timeout_s=10,
            what="the mount",
        )

    def close(self) -> None:
        """Let it go."""
        self._holder.communicate(b"")
