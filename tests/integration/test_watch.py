"""``status --watch`` and the progress of a start, on a real terminal and without one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from downtimer.demo.cloud import SimulatedCloud
from tests.integration.command import ADDRESS, Command, until_measured
from tests.integration.tmux_env import Terminal
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed


@pytest.fixture
def measuring(command: Command) -> Iterator[Command]:
    """A daemon that measures glance and two addresses."""
    command.ok("start")
    until_measured(command)
    yield command
    command.end()


def terminal(
    command: Command, tmp_path: Path, *, columns: int = 80, rows: int = 24, **environment: str
) -> Terminal:
    """Return a terminal in which a watch is to run."""
    argv = command.argv("status", "--watch")
    given = command.environment() | environment
    return Terminal(tmp_path, argv, columns=columns, rows=rows, environment=given)


def is_drawn(shown: str) -> bool:
    """Tell whether the whole screen of a watch is there."""
    return "q quits" in shown and "glance" in shown


def is_small(lines: list[str]) -> bool:
    """Tell whether a screen of eight rows is whole."""
    return len(lines) == 8 and lines[1].startswith("Services") and lines[7].startswith("q quits")


def test_it_shows_what_goes_down_and_q_leaves_the_terminal_as_it_was(
    lonely_cloud: SimulatedCloud, measuring: Command, tmp_path: Path
) -> None:
    with terminal(measuring, tmp_path) as shown:
        first = shown.until(is_drawn, "the picture")
        assert "Services        1  1 up" in first
        assert "4 of 4 processes, 0 restarts" in first
        lonely_cloud.drop(ADDRESS)
        try:
            shown.until(
                lambda text: f"{ADDRESS}" in text and "no-reply (icmp)" in text, "the address to be down"
            )
        finally:
            lonely_cloud.restore(ADDRESS)
        shown.until(lambda text: is_drawn(text) and ADDRESS not in text, "the address to be back")
        assert "\x1b[32m1 up" in shown.screen("-e")
        measuring.ok("mark", "step one")
        shown.until(lambda text: "step one" in text, "the mark")
        measuring.ok("pause")
        shown.until(lambda text: "Paused since" in text, "the pause")
        shown.press("q")
        assert shown.ended() == "0"


def test_it_fits_itself_to_another_size_and_ctrl_c_leaves_the_terminal_as_it_was(
    measuring: Command, tmp_path: Path
) -> None:
    with terminal(measuring, tmp_path, rows=30, NO_COLOR="1", COLUMNS="80", LINES="24") as shown:
        shown.until(is_drawn, "the picture")
        shown.press("C-z")  # is no key of a watch
        shown.resize(40, 8)
        shown.until(lambda text: is_small(text.splitlines()), "it to fit")
        assert "\x1b[32m" not in shown.screen("-e")
        shown.press("C-c")
        assert shown.ended() == "0"


def test_it_waits_for_a_daemon_that_went_away(measuring: Command, tmp_path: Path) -> None:
    with terminal(measuring, tmp_path) as shown:
        shown.until(is_drawn, "the picture")
        measuring.ok("stop")
        shown.until(lambda text: "No answer since" in text, "it to say so")
        measuring.ok("start", "--label", "another one")
        shown.until(lambda text: "another one" in text and "No answer" not in text, "the next run")
        os.kill(shown.pid(), signal.SIGTERM)
        assert shown.ended() == str(128 + signal.SIGTERM)


def test_without_a_terminal_it_tells_changes_until_the_run_has_ended(
    lonely_cloud: SimulatedCloud, measuring: Command, tmp_path: Path
) -> None:
    output = tmp_path / "watched"
    with (
        output.open("wb") as stream,
        subprocess.Popen(
            measuring.argv("status", "--watch"), stdout=stream, stderr=stream, stdin=subprocess.DEVNULL
        ) as watch,
    ):
        try:
            wait_until(lambda: "1 service, 2 addresses" in output.read_text(), timeout_s=20, what="a summary")
            lonely_cloud.drop(ADDRESS)
            try:
                wait_until(
                    lambda: f"down: {ADDRESS} icmp" in output.read_text(), timeout_s=20, what="its end"
                )
            finally:
                lonely_cloud.restore(ADDRESS)
            wait_until(lambda: f"up: {ADDRESS} icmp" in output.read_text(), timeout_s=20, what="its return")
            measuring.ok("stop")
            assert watch.wait(20) == 0
        finally:
            watch.kill()
    assert output.read_text().splitlines()[-1].endswith(" has ended")
    assert "\x1b" not in output.read_text()


def test_a_dumb_terminal_is_none_and_whoever_reads_may_have_enough(
    measuring: Command, tmp_path: Path
) -> None:
    with terminal(measuring, tmp_path, TERM="dumb") as shown:
        shown.until(lambda text: "1 service, 2 addresses" in text, "a line")
        assert "q quits" not in shown.screen()
        shown.press("C-c")
        assert shown.ended() == str(128 + signal.SIGINT)


def test_without_a_daemon_it_ends_at_once(command: Command) -> None:
    said = command.run("status", "--watch")
    assert said.code == 3
    assert "no daemon is running" in said.err


def test_a_start_shows_on_a_terminal_how_far_it_is_and_leaves_what_scripts_read(
    command: Command, tmp_path: Path
) -> None:
    with Terminal(tmp_path, command.argv("start"), environment=command.environment()) as shown:
        seen = shown.until(lambda text: "first samples of" in text or "ended" in text, "the progress")
        assert "1 service, 2 addresses; first samples of" in seen
        assert shown.ended() == "0"
        first = shown.screen().splitlines()[0]
    assert first.startswith("measuring 1 service and 2 addresses as run ")
    command.end()
    assert command.run("start").err == ""


def test_the_demo_shows_on_a_terminal_how_far_it_is(place: Path) -> None:
    environment = {"TMPDIR": str(place), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    argv = [sys.executable, "-m", "downtimer.cli", "demo"]
    with Terminal(place, argv, environment=environment) as shown:
        shown.until(lambda text: "a simulated cloud is being started" in text, "its first words")
        shown.until(lambda text: "first samples of" in text, "the start of the daemon")
        playing = shown.until(lambda text: " of 30 s   " in text, "the upgrade")
        assert "first samples of" not in playing
        shown.press("C-c")
        assert shown.ended() == str(128 + signal.SIGINT)
