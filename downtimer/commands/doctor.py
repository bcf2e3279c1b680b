"""Tell whether all is ready for a run: a line for each finding, with its remedy.

Usage: downtimer doctor [--config FILE] [--os-cloud NAME] [--json]

Options:
  --os-cloud NAME         the cloud, as for `downtimer start`
  --json                  as JSON
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

It signs in and lists what would be measured, looks at permissions, routes, disk
and clock, sends a few echoes to the references, and writes a point to InfluxDB,
which it removes again. It measures nothing, changes nothing, and leaves alone a
daemon that runs. Run it as the user that will run the daemon.

Exit: 0 a run can begin, 1 something failed.
"""

from collections.abc import Sequence

from downtimer import accounts, memory
from downtimer.commands.common import Arguments, configuration, print_text
from downtimer.doctor.examination import examine
from downtimer.doctor.finding import Finding, Level, conclusion, json_of, line_of
from downtimer.errors import ExitCode


def run(arguments: Arguments) -> int:
    """Tell whether all is ready."""
    memory.hide()
    findings: list[Finding] = []
    cloud = arguments["--os-cloud"]
    for finding in examine(lambda: configuration(arguments), lambda config: accounts.resolve(config, cloud)):
        findings.append(finding)
        if not arguments["--json"]:
            print_text([line_of(finding)])
    print_text([json_of(findings) if arguments["--json"] else conclusion(findings)])
    return _code(findings)


def _code(findings: Sequence[Finding]) -> int:
    has_failed = any(finding.level is Level.FAIL for finding in findings)
    return ExitCode.FAILED if has_failed else ExitCode.DONE
