"""Reads an exported run, line by line. Whoever wrote it, nothing is trusted; errors name the line."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from downtimer.errors import ExchangeError
from downtimer.exchange.content import Content
from downtimer.exchange.lines import LINE_MAX, WRONG, decode, decode_head
from downtimer.exchange.translation import optional_ns, run_of
from downtimer.store.facts import Facts

PART: Final = 5_000
"""So many lines are handed over at a time."""


class ExportReader:
    """Reads an exported run.

    Args:
        file: Its bytes, read once, from where it stands.
        name: Of the file, for errors.

    Attributes:
        run: The run.

    Raises:
        ExchangeError: It is none.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._number = 0  # of the line
        text = self._next()
        try:
            head = decode_head(text)
            self.run = run_of(head)
            self._content = Content(self.run, optional_ns(head.through, self.run.start_utc_ns))
        except WRONG as exc:
            raise self._wrong(exc) from exc

    def parts(self) -> Iterator[Facts]:
        """Yield the facts of all lines, a part at a time.

        Raises:
            ExchangeError: A line is wrong, or the last one is missing.
        """
        while not self._take(self._next()):
            if self._number % PART == 0:
                yield self._content.part()
        yield self._content.part()
        if self._file.read(1):
            self._number += 1
            raise self._wrong("nothing may stand behind `end`")

    def told(self) -> str:
        """Return how much of each kind there was, for people."""
        return self._content.told()

    def _take(self, text: bytes) -> bool:
        try:
            return self._content.take(decode(text))
        except WRONG as exc:
            raise self._wrong(exc) from exc

    def _next(self) -> bytes:
        """Return the next line.

        Raises:
            ExchangeError: There is none, or it is too long, or can't be read.
        """
        self._number += 1
        try:
            text = self._file.readline(LINE_MAX + 1)
        except OSError as exc:
            raise ExchangeError(f"{self._name}: cannot be read: {exc.strerror}") from exc
        if len(text) > LINE_MAX:
            raise self._wrong(f"longer than {LINE_MAX} bytes")
        if not text and self._number == 1:
            raise ExchangeError(f"{self._name}: it is empty")
        if not text:
            raise ExchangeError(
                f"{self._name}: cut off after line {self._number - 1}, for the last one is `end`"
            )
        return text

    def _wrong(self, why: object) -> ExchangeError:
        return ExchangeError(f"{self._name}: line {self._number}: {why!s:.300}")
