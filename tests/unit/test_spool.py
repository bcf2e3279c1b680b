"""Text that waits for its turn, in memory or on disk."""

import errno
import tempfile
from collections.abc import Callable
from typing import NoReturn

import pytest

from downtimer.report.spool import KEPT, Spool


@pytest.mark.parametrize("length", [0, 1, KEPT - 1, KEPT, 3 * KEPT + 17])
def test_text_comes_back_as_it_was(length: int) -> None:
    text = ("16.2 s (15.9–16.4)\r\n𐍈" * (length // 20 + 1))[:length]
    spool = Spool()
    for i in range(0, length, 1009):
        spool.add(text[i : i + 1009])
    assert bool(spool) is bool(text)
    assert "".join(spool.read()) == text


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> Callable[[], NoReturn]:
    """Let nobody make a temporary file."""

    def refuse() -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    return refuse


@pytest.mark.usefixtures("no_files")
def test_little_text_needs_no_file_and_much_says_that_there_is_no_room() -> None:
    spool = Spool()
    spool.add("a line\n")
    assert list(spool.read()) == ["a line\n"]
    with pytest.raises(OSError, match="No space left"):
        spool.add("x" * KEPT)
