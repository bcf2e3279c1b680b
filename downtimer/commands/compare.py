"""Tell what was down for longer than in an earlier run, and what for less.

Usage: downtimer compare [--config FILE] [--format FORMAT] [--output FILE]
                         [BEFORE [AFTER]]

  BEFORE, AFTER           runs: ids, or how these begin; latest, latest~1;
                          the latest two if not given

Options:
  --format FORMAT         text (if not given), json or markdown
  --output FILE           write there instead of printing; - is standard output
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

Only what is beyond the bounds of both figures is called worse or better.
"""

import contextlib
from pathlib import Path

from downtimer import report as reports
from downtimer.commands.choosing import LATEST, open_journal
from downtimer.commands.common import Arguments, configuration, print_text
from downtimer.commands.delivering import output_of
from downtimer.errors import ExitCode
from downtimer.report import comparison_text
from downtimer.report.comparison import compare
from downtimer.report.output import write_atomically


def run(arguments: Arguments) -> int:
    """Compare two runs."""
    form = arguments["--format"] or next(iter(comparison_text.FORMATS))
    comparison_text.check_format(form)
    output = output_of(arguments)
    config = configuration(arguments)
    with (
        contextlib.closing(open_journal(config, arguments["BEFORE"] or f"{LATEST}~1")) as before,
        contextlib.closing(open_journal(config, arguments["AFTER"] or LATEST)) as after,
    ):
        text = comparison_text.FORMATS[form](compare(reports.build(before), reports.build(after)))
    if output is None:
        print_text(text)
    else:
        write_atomically(Path(output), text)
    return ExitCode.DONE
