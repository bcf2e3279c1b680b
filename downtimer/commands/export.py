"""Write a run as JSON Lines: to attach it to a ticket, or to look at it elsewhere.

Usage: downtimer export [--config FILE] [--output FILE] [RUN]

  RUN                     its id or how that begins, latest, or latest~1; the
                          latest if not given

Options:
  --output FILE           write there instead of printing; - is standard output
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

A run that is under way is written as it stands now.

Example: downtimer export | gzip > upgrade.jsonl.gz
"""

import contextlib
import io
import sys

from downtimer.commands.choosing import open_journal
from downtimer.commands.common import Arguments, configuration
from downtimer.commands.delivering import output_of, put
from downtimer.errors import ExitCode
from downtimer.exchange.writing import export


def run(arguments: Arguments) -> int:
    """Write a run as JSON Lines."""
    output = output_of(arguments)
    config = configuration(arguments)
    with contextlib.closing(open_journal(config, arguments["RUN"])) as reader:
        if output is None and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # JSON is, whatever the terminal likes
        put(export(reader), output, what="the export")
    return ExitCode.DONE
