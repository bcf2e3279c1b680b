"""The Markdown report is short, and a renderer makes of it what is meant, whatever the names are."""

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from downtimer.assertions import parse
from downtimer.model import Mark
from downtimer.printable import printable
from downtimer.report import render
from downtimer.report.markdown import text
from tests.unit import hostile
from tests.unit.runs import RUN, MemoryReader, address, down, ns, service, up
from tests.unit.test_judging import of

GITHUB = MarkdownIt("commonmark", {"linkify": False}).enable(["table", "strikethrough"])


def markdown(reader: MemoryReader, *assertions: str) -> str:
    return "".join(render(reader, "markdown", [parse(one) for one in assertions]))


def tokens(given: str) -> Iterator[Token]:
    """Yield what a renderer sees, the inline parts one by one."""
    for token in GITHUB.parse(given):
        yield token
        yield from token.children or ()


def tables(given: str) -> list[list[list[str]]]:
    """Return the tables, as rows of the text that their cells show."""
    found: list[list[list[str]]] = []
    for token in GITHUB.parse(given):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level > 2:
            found[-1][-1].append("".join(child.content for child in token.children or ()))
    return found


def shown(name: str) -> str:
    """Return a text as it is to be seen: nothing without a width, and nothing that can't be printed."""
    return printable(name).replace("\u200b", "")


NOVA = (up(0, 10), down(10.5, 20), up(20.5, 100))


def test_ticket_has_verdicts_what_was_down_and_the_phases() -> None:
    reader = MemoryReader(
        states=[service("nova"), service("heat"), address("10.0.0.1")],
        the_spans=[
            *NOVA,
            of(up(0, 100), "service:heat"),
            of(down(0, 100, causes="no-reply"), "address:10.0.0.1", "icmp"),
        ],
        the_marks=[Mark(at_ns=ns(15), text="db sync")],
    )
    report = markdown(reader, "service:* <= 5s", "zero-downtime")
    assert report.startswith("# Downtime in run 20261122T163705-1234\n\n| result | assertion | why |\n")
    verdicts, of_down, phases = tables(report)
    why = "nova was down 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20"
    assert verdicts[1:] == [
        ["fail", "service:* <= 5s", why],
        ["fail", "zero-downtime", f"{why}; a shorter outage than 0.50 s (answers) can have been missed"],
    ]
    assert of_down[1:] == [
        [
            *("Service nova", "10.0 s (9.5–10.5)", "10.0 %", "1", "10.0 s (9.5–10.5)"),
            *("2026-11-22 16:37:15.373 UTC", "refused 20"),
        ]
    ]
    assert phases[1:] == [
        [
            *("(before the first mark)", "2026-11-22 16:37:05.123 UTC", "15.0 s", "100.0 %"),
            *("nova 4.75 s (4.50–5.00)", ""),
        ],
        [
            *("db sync", "2026-11-22 16:37:20.123 UTC", "1 min 25.0 s", "100.0 %"),
            *("nova 5.25 s (5.00–5.50)", ""),
        ],
    ]
    assert "1 address never answered" in report
    blocks = [token.content for token in tokens(report) if token.type == "code_block"]
    assert blocks[0].startswith("Run 20261122T163705-1234\n")
    assert "Resolution" in blocks[1]


def test_title_is_the_run_and_its_label() -> None:
    report = markdown(MemoryReader(the_run=replace(RUN, label="again *now*")))
    assert report.startswith("# Downtime in run 20261122T163705-1234: again \\*now\\*\n")


def test_nothing_down_is_said() -> None:
    report = markdown(MemoryReader(states=[service("nova")], the_spans=[up(0, 60)]))
    assert "Nothing was down." in report
    assert tables(report) == []


def test_large_run_makes_a_short_report() -> None:
    states = [address(f"10.0.{number // 250}.{number % 250}") for number in range(500)]
    spans = [
        of(one, state.target.id, "icmp")
        for number, state in enumerate(states)
        for one in (up(0, 10), down(10.5, 20 + number / 100), up(30, 60))
    ]
    report = markdown(MemoryReader(states=states, the_spans=spans))
    (rows,) = tables(report)
    assert len(rows) == 51
    assert rows[1][0] == "Address 10.0.1.249"
    assert "… and 450 more that were down for less." in report
    assert len(report) < 10_000


def test_hostile_names_are_text_and_nothing_else() -> None:
    report = markdown(hostile.reader(), "service:* <= 5s")
    kinds = {token.type for token in tokens(report)}
    assert not kinds & {"html_inline", "html_block", "link_open", "code_inline", "em_open", "s_open", "fence"}
    assert sum(1 for token in tokens(report) if token.type == "heading_open") == 4
    verdicts, of_down, phases = tables(report)
    assert len(verdicts) == 2
    assert sorted(row[0].replace("\u200b", "") for row in of_down[1:]) == sorted(
        f"Service {shown(name)}" for name in hostile.NAMES
    )
    assert [row[0].replace("\u200b", "") for row in phases[2:]] == [shown(name) for name in hostile.NAMES]
    assert "http://" not in "".join(row[0] for row in of_down)
    assert not any("@channel" in token.content for token in tokens(report) if token.type == "text")


@given(st.text())
@settings(max_examples=500, deadline=None)
def test_any_text_is_shown_as_it_is_in_a_cell_of_a_table(given: str) -> None:
    cell = printable(given).strip()
    rows = tables(f"| a | b |\n| --- | --- |\n| {text(cell)} | x |\n")
    assert [each.replace("\u200b", "") for each in rows[0][1]] == [cell.replace("\u200b", ""), "x"]
