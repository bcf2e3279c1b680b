"""The HTML report as text: what is in it, and that nothing breaks out of its place."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer.model import SECOND_NS, Kind, Latency, Mark, TargetId
from downtimer.report import render
from downtimer.report.html import assets, rows
from downtimer.report.html.latencies import ALL_MAX, POINTS_MAX, points_of_each
from downtimer.report.html.markup import compact_json, name, text
from tests.unit.runs import RUN, MemoryReader, address, down, ns, service, up

HTML = Path(assets.__file__).parent
VENDOR = HTML / assets.UPLOT


def page(reader: MemoryReader) -> str:
    """Return the report."""
    return "".join(render(reader, "html"))


def data(html: str) -> dict[str, Any]:
    """Return what the script gets."""
    (found,) = re.findall(r'<script type="application/json" id=data>(.*?)</script>', html, re.DOTALL)
    parsed: dict[str, Any] = json.loads(found)
    return parsed


class Scripts(HTMLParser):
    """Finds what is within scripts and styles, and all attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = ""
        self.found: dict[str, list[str]] = {"script": [], "style": []}
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where we are."""
        self.inside = tag
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - as `HTMLParser` has it
        """Note that we are nowhere."""
        self.inside = ""

    def handle_data(self, data: str) -> None:
        """Keep it."""
        if self.inside in self.found:
            self.found[self.inside].append(data)


# --- the library ---


def test_what_is_vendored_is_what_was_published() -> None:
    lines = (VENDOR / "SOURCE.rst").read_text().splitlines()
    hashes = {line.split()[1]: line.split()[0] for line in lines if "  uPlot." in line}
    assert set(hashes) == {path.name for path in VENDOR.iterdir()} - {"SOURCE.rst", "LICENSE"}
    for file, digest in hashes.items():
        assert hashlib.sha256((VENDOR / file).read_bytes()).hexdigest() == digest
    assert "MIT License" in (VENDOR / "LICENSE").read_text()


def test_every_part_of_the_script_is_in_it() -> None:
    parts = list((HTML / "script").glob("*.js"))
    assert len(parts) > 10
    for part in parts:
        assert part.read_text() in assets.script()


# --- the page ---


def test_the_policy_allows_what_is_there_and_nothing_else() -> None:
    parser = Scripts()
    parser.feed(page(MemoryReader()))
    attributes = dict(parser.attributes)
    policy = next(
        value for key, value in parser.attributes if key == "content" and "default-src" in str(value)
    )
    assert str(policy).startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in str(policy)
    assert not {"src", "href", "style", "onclick", "onload"} & set(attributes)
    first, _, whole = parser.found["script"]
    for part in (first, whole, *parser.found["style"]):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in str(policy)


def test_nothing_but_names_of_ours_is_an_address_on_the_net() -> None:
    html = page(MemoryReader())
    assert set(re.findall(r"https?://[^\s\"'<)]+", html)) <= {
        "https://github.com/leeoniya/uPlot",  # in its head, which names its licence
        f"{RUN.cloud}.",
    }


@given(st.text())
def test_no_text_breaks_out_of_its_place(foreign: str) -> None:
    assert not set("<>\"'\n") & set(text(foreign))
    assert "<" not in compact_json(foreign)
    assert json.loads(compact_json(foreign)) == foreign
    assert re.fullmatch(r"(<bdi>)?[^<>]*(</bdi>)?", name(foreign))


def test_targets_are_told_briefly() -> None:
    reader = MemoryReader(
        states=[address("10.0.0.1"), address("10.0.0.2")],
        the_spans=[
            up(0, 10, target="address:10.0.0.1", check="icmp"),
            down(10.5, 20, target="address:10.0.0.1", check="icmp"),
            up(20.5, 30, target="address:10.0.0.1", check="icmp"),
            up(0, 30, target="address:10.0.0.2", check="icmp"),
        ],
        the_marks=[Mark(at_ns=ns(5), text="</script>")],
    )
    told = data(page(reader))
    assert told["about"] == {
        "origin": RUN.start_utc_ns // 1_000_000,
        "length": 100_000,
        "marks": [[5000, "</script>"]],
        "projects": [["shop", "f00d"]],
    }
    first, second = told["targets"]
    assert first == {
        "g": 0,
        "n": "10.0.0.1",
        "r": "0.50 s",
        "w": [0, 30_000],
        "d": 10_000,
        "e": [[10_250, 10_000, 250, 250, "10.0 s (9.5–10.5)", "", "refused 20"]],
        "h": ["", "10.0 s (9.5–10.5)"],
        "p": "33.3",
    }
    assert second == {"g": 0, "n": "10.0.0.2", "r": "0.50 s", "w": [0, 30_000]}


def test_latencies_of_a_service_are_found_by_its_number() -> None:
    windows = [Latency("answers", ns(at), 5, 1_000_000, 2_000_000, 3_000_000) for at in (1, 11, 21)]
    reader = MemoryReader(
        states=[service("glance"), service("nova")],
        the_spans=[up(0, 30)],
        the_latencies={TargetId("service:nova"): windows},
    )
    told = data(page(reader))
    (number,) = (target["i"] for target in told["targets"] if target["n"] == "nova")
    assert told["latencies"][number] == [
        ["answers", [1000, 10_000, 10_000], [1000] * 3, [2000] * 3, [3000] * 3]
    ]
    assert told["latencies"][1 - number] == []


def test_many_windows_are_joined_and_none_is_lost() -> None:
    windows = [
        Latency("answers", i * 10 * SECOND_NS, 5, 1000 * (i + 1), 2000 * (i + 1), 3000 * (i + 1))
        for i in range(8640)
    ]
    reader = MemoryReader(
        states=[service("nova")], the_spans=[up(0, 86400)], the_latencies={TargetId("service:nova"): windows}
    )
    ((_, starts, least, _, most),) = data(page(reader))["latencies"][0]
    assert POINTS_MAX / 2 < len(starts) <= POINTS_MAX
    assert (least[0], most[-1]) == (1, 3 * 8640)
    assert sum(starts) <= 86_400_000


def test_many_checks_share_what_a_page_has_room_for() -> None:
    assert points_of_each(0) == points_of_each(20) == POINTS_MAX
    assert points_of_each(1000) * 1000 <= ALL_MAX
    assert points_of_each(1_000_000) == 2


def test_the_table_has_a_row_for_what_is_to_be_seen_and_a_name_for_the_rest() -> None:
    reader = MemoryReader(
        states=[service("glance"), service("nova"), service("heat")],
        the_spans=[up(0, 10), down(10.5, 20), up(20.5, 30), up(0, 30, target="service:glance")],
    )
    html = page(reader)
    assert html.count("<tr><th>") == 2  # heat was not probed
    assert "<tr><th>nova<small>service</small><td>10.0 s (9.5–10.5), 33.3 %" in html
    assert "1 service up all the time</summary><p>glance</details>" in html


def test_what_can_have_been_missed_is_said_as_in_the_text_report() -> None:
    nova = replace(service("nova"), unfit={"works": "<b>no call</b>"})
    html = page(MemoryReader(states=[nova], the_spans=[up(0, 30)]))
    assert (
        "<section><h2>Not checked (a service may answer and yet not work)</h2>\n"
        "<ul><li>nova: measured by answers alone, not works: &lt;b&gt;no call&lt;/b&gt;\n</ul></section>\n"
        "<section><h2>Resolution (a shorter outage, between two good answers, can have been missed)</h2>\n"
        "<ul><li>1 service by answers: 0.50 s\n</ul></section>\n"
    ) in html
    assert "<h2>Resolution" not in page(MemoryReader())


def test_a_large_table_keeps_those_that_were_down_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS_MAX", 3)
    table = rows.Rows()
    for down_ns, row in ((1, "a"), (5, "b"), (0, "c"), (1, "d"), (9, "e")):
        table.add(down_ns, row)
    html = "".join(table.read())
    assert "The 3 that were down for longest, of 5." in html
    assert re.findall(r"tbody>\n(\w+)</table>", html) == ["abe"]


def test_quiet_targets_are_counted_by_kind() -> None:
    quiet = rows.Quiet()
    for kind, title in ((Kind.SERVICE, "nova"), (Kind.ADDRESS, "10.0.0.1"), (Kind.ADDRESS, "10.0.0.2")):
        quiet.add(kind, title)
    html = "".join(quiet.read())
    assert "1 service up all the time" in html
    assert "2 addresses up all the time</summary><p>10.0.0.1, 10.0.0.2<" in html
