"""Figures and tables of growth: what a benchmark gives. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tabulate import tabulate

RUNS: Final = 5
"""Of each benchmark, at least; its figure is the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure, and what is promised of it.

    Attributes:
        what: It tells.
        values: Of each run, in order.
        unit: Of the values; ``×`` for a ratio.
        at_most: The promise; None if there is no such.
        at_least: Likewise.
        note: What it was measured against, or how; a few words.
    """

    what: str
    values: tuple[float, ...]
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The value that stands for all of them."""
        return statistics.median(self.values)

    @property
    def is_kept(self) -> bool:
        """Whether the median is as promised."""
        is_low = self.at_most is None or self.median <= self.at_most
        return is_low and (self.at_least is None or self.median >= self.at_least)

    @property
    def limit(self) -> str:
        """The promise in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:,g} {self.unit}"
        return "" if self.at_least is None else f"≥ {self.at_least:,g} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How costs grow with size.

    Attributes:
        what: Grows.
        columns: The first is the size, the others are costs, each with its unit.
        rows: Medians, by size.
    """

    what: str
    columns: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Results:
    """What a benchmark gives."""

    figures: Sequence[Figure] = ()
    growths: Sequence[Growth] = ()


def table_of_figures(figures: Sequence[Figure]) -> str:
    """Return the figures as a table of reStructuredText."""
    rows = [
        [
            figure.what + (f" ({figure.note})" if figure.note else ""),
            figure.limit,
            f"{_short(figure.median)} {figure.unit}",
            f"{_short(min(figure.values))}–{_short(max(figure.values))}",
            len(figure.values),
            "" if not figure.limit else "yes" if figure.is_kept else "NO",
        ]
        for figure in figures
    ]
    head = ["Figure", "Limit", "Median", "Range", "Runs", "Kept"]
    return tabulate(rows, headers=head, tablefmt="rst", disable_numparse=True)


def table_of_growth(growth: Growth) -> str:
    """Return it as a table of reStructuredText."""
    rows = [[f"{row[0]:,g}", *map(_short, row[1:])] for row in growth.rows]
    return tabulate(rows, headers=growth.columns, tablefmt="rst", disable_numparse=True)


def _short(value: float) -> str:
    """Return a number with about three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
