"""Measure how accurate downtimer is, and print the tables.

Usage: tests.accuracy [options]

Options:
  --count=N      Faults of each kind, and of the many addresses four times as many [default: 24].
  --addresses=N  The many addresses; 0 leaves them out [default: 4000].
  --times=N      How often each trouble of our own is played [default: 3].
  --seed=N       Of the plan of faults [default: 1].
  --write=FILE   Write the document there, too.

The exit code is 1 if a promise was not kept.
"""

import sys
import tempfile
from pathlib import Path

from docopt import docopt

from tests.accuracy import document
from tests.accuracy.proof import measure
from tests.accuracy.table import promises


def main() -> int:
    """Measure all of it; return the exit code."""
    arguments = docopt(__doc__)
    with tempfile.TemporaryDirectory(prefix="downtimer-accuracy-") as directory:
        results = measure(
            Path(directory),
            seed=int(arguments["--seed"]),
            count=int(arguments["--count"]),
            addresses=int(arguments["--addresses"]),
            times=int(arguments["--times"]),
        )
    text = document.compose(results, int(arguments["--seed"]))
    sys.stdout.write(text)
    if arguments["--write"]:
        Path(arguments["--write"]).write_text(text)
    return 0 if all(promise.is_kept for promise in promises(results)) else 1


if __name__ == "__main__":
    sys.exit(main())
