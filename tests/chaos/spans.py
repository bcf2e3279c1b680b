"""What a journal holds; ``python -m tests.chaos.spans JOURNAL`` prints it, from where it can be seen."""

import contextlib
import sys
from pathlib import Path

import msgspec

from downtimer.model import Span
from downtimer.store.journal import JournalReader


class Held(msgspec.Struct):
    """What a journal holds.

    Attributes:
        origin_ns: Of the run, on the clock of the record.
        spans: With their effective ends.
    """

    origin_ns: int
    spans: list[Span]


def read(journal: Path) -> Held:
    """Return what a journal holds."""
    with contextlib.closing(JournalReader(str(journal))) as reader:
        return Held(reader.run().boot_origin_ns, list(reader.spans()))


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(read(Path(sys.argv[1]))))
