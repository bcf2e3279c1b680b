"""Measure what downtimer costs, and print the tables.

Usage: tests.bench [options] [BENCHMARK...]

Without a name all of them run, one after the other, on a machine that should have nothing else to do.

Options:
  --runs=N      Of each benchmark; its figures are the medians [default: 5].
  --write=FILE  Write the document there, too.

The exit code is 1 if a promise was not kept.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from docopt import docopt

from tests.bench import alone, document

if TYPE_CHECKING:
    from tests.bench.figures import Results

BENCHMARKS: Final = ("echoes", "requests", "small", "storage", "discovery", "reports", "page")
"""Modules of this package; each has ``measure(directory, runs)``."""


def main() -> int:
    """Measure; return the exit code."""
    arguments = docopt(__doc__)
    found: list[tuple[str, Results]] = []
    for name in arguments["BENCHMARK"] or BENCHMARKS:
        sys.stderr.write(f"{name} …\n")
        found.append(alone.run(name, int(arguments["--runs"])))
    text = document.compose(found)
    sys.stdout.write(text)
    if arguments["--write"]:
        Path(arguments["--write"]).write_text(text)
    return 0 if all(figure.is_kept for _, results in found for figure in results.figures) else 1


if __name__ == "__main__":
    sys.exit(main())
