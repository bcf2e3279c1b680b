"""What was injected beside what was reported: the demo's table, and whether it holds. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from downtimer.model import SECOND_NS
from downtimer.report import wording


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One target.

    Attributes:
        target: Its name.
        injected_s: The least and the most seconds for which it really was down.
        down_s: What was reported; None if it is not in the report.
        bounds_s: And within which bounds.
    """

    target: str
    injected_s: tuple[float, float]
    down_s: float | None = None
    bounds_s: tuple[float, float] = (0.0, 0.0)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was done to it and nothing is reported of it."""
        return self.injected_s[1] == 0 and self.down_s == 0

    @property
    def holds(self) -> bool:
        """Whether the report is right: the truth may lie in the bounds, and no downtime is invented."""
        if self.down_s is None:
            return False
        if self.injected_s[1] == 0:
            return self.down_s == 0
        return self.down_s > 0 and max(self.injected_s[0], self.bounds_s[0]) <= min(
            self.injected_s[1], self.bounds_s[1]
        )


def compare(injected: Mapping[str, tuple[float, float]], report: Mapping[str, Any]) -> list[Row]:
    """Hold a report in JSON against the truth.

    Args:
        injected: The least and the most seconds of downtime, by target; zeros for the untouched.
        report: What ``downtimer report --format json`` says.
    """
    reported = {target["name"]: target for target in report["targets"]}
    names = [*injected, *(name for name in reported if name not in injected)]
    return [_row(name, injected.get(name, (0.0, 0.0)), reported.get(name)) for name in names]


def format_table(rows: Sequence[Row]) -> str:
    """Return the table: a line for each target that was touched or is wrong, one for all others."""
    loud = [row for row in rows if not (row.is_quiet and row.holds)]
    quiet = len(rows) - len(loud)
    lines = [("target", "injected", "reported (bounds)", "within bounds?")]
    lines += [
        (row.target, _seconds(sum(row.injected_s) / 2), _reported(row), "yes" if row.holds else "NO")
        for row in loud
    ]
    if quiet:
        lines.append(("1 other" if quiet == 1 else f"{quiet} others", _seconds(0), _seconds(0), "yes"))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "".join(
        f"  {name:<{widths[0]}}  {was:>{widths[1]}}  {said:<{widths[2]}}  {holds}\n"
        for name, was, said, holds in lines
    )


def _row(name: str, injected_s: tuple[float, float], target: Mapping[str, Any] | None) -> Row:
    if target is None:
        return Row(target=name, injected_s=injected_s)
    return Row(
        target=name,
        injected_s=injected_s,
        down_s=target["down_s"],
        bounds_s=(target["down_min_s"], target["down_max_s"]),
    )


def _reported(row: Row) -> str:
    if row.down_s is None:
        return "not in the report"
    return wording.bounded(*(_ns(seconds) for seconds in (row.down_s, *row.bounds_s)))


def _seconds(seconds: float) -> str:
    return wording.seconds(_ns(seconds))


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)
