"""Measure a real upgrade of a real Keystone, in a busy cloud and in an idle one, and print what came of it.

Usage: tests.upgrade [options]

Options:
  --write=FILE  Write the document there, too.
  --keep=DIR    Leave everything there: journals, logs, databases. It must not exist.

The exit code is 1 if a figure contradicts the prober.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docopt import docopt

from tests.upgrade import document
from tests.upgrade.comparison import compare
from tests.upgrade.installations import install_both
from tests.upgrade.measurement import measure


def main() -> int:
    """Measure both runs; return the exit code."""
    arguments = docopt(__doc__)
    with _folder(arguments["--keep"]) as directory:
        old, new = install_both(directory)
        runs = [measure(old, new, directory / name, is_busy=name == "busy") for name in ("busy", "idle")]
    text = document.compose(runs, old, new)
    sys.stdout.write(text)
    if arguments["--write"]:
        Path(arguments["--write"]).write_text(text)
    return 0 if all(one.verdict != "NO" for run in runs for one in compare(run)) else 1


@contextmanager
def _folder(kept: str | None) -> Iterator[Path]:
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="downtimer-upgrade-") as directory:
            yield Path(directory)
    else:
        Path(kept).mkdir(parents=True)
        yield Path(kept)


if __name__ == "__main__":
    sys.exit(main())
