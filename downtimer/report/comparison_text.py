"""A comparison of two runs, written for people, for a ticket, or for programs."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from downtimer.errors import ConfigError
from downtimer.model import SECOND_NS, Kind
from downtimer.options import hint
from downtimer.printable import printable
from downtimer.report import markdown, wording
from downtimer.report.comparison import Change, Comparison, Figures, Pair, Side
from downtimer.report.titles import KINDS
from downtimer.report.wording import number, plural, rfc3339

VERSION: Final = 1

_ABSENT: Final = "–"


def check_format(name: str) -> None:
    """See whether there is such a format.

    Raises:
        ConfigError: There is not.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name}: there are {', '.join(FORMATS)}{hint(name, FORMATS)}")


def _render_text(comparison: Comparison) -> Iterator[str]:
    yield "Two runs\n"
    for title, side in (("before", comparison.before), ("after", comparison.after)):
        yield f"  {title:<6}  {printable(_told_of(side))}\n"
    for remark in comparison.remarks:
        yield f"  {'but':<6}  {printable(remark)}\n"
    for title, pairs in _groups(comparison):
        yield f"\n{title}\n"
        rows = [_HEAD, *(_cells(pair) for pair in pairs)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, *cells in rows:
            aligned = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            yield f"  {name.ljust(widths[0])}  {aligned}\n"
    yield f"\n{_quiet(comparison)}\n"


def _render_markdown(comparison: Comparison) -> Iterator[str]:
    yield "# Two runs, compared\n\n"
    yield f"- before: {markdown.text(_told_of(comparison.before))}\n"
    yield f"- after: {markdown.text(_told_of(comparison.after))}\n"
    for remark in comparison.remarks:
        yield f"- but: {markdown.text(remark)}\n"
    for title, pairs in _groups(comparison):
        yield f"\n## {title}\n\n"
        head = [_HEAD[0] or "target", *(f" {cell}" for cell in _HEAD[1:])]
        yield from markdown.table(head, ([markdown.text(cell) for cell in _cells(pair)] for pair in pairs))
    yield f"\n{_quiet(comparison)}\n"


def _render_json(comparison: Comparison) -> Iterator[str]:
    sides = {"before": _side(comparison.before), "after": _side(comparison.after)}
    yield f'{{"version": {VERSION},\n"runs": {json.dumps(sides)},\n'
    yield f'"remarks": {json.dumps(list(comparison.remarks))},\n'
    yield f'"never_answered": {comparison.never_answered},\n"targets": ['
    separator = "\n"
    for pair in comparison.pairs:
        yield f"{separator}{json.dumps(_pair(pair))}"
        separator = ",\n"
    yield "]}\n"


FORMATS: Final[Mapping[str, Callable[[Comparison], Iterator[str]]]] = MappingProxyType(
    {"text": _render_text, "json": _render_json, "markdown": _render_markdown}
)
"""Every format by its name, the default first."""

_TITLES: Final = {
    Change.WORSE: "Worse (for longer than before, beyond the bounds of both)",
    Change.BETTER: "Better (for less than before, beyond the bounds of both)",
    Change.UNDECIDED: "Undecided (the bounds allow both, or too little was observed)",
}

_HEAD: Final = ("", "down before", "down after", "longest", "episodes", "slow")


def _groups(comparison: Comparison) -> Iterator[tuple[str, Sequence[Pair]]]:
    """Yield what is to be listed, under titles, the most important first."""
    both = [pair for pair in comparison.pairs if pair.before is not None and pair.after is not None]
    for change, title in _TITLES.items():
        pairs = [pair for pair in both if pair.down is change]
        if pairs:
            yield title, pairs
    for title, pairs in (
        ("Only in the run before", [pair for pair in comparison.pairs if pair.after is None]),
        ("Only in the run after", [pair for pair in comparison.pairs if pair.before is None]),
    ):
        if pairs:
            yield title, pairs


def _quiet(comparison: Comparison) -> str:
    """Return how many were down in neither run, and how many are in no table at all."""
    counts = [
        plural(count, kind.value)
        for kind in (Kind.SERVICE, Kind.ADDRESS)
        if (count := sum(pair.kind is kind and pair.down is Change.NONE for pair in comparison.pairs))
    ]
    silent = comparison.never_answered
    left_out = f"; {plural(silent, 'address')} that never answered left out" if silent else ""
    return f"Down in neither run: {' and '.join(counts) or 'none'}{left_out}."


def _told_of(side: Side) -> str:
    run = side.run
    label = f", {run.label}" if run.label else ""
    length = wording.length(side.length_ns)
    return (
        f"{run.id}{label}: {wording.moment(run.start_utc_ns)} UTC, {length}, "
        f"{plural(side.targets, 'target')}, from {run.vantage}"
    )


def _cells(pair: Pair) -> tuple[str, ...]:
    before, after = pair.before, pair.after
    changed = f" ({pair.longest})" if pair.longest in (Change.WORSE, Change.BETTER) else ""
    return (
        f"{KINDS[pair.kind]} {printable(pair.name)}",
        _down(before),
        _down(after),
        _both(before, after, lambda figures: wording.seconds(figures.longest_ns)) + changed,
        _both(before, after, lambda figures: number(figures.episodes)),
        _both(before, after, lambda figures: wording.seconds(figures.slow_ns)),
    )


def _down(figures: Figures | None) -> str:
    return _ABSENT if figures is None else wording.bounded(figures.down_ns, *figures.down_bounds_ns)


def _both(before: Figures | None, after: Figures | None, write: Callable[[Figures], str]) -> str:
    return " → ".join(_ABSENT if figures is None else write(figures) for figures in (before, after))


def _side(side: Side) -> dict[str, Any]:
    run = side.run
    return {
        "id": run.id,
        "label": run.label or None,
        "vantage": run.vantage,
        "start": rfc3339(run.start_utc_ns),
        "length_s": side.length_ns / SECOND_NS,
        "targets": side.targets,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    is_in_both = pair.before is not None and pair.after is not None
    return {
        "kind": pair.kind.value,
        "name": pair.name,
        "down": pair.down.value if is_in_both else None,
        "longest": pair.longest.value if is_in_both else None,
        "before": _figures(pair.before),
        "after": _figures(pair.after),
    }


def _figures(figures: Figures | None) -> dict[str, Any] | None:
    if figures is None:
        return None
    (down_min_ns, down_max_ns), (min_ns, max_ns) = figures.down_bounds_ns, figures.longest_bounds_ns
    return {
        "down_s": figures.down_ns / SECOND_NS,
        "down_min_s": down_min_ns / SECOND_NS,
        "down_max_s": down_max_ns / SECOND_NS,
        "longest_s": figures.longest_ns / SECOND_NS,
        "longest_min_s": min_ns / SECOND_NS,
        "longest_max_s": max_ns / SECOND_NS,
        "episodes": figures.episodes,
        "slow_s": figures.slow_ns / SECOND_NS,
        "observed_s": figures.observed_ns / SECOND_NS,
    }
