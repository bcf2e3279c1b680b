"""Two runs are compared target by target, and only what the bounds prove is worse or better."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from downtimer.errors import ConfigError
from downtimer.model import Span, TargetState
from downtimer.report import build
from downtimer.report.comparison import Change, Comparison, compare
from downtimer.report.comparison_text import FORMATS, check_format
from tests.unit import hostile
from tests.unit.runs import RUN, MemoryReader, address, down, service, unknown, up
from tests.unit.test_judging import of
from tests.unit.test_report_markdown import tables

SCHEMA: Final = json.loads(
    (Path(__file__).parents[2] / "doc" / "compare.schema.json").read_text(encoding="utf-8")
)
NOVA: Final = service("nova")


def down_for(seconds: float) -> list[Span]:
    """Return the spans of a service that was down for so long, give or take half a second."""
    return [up(0, 10), down(10.5, 10 + seconds), up(10.5 + seconds, 100)]


def compared(before: Sequence[Span], after: Sequence[Span], *states: TargetState) -> Comparison:
    """Compare two runs of the same targets."""
    readers = (MemoryReader(states=states or (NOVA,), the_spans=spans) for spans in (before, after))
    return compare(*map(build, readers))


def change(before: Sequence[Span], after: Sequence[Span]) -> Change:
    """Return what became of the downtime of the only target."""
    (pair,) = compared(before, after).pairs
    return pair.down


def text_of(comparison: Comparison, form: str = "text") -> str:
    return "".join(FORMATS[form](comparison))


def parsed(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON, which is valid by the schema."""
    result: dict[str, Any] = json.loads(text_of(comparison, "json"))
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(result)
    return result


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (2, 10, Change.WORSE),
        (10, 2, Change.BETTER),
        (2, 2, Change.UNDECIDED),
        (2, 2.5, Change.UNDECIDED),
        (2, 3, Change.UNDECIDED),  # 1.5-2.5, then 2.5-3.5
        (2, 3.5, Change.WORSE),
    ],
)
def test_only_what_is_beyond_the_bounds_of_both_counts(before: float, after: float, expected: Change) -> None:
    assert change(down_for(before), down_for(after)) is expected


def test_not_down_in_either_is_no_change() -> None:
    assert change([up(0, 100)], [up(0, 60)]) is Change.NONE


def test_what_was_hardly_observed_is_not_better() -> None:
    hardly = [up(0, 10), unknown(10.5, 60), up(60.5, 100)]
    assert change(down_for(10), hardly) is Change.UNDECIDED
    assert change(hardly, down_for(10)) is Change.UNDECIDED
    assert change([up(0, 100)], hardly) is Change.UNDECIDED
    assert change(down_for(10), [*hardly[:2], down(60.5, 90), up(90.5, 100)]) is Change.WORSE


def test_longest_episode_is_compared_by_itself() -> None:
    often = [up(0, 10)]
    for start in range(10, 80, 10):
        often += [down(start + 0.5, start + 2), up(start + 2.5, start + 10)]
    (pair,) = compared(down_for(6), often).pairs
    assert (pair.down, pair.longest) == (Change.WORSE, Change.BETTER)


def test_target_with_another_url_or_name_is_the_same_one() -> None:
    moved = service("nova", id="service:nova/v2.1")
    before = MemoryReader(states=[NOVA], the_spans=down_for(2))
    after = MemoryReader(states=[moved], the_spans=[of(one, "service:nova/v2.1") for one in down_for(10)])
    (pair,) = compare(build(before), build(after)).pairs
    assert (pair.name, pair.down) == ("nova", Change.WORSE)
    second = service("nova", region="RegionTwo", id="service:nova/2")
    both = MemoryReader(
        states=[NOVA, second], the_spans=[*down_for(2), *(of(one, "service:nova/2") for one in down_for(2))]
    )
    kept, gone = compare(build(both), build(before)).pairs
    assert (kept.name, kept.down, gone.name, gone.after) == (
        *("nova", Change.UNDECIDED),
        *("nova (RegionTwo)", None),
    )


def test_targets_of_one_run_only_are_listed() -> None:
    glance = service("glance")
    before = MemoryReader(states=[NOVA, glance], the_spans=[*down_for(2), of(up(0, 100), "service:glance")])
    after = MemoryReader(states=[NOVA], the_spans=down_for(10))
    there, back = compare(build(before), build(after)), compare(build(after), build(before))
    assert "Only in the run before" in text_of(there)
    assert "Only in the run after" in text_of(back)
    by_name = {target["name"]: target for target in parsed(there)["targets"]}
    assert (by_name["glance"]["after"], by_name["glance"]["down"]) == (None, None)


def test_addresses_that_never_answered_are_left_out_and_counted() -> None:
    states = (address("10.0.0.1"), address("10.0.0.2"))
    dead = of(down(0, 100), "address:10.0.0.1", "icmp")
    well = [of(up(0, 100), f"address:10.0.0.{last}", "icmp") for last in (1, 2)]
    comparison = compared([dead, well[1]], well, *states)
    assert [pair.name for pair in comparison.pairs] == ["10.0.0.2"]
    assert text_of(comparison).endswith(
        "Down in neither run: 1 address.\nLeft out: 1 address that never answered.\n"
    )


def test_address_that_answers_no_more_is_worse() -> None:
    dead = of(down(0, 100), "address:10.0.0.1", "icmp")
    well = of(up(0, 100), "address:10.0.0.1", "icmp")
    comparison = compared([well], [dead], address("10.0.0.1"))
    assert [(pair.name, pair.down) for pair in comparison.pairs] == [("10.0.0.1", Change.WORSE)]
    assert comparison.never_answered == 0
    both = compared([dead], [dead], address("10.0.0.1"))
    assert (list(both.pairs), both.never_answered) == ([], 1)
    new = MemoryReader(states=[address("10.0.0.1")], the_spans=[dead])
    only_after = compare(build(MemoryReader(states=[])), build(new))
    assert (list(only_after.pairs), only_after.never_answered) == ([], 1)


def test_what_makes_runs_hard_to_compare_is_said() -> None:
    before = MemoryReader(states=[NOVA], the_spans=[up(0, 100)])
    after = MemoryReader(
        states=[NOVA],
        the_run=replace(RUN, vantage="laptop", cloud="http://other:5000", end_ns=None),
        the_spans=[up(0, 100), up(0, 100, check="works")],
    )
    assert list(compare(build(before), build(after)).remarks) == [
        "the vantages differ: deploy01, then laptop",
        "the clouds differ: http://172.29.236.10:5000, then http://other:5000",
        "the second run has no end: it goes on, or was cut off",
        "measured by other checks: nova",
    ]


def test_file_that_told_of_no_end_is_said_to_be_one() -> None:
    endless = MemoryReader(the_run=replace(RUN, end_ns=None), is_followed=False)
    assert list(compare(build(MemoryReader()), build(endless)).remarks) == [
        "no end of the second run was given"
    ]


def test_text_is_a_table_of_what_changed() -> None:
    states = (NOVA, service("glance"), service("heat"))
    before = [
        *down_for(10),
        *(of(one, "service:glance") for one in down_for(2)),
        of(up(0, 100), "service:heat"),
    ]
    after = [
        *down_for(2),
        *(of(one, "service:glance") for one in down_for(20)),
        of(up(0, 100), "service:heat"),
    ]
    told = [line.split() for line in text_of(compared(before, after, *states)).splitlines()]
    assert ["Worse", "(for", "longer", "than", "before,", "beyond", "the", "bounds", "of", "both)"] in told
    assert [
        *("Service", "glance", "2.00", "s", "(1.50–2.50)", "20.0", "s", "(19.5–20.5)"),
        *("2.00", "s", "→", "20.0", "s", "(worse)"),
        *("1", "→", "1", "0.00", "s", "→", "0.00", "s"),
    ] in told
    assert told[-1] == ["Down", "in", "neither", "run:", "1", "service."]


def test_what_was_down_in_neither_run_is_counted_and_no_row() -> None:
    names = ("nova", "calm", "dark", "gone", "lost", "new")
    nova, calm, dark, gone, lost, new = map(service, names)

    def of_each(**spans: Sequence[Span]) -> MemoryReader:
        return MemoryReader(
            states=[state for state in (nova, calm, dark, gone, lost, new) if state.target.name in spans],
            the_spans=[of(one, f"service:{name}") for name, its in spans.items() for one in its],
        )

    well, hardly = [up(0, 100)], [up(0, 10), unknown(10.5, 60), up(60.5, 100)]
    before = of_each(nova=down_for(10), calm=well, dark=hardly, gone=well, lost=down_for(5))
    after = of_each(nova=down_for(10), calm=well, dark=well, new=well)
    comparison = compare(build(before), build(after))
    told = text_of(comparison)
    titles = [line.split(" (")[0] for line in told.splitlines() if line and not line.startswith(" ")]
    counts = [
        "Down in neither run: 2 services; 1 of them observed too little to tell.",
        "Only in the run before, and not down: 1 service.",
        "Only in the run after, and not down: 1 service.",
    ]
    assert titles == ["Two runs", "Undecided", "Only in the run before", *counts]
    rows = [line.split()[1] for line in told.splitlines() if line.startswith("  Service ")]
    assert rows == ["nova", "lost"]
    assert text_of(comparison, "markdown").splitlines()[-3:] == [f"- {line}" for line in counts]
    assert {target["name"] for target in parsed(comparison)["targets"]} == set(names)
    assert (told.count(", 5 services, from deploy01"), told.count(", 4 services, from")) == (1, 1)


def test_markdown_has_the_same_tables() -> None:
    (worse,) = tables(text_of(compared(down_for(2), down_for(10)), "markdown"))
    assert worse[1][:3] == ["Service nova", "2.00 s (1.50–2.50)", "10.0 s (9.5–10.5)"]


def test_hostile_names_are_text_and_nothing_else() -> None:
    comparison = compare(build(hostile.reader()), build(hostile.reader()))
    assert all(line.isprintable() for line in text_of(comparison).replace("\ufffe\uffff", "").splitlines())
    (undecided,) = tables(text_of(comparison, "markdown"))
    assert len(undecided) == len(hostile.NAMES) + 1
    assert {target["name"] for target in parsed(comparison)["targets"]} == set(hostile.NAMES)


def test_unknown_format_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--format jsn: there are text, json, markdown; did you mean json"):
        check_format("jsn")
