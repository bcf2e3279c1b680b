"""How far a start is, in few words, and the line on a terminal that tells it."""

import io

import pytest

from downtimer.control.progress import stage
from downtimer.terminal_line import TerminalLine
from tests.unit.status_answers import answer, counts

KEYSTONE = "http://k:5000"


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_the_stages_of_a_start() -> None:
    nothing = {"service": counts(), "address": counts(), "agent": counts()}
    assert stage(answer(starting=True, targets=nothing), KEYSTONE) == f"signing in to {KEYSTONE}"
    assert stage(answer(starting=True, targets=nothing), None) == "starting"
    some = {"service": counts(up=8, unseen=1), "address": counts(probed=20), "agent": counts()}
    assert stage(answer(starting=True, targets=some), KEYSTONE) == (
        "9 services, 20 addresses; first samples of 8 of 9 and 0 of 20"
    )
    assert stage(answer(targets=some), KEYSTONE) == ""


def test_a_line_on_a_terminal_changes_is_cut_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    line = TerminalLine(out)
    line.show("\x1b" + "x" * 200)
    line.aside(lambda: out.write("stays\n"))
    line.clear()
    cut = "\\x1b" + "x" * 75
    assert out.getvalue() == f"\r\x1b[K{cut}\r\x1b[Kstays\n\r\x1b[K{cut}\r\x1b[K"


@pytest.mark.parametrize(("out", "term"), [(io.StringIO(), "xterm"), (Terminal(), "dumb")])
def test_where_no_line_can_be_taken_back_none_is_shown(
    monkeypatch: pytest.MonkeyPatch, out: io.StringIO, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    line = TerminalLine(out)
    line.show("x")
    line.clear()
    assert out.getvalue() == ""
