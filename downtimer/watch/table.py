"""A table of a watch, that gives up columns where the terminal is narrow. Pure."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from rich.table import Table
from rich.text import Text

_GAP: Final = 2
_NAME_MAX: Final = 40
_NAME_LEAST: Final = 8
_WHY_LEAST: Final = 10


class Column(NamedTuple):
    """A column: its head, and a cell for each row."""

    head: str
    cells: Sequence[Text]


def table(columns: Sequence[Column], width: int, leaving: Collection[str]) -> Table:
    """Return a table of names, how they stand, and why, for which there is what the others leave.

    Args:
        columns: The first has the names, the last the reasons.
        width: Of the terminal, in cells.
        leaving: Heads of those that go if there is no room, in that order; empty ones go before.
    """
    first, *middle, last = _fitting(columns, width, leaving)
    name_max = width - sum(_width(column) + _GAP for column in middle) - _least_of_last(last) - _GAP
    shown = Table(box=None, pad_edge=False, expand=True, header_style="bold", padding=(0, _GAP, 0, 0))
    shown.add_column(
        Text(first.head), no_wrap=True, overflow="ellipsis", max_width=max(min(name_max, _NAME_MAX), 1)
    )
    for column in middle:
        shown.add_column(Text(column.head), no_wrap=True, overflow="ellipsis")
    shown.add_column(Text(last.head), no_wrap=True, overflow="ellipsis", ratio=1)
    for row in zip(*(column.cells for column in (first, *middle, last)), strict=True):
        shown.add_row(*row)
    return shown


def _fitting(columns: Sequence[Column], width: int, leaving: Collection[str]) -> Sequence[Column]:
    """Return the columns for which there is room."""
    kept = list(columns)
    empty = [column.head for column in columns[1:-1] if not any(column.cells)]
    for head in (*empty, *leaving):
        if _least(kept, width) <= width:
            break
        kept = [column for column in kept if column.head != head]
    return kept


def _least(columns: Sequence[Column], width: int) -> int:
    """Return how wide a table has to be to say something."""
    first, *middle, last = columns
    name = min(_widest(first), max(_NAME_LEAST, width // 3))
    return name + sum(_GAP + _width(column) for column in middle) + _GAP + _least_of_last(last)


def _least_of_last(column: Column) -> int:
    return min(_width(column), _WHY_LEAST)


def _width(column: Column) -> int:
    return max(len(column.head), _widest(column))


def _widest(column: Column) -> int:
    return max((cell.cell_len for cell in column.cells), default=0)
