"""Inject faults into everything that downtimer is made of and stands on, and print what came of it.

Usage: tests.chaos [options] [SCENARIO]...

Options:
  --brief       Play each as often as for every change only.
  --seed=N      Of what is left to chance [default: 1].
  --write=FILE  Write the document there, too.

The exit code is 1 if anything was lost, counted twice or invented.
"""

import sys
import tempfile
from pathlib import Path

from docopt import docopt

from tests.chaos import document
from tests.chaos.plan import SCENARIOS, play


def main() -> int:
    """Play what is wanted; return the exit code."""
    arguments = docopt(__doc__)
    wanted = arguments["SCENARIO"] or [scenario.name for scenario in SCENARIOS]
    seed = int(arguments["--seed"])
    with tempfile.TemporaryDirectory(prefix="downtimer-chaos-") as directory:
        outcomes = []
        for found in play(Path(directory), seed=seed, names=wanted, brief=bool(arguments["--brief"])):
            sys.stderr.write(f"{document.table(found)}\n\n")
            outcomes += found
    text = document.compose(outcomes, seed)
    sys.stdout.write(text)
    if arguments["--write"]:
        Path(arguments["--write"]).write_text(text)
    return 0 if all(one.is_clean for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
