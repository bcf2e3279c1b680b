"""What was played, when and where, and what came of it, as a document."""

import datetime as dt
import platform
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from tabulate import tabulate

from tests.chaos.outcome import Outcome
from tests.documents import WIDTH, machine

_HEADERS: Final = (
    "fault",
    "injected",
    "acknowledged spans lost",
    "counted twice",
    "false downtime",
    "longest unobserved",
    "at work again",
)
_TEXT: Final = """\
How reliable downtimer is
=========================

{measured}

Each fault is injected into the real daemon, with real processes, signals, file systems and servers, at an
instant left to chance, while it measures a cloud that is well but for addresses that come and go several
times a second: so spans begin and end in whatever moment a process dies. What was committed to the journal
is looked at before every fault, and again at the end.

{table}

*Acknowledged spans lost*: what the journal once held, and the writer has acknowledged, must be there at the
end, no shorter and with no fewer probes. *Counted twice*: no span may reach into the next one of its check,
and no more echoes may have been answered than the cloud's kernel has counted.
*False downtime*: of all services and addresses that were up all the time, together. *Longest unobserved*:
of one such target, by one fault; the report says so and why. *At work again*: the longest time until what
was gone had said hello to the supervisor, and until all targets were seen up where all was gone.

Of the time that is unobserved after the death of a process that probes, a part lies before it: what was
measured within the last 0.4 s was not told yet, and while any address does not answer, progress is told
only up to the oldest echo that may still be answered, one timeout ago. None of that is ever taken for
observed.
"""


def compose(outcomes: Sequence[Outcome], seed: int) -> str:
    """Return the document, in reStructuredText."""
    date = dt.datetime.now(dt.UTC).date()
    versions = f"downtimer {version('downtimer')}, Python {platform.python_version()}"
    measured = f"What ``make chaos`` saw on {date}: {machine()}; {versions}; seed {seed}."
    return _TEXT.format(measured=textwrap.fill(measured, WIDTH), table=table(outcomes))


def table(outcomes: Sequence[Outcome]) -> str:
    """Return what came of the faults, a row each."""
    rows = [
        (
            one.fault,
            f"{one.times:,}",
            one.lost,
            one.twice,
            f"{one.invented_s:g} s",
            f"{one.unobserved_s:.1f} s",
            "" if one.back_s is None else f"{one.back_s:.1f} s",
        )
        for one in outcomes
    ]
    return tabulate(rows, headers=_HEADERS, tablefmt="rst", disable_numparse=True)
