"""How texts that are not ours are written in Markdown, so that none of them is taken for markup. Pure.

For the dialects of GitHub and GitLab, which add tables, links of bare addresses, and mentions to CommonMark.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from downtimer.printable import printable

_MARKUP: Final = re.compile(r"[\\`*_{}\[\]<>#|~&!$^]")
_LINK: Final = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
_MENTION: Final = re.compile(r"@(?=\w)")
_NOTHING: Final = "\u200b"
"""A character without a width: what follows is no part of what comes before."""


def text(given: str) -> str:
    """Return a text that reads as it is, on one line and within a table, too."""
    escaped = _MARKUP.sub(lambda found: f"\\{found[0]}", printable(given))
    return _MENTION.sub(f"@{_NOTHING}", _LINK.sub(_NOTHING, escaped))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table and a blank line behind it.

    Args:
        head: Titles of the columns; one that begins with a blank is aligned to the right.
        rows: Of cells, which are Markdown already.
    """
    yield f"| {' | '.join(title.strip() for title in head)} |\n"
    yield f"| {' | '.join('---:' if title.startswith(' ') else '---' for title in head)} |\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"
    yield "\n"


def verbatim(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines that can be printed as a block of code, which nothing in them ends, and a blank line."""
    for line in lines:
        yield f"    {line}"
    yield "\n"
