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

from downtimer import report as reports
from downtimer.commands.choosing import LATEST, open_journal
from downtimer.commands.common import Arguments, configuration
from downtimer.commands.delivering import output_of, put
from downtimer.errors import ExitCode
from downtimer.report import comparison_text
from downtimer.report.comparison import compare


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
    put(text, output)
    return ExitCode.DONE
