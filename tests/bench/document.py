"""What was measured, when and where, as a document."""

import datetime as dt
import platform
import textwrap
from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

from tests.bench.figures import Results, table_of_figures, table_of_growth
from tests.documents import WIDTH, machine

_TEXT: Final = """\
What downtimer costs
====================

{measured}

Figures are medians; a ratio is that of each run, of which both sides were measured in it. CPU is user and
system time together.
"""


def compose(found: Iterable[tuple[str, Results]]) -> str:
    """Return the document, in reStructuredText; each benchmark's docstring is the head of its section."""
    date = dt.datetime.now(dt.UTC).date()
    measured = (
        f"What ``make bench`` measured on {date}: {machine()}; downtimer {version('downtimer')}, "
        f"Python {platform.python_version()}, numpy {version('numpy')}."
    )
    parts = [_TEXT.format(measured=textwrap.fill(measured, WIDTH))]
    for said, results in found:
        title, _, text = said.strip().partition("\n")
        parts.append(
            f"{title.rstrip('.')}\n{'-' * len(title.rstrip('.'))}\n\n{text.strip()}\n".rstrip("\n") + "\n"
        )
        if results.figures:
            parts.append(table_of_figures(results.figures) + "\n")
        parts += [f"{growth.what}:\n\n{table_of_growth(growth)}\n" for growth in results.growths]
    return "\n".join(parts)
