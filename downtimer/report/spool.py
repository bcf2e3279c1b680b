"""Text that is made before its turn to be shown has come."""

import io
import tempfile
from collections.abc import Iterator
from typing import IO, Final

KEPT: Final = 1 << 20
"""So many characters stay in memory; beyond that a file without a name takes them."""

_PIECE: Final = 1 << 16  # characters


class Spool:
    """A text that grows at its end, and is then read once."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._file: IO[bytes] | None = None

    def __bool__(self) -> bool:
        return bool(self._pieces or self._file)

    def add(self, text: str) -> None:
        """Add to its end.

        Raises:
            OSError: There is no room for it.
        """
        self._pieces.append(text)
        self._length += len(text)
        if self._length >= KEPT:
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - `read` closes it
            self._file.write("".join(self._pieces).encode(errors="backslashreplace"))
            self._pieces, self._length = [], 0

    def read(self) -> Iterator[str]:
        """Yield it from the beginning. It is gone then."""
        if self._file is not None:
            self._file.seek(0)
            with io.TextIOWrapper(self._file, encoding="utf-8", newline="") as file:
                yield from iter(lambda: file.read(_PIECE), "")
        yield from self._pieces
