"""What was measured, when and where, as a document."""

import datetime as dt
import platform
import re
import subprocess
import textwrap
from importlib.metadata import version
from typing import Final

from tests.accuracy import plan
from tests.accuracy.proof import Results
from tests.accuracy.table import table_of_kinds, table_of_ours, table_of_promises
from tests.documents import WIDTH, machine
from tests.processes import require_program

_PROGRAMS: Final = (
    ("haproxy", "haproxy", "-v"),
    ("fping", "fping", "--version"),
    ("prometheus-blackbox-exporter", "prometheus-blackbox-exporter", "--version"),
)
_TEXT: Final = """\
How accurate downtimer is
=========================

{measured}

Faults begin at random phases and last {shortest:g} to {longest:g} s, evenly over the logarithm. They befall a
simulated cloud in network namespaces, with real processes, a real HAProxy and the kernel's own routes, while
the real daemon measures it with its default settings. Whoever makes a fault keeps record of it: the clock is
read before and after each act. The *error* is the difference between the downtime that the report tells and
the true one. Of a fault that was missed, all its length is error.

What is promised
----------------

{promises}

Kinds of fault
--------------

The errors, and beside them those of what is used today, in the same run: for addresses ``fping`` in a loop
at 1 s, for services a ``blackbox_exporter`` that is polled at 1 s, their failed samples counted as seconds.
Where only some requests fail, ours are the errors of the edges: of the first and the last failed request.
Of a hang, peers know no *slow*: their figure is held against the downtime alone.

{kinds}

*Found*: a fault may be missed that is no longer than the resolution which the report states; and where only
some requests fail, one of whose failures none befell a request of ours. *In bounds*: the true length lies
between the bounds that are reported; or, where only some requests fail, all of ours that failed are counted
and no others. A body dripped a byte a second is a hang: it fails when the user's patience ends.

Our own troubles
----------------

Nothing is wrong with the cloud here. Whatever befalls downtimer, none of it may be reported as downtime; what
was not observed for it is said to be unobserved.

{ours}
"""


def compose(results: Results, seed: int) -> str:
    """Return the document, in reStructuredText."""
    date = dt.datetime.now(dt.UTC).date()
    measured = f"What ``make accuracy`` measured on {date}: {machine()}; {_versions()}; seed {seed}."
    return _TEXT.format(
        measured=textwrap.fill(measured, WIDTH),
        shortest=plan.SHORTEST_S,
        longest=plan.LONGEST_S,
        promises=table_of_promises(results),
        kinds=table_of_kinds(results),
        ours=table_of_ours(results),
    )


def _versions() -> str:
    found = [f"downtimer {version('downtimer')}", f"Python {platform.python_version()}"]
    found += [f"{package} {_version_of(program, flag)}" for package, program, flag in _PROGRAMS]
    return ", ".join(found)


def _version_of(program: str, flag: str) -> str:
    said = subprocess.run(
        [require_program(program, program), flag], capture_output=True, text=True, check=True
    )
    match = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    if match is None:
        raise RuntimeError(f"{program} does not tell its version: {said.stdout}{said.stderr}")
    return match[0]
