"""A comparison of two runs, written for people, for a ticket, or for programs."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from downtimer.given import check_choice
from downtimer.model import SECOND_NS
from downtimer.printable import printable
from downtimer.report import markdown, wording
from downtimer.report.comparison import Change, Comparison, Figures, Pair, Side
from downtimer.report.titles import KINDS, told_counts
from downtimer.report.wording import number, plural, rfc3339

VERSION: Final = 1

_ABSENT: Final = "–"


def check_format(name: str) -> None:
    """See whether there is such a format.

    Raises:
        ConfigError: There is not.
    """
    check_choice("--format", name, FORMATS)


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
    yield "\n"
    yield from (f"{line}\n" for line in _counts(comparison))


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
    yield "\n"
    yield from (f"- {line}\n" for line in _counts(comparison))


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

_BEFORE_ALONE: Final = "Only in the run before"
_AFTER_ALONE: Final = "Only in the run after"

_HEAD: Final = ("", "down before", "down after", "longest", "episodes", "slow")


def _groups(comparison: Comparison) -> Iterator[tuple[str, Sequence[Pair]]]:
    """Yield what was down in a run, under titles, the most important first."""
    pairs = [pair for pair in comparison.pairs if pair.was_down]
    both = [pair for pair in pairs if pair.is_in_both]
    for title, of_title in (
        *((title, [pair for pair in both if pair.down is change]) for change, title in _TITLES.items()),
        (_BEFORE_ALONE, [pair for pair in pairs if pair.after is None]),
        (_AFTER_ALONE, [pair for pair in pairs if pair.before is None]),
    ):
        if of_title:
            yield title, of_title


def _counts(comparison: Comparison) -> Iterator[str]:
    """Yield how many are in no table: they were down in neither run, or never answered."""
    quiet = [pair for pair in comparison.pairs if not pair.was_down]
    both = [pair for pair in quiet if pair.is_in_both]
    dark = sum(pair.down is Change.UNDECIDED for pair in both)
    too_little = f"; {number(dark)} of them observed too little to tell" if dark else ""
    yield f"Down in neither run: {_counted(both) or 'none'}{too_little}."
    for title, alone in (
        (_BEFORE_ALONE, [pair for pair in quiet if pair.after is None]),
        (_AFTER_ALONE, [pair for pair in quiet if pair.before is None]),
    ):
        if alone:
            yield f"{title}, and not down: {_counted(alone)}."
    if comparison.never_answered:
        yield f"Left out: {plural(comparison.never_answered, 'address')} that never answered."


def _counted(pairs: Sequence[Pair]) -> str:
    return " and ".join(told_counts(Counter(pair.kind for pair in pairs)))


def _told_of(side: Side) -> str:
    run = side.run
    label = f", {run.label}" if run.label else ""
    length = wording.length(side.length_ns)
    targets = ", ".join(told_counts(side.counts)) or "no targets"
    vantage = f", from {run.vantage}" if run.vantage else ""
    return f"{run.id}{label}: {wording.moment(run.start_utc_ns)} UTC, {length}, {targets}{vantage}"


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
        "targets": side.counts.total(),
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "kind": pair.kind.value,
        "name": pair.name,
        "down": pair.down.value if pair.is_in_both else None,
        "longest": pair.longest.value if pair.is_in_both else None,
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
