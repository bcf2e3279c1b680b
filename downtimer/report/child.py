"""The short-lived process that writes the report at the end of a run."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

import setproctitle

from downtimer import report
from downtimer.errors import DowntimerError, ExitCode
from downtimer.report.output import write_atomically
from downtimer.store.journal import JournalReader


def main() -> int:
    """Write one report; an error is one line on standard error."""
    parser = argparse.ArgumentParser()
    for option in ("journal", "output", "run"):
        parser.add_argument(f"--{option}", required=True)
    arguments = parser.parse_args()
    setproctitle.setproctitle(f"downtimer: report [{arguments.run}]")
    os.umask(0o027)
    try:
        with contextlib.closing(JournalReader(arguments.journal)) as reader:
            write_atomically(Path(arguments.output), report.render(reader))
    except DowntimerError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
