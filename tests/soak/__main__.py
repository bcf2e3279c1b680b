"""Let the daemon measure targets that flap, and print what of it grows with time.

Usage: tests.soak [--minutes=N] [--write=FILE]

Options:
  --minutes=N   For how long, after it has warmed up for half of that [default: 10].
  --write=FILE  Write the document there, too.

The exit code is 1 if a process has more descriptors or threads at the end, or over a megabyte more memory.
"""

import datetime as dt
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Final

from docopt import docopt
from tabulate import tabulate

from tests.documents import WIDTH, machine
from tests.soak.soak import Result, soak

MEMORY_MOST: Final = 1 << 20
_HEADERS: Final = ("process", "memory", "grown by", "in an hour", "descriptors", "threads")


def compose(result: Result) -> str:
    """Return what was seen, in reStructuredText."""
    date = dt.datetime.now(dt.UTC).date()
    measured = f"What ``make soak`` saw on {date} in {result.minutes:g} minutes: {machine()}."
    rows = [
        (
            one.process,
            f"{one.last.memory_bytes / 1e6:.1f} MB",
            f"{one.memory_bytes / 1e6:+.2f} MB",
            f"{one.memory_bytes / 1e6 / one.hours:+.1f} MB",
            f"{one.first.descriptors} → {one.last.descriptors}",
            f"{one.first.threads} → {one.last.threads}",
        )
        for one in result.growths
    ]
    table = tabulate(rows, headers=_HEADERS, tablefmt="rst", disable_numparse=True)
    journal = (
        f"The journal grew by {result.journal_bytes_per_hour / 1e6:.1f} MB an hour, "
        f"with {result.spans_per_hour:,.0f} spans an hour."
    )
    return "\n\n".join([textwrap.fill(measured, WIDTH), table, journal]) + "\n"


def main() -> int:
    """Measure; return the exit code."""
    arguments = docopt(__doc__)
    with tempfile.TemporaryDirectory(prefix="downtimer-soak-") as directory:
        result = soak(Path(directory), seconds=60 * float(arguments["--minutes"]))
    text = compose(result)
    sys.stdout.write(text)
    if arguments["--write"]:
        Path(arguments["--write"]).write_text(text)
    leaks = any(
        one.memory_bytes > MEMORY_MOST
        or one.last.descriptors > one.first.descriptors
        or one.last.threads > one.first.threads
        for one in result.growths
    )
    return int(leaks)


if __name__ == "__main__":
    sys.exit(main())
