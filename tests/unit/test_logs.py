"""The log: one line per event, whatever the event says."""

import io
import logging

import pytest

from downtimer import logs


def logged(text: str, monkeypatch: pytest.MonkeyPatch, *, error: Exception | None = None) -> str:
    """Return what an event leaves in the log."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root, ours = logging.getLogger(), logging.getLogger("downtimer")
    before = root.handlers[:], root.level, ours.level
    try:
        logs.set_up("info", "api")
        logging.getLogger("downtimer.test").info(text, exc_info=error)
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
    return stream.getvalue()


def test_an_event_is_one_line_with_time_process_and_level(monkeypatch: pytest.MonkeyPatch) -> None:
    line = logged("a name of ours", monkeypatch)
    assert line.endswith("] INFO a name of ours\n")
    assert "Z api[" in line


def test_a_hostile_name_forges_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = logged("nova\n2026-11-22T00:00:00.000Z api[1] ERROR \x1b[31mforged", monkeypatch)
    assert line.count("\n") == 1
    assert "nova\\x0a2026" in line
    assert "\\x1b[31mforged" in line


def test_a_traceback_stands_indented_below_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = logged("broke", monkeypatch, error=ValueError("x")).splitlines()
    assert first.endswith("INFO broke")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == "    ValueError: x"
