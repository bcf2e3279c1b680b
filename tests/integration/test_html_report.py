"""The HTML report in a real browser: it asks nobody for anything, and shows what the JSON report says."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from selenium.webdriver.common.keys import Keys

from downtimer import report
from downtimer.assertions import parse
from downtimer.model import Event, Kind, Latency, Mark, Span, Target, TargetId, TargetState
from downtimer.report.wording import moment
from downtimer.store.journal import JournalReader
from tests.bench.day import Day, Size
from tests.browser import Browser, browser
from tests.unit.runs import RUN, START_UTC_NS, MemoryReader, address, down, ns, service, slow, unknown, up

pytestmark = pytest.mark.untimed

HOSTILE = (
    '</script><script>document.title = "owned"</script>',
    "<img src=x onerror=\"document.title='owned'\">",
    "<!-- <script>",
    "\"quoted' &amp; \\",
    "right\u202eto-left \u05e9\u05dc\u05d5\u05dd",
    "line\u2028separator\nbreak\x1b[31m",
    "\U0001f4a5 \u4e2d",
)
SIZE_MAX = 5_000_000
"""Bytes of a report on 10,000 targets."""

USABLE_MAX_S = 10.0
"""It is to be 2 s, which `tests.bench.page` measures; a machine that is busy may take longer."""

USABLE = "return performance.getEntriesByName('usable')[0].startTime"
"""Ms from the beginning of loading until the page was drawn, and answers."""

Make = Callable[[MemoryReader], Path]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for all tests here."""
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Browser, tmp_path: Path) -> Iterator[tuple[Browser, dict[str, Any]]]:
    """An ordinary night, opened; and the JSON report of the same run."""
    reader = night()
    chromium.open(write(reader, tmp_path))
    yield chromium, json.loads("".join(report.render(reader, "json")))
    assert chromium.errors() == []
    chromium.emulate()
    chromium.resize(1300, 900)


def write(reader: MemoryReader, folder: Path, *assertions: str) -> Path:
    """Write the report on a run."""
    path = folder / "report.html"
    summary = report.build(reader, [parse(text) for text in assertions])
    path.write_text("".join(report.write(summary, "html")), encoding="utf-8")
    return path


def night() -> MemoryReader:
    """Return an ordinary night: services and addresses, most of them well."""
    of = "nova"
    spans = [
        up(0, 20),
        down(20.5, 25, causes={"refused": 9, "http-503": 1}),
        up(25.5, 50),
        slow(50.5, 60),
        up(60.5, 100),
        up(0, 20, check="works", every=2),
        down(22, 24, check="works", every=2, causes="http-500"),
        up(26, 100, check="works", every=2),
        *steady("service:glance", up(0, 30), unknown(30.5, 40), up(40.5, 100)),
        *steady("service:heat", up(0, 100)),
        *steady("address:10.0.0.1", up(0, 10), down(10.5, 12), up(12.5, 14), down(14.5, 15), up(15.5, 100)),
        *steady("address:10.0.0.2", up(0, 60), down(60.5, 90, causes="no-reply"), up(90.5, 100)),
        *steady("address:10.0.0.3", down(0, 100, causes="no-reply")),
        *(span for i in range(4, 40) for span in steady(f"address:10.0.0.{i}", up(0, 100))),
    ]
    windows = [
        Latency(check, ns(at), 20, 2_000_000, 3_000_000 + at * 1_000_000, 400_000_000)
        for check in ("answers", "works")
        for at in range(0, 100, 10)
    ]
    states = [
        service(of),
        service("glance"),
        service("heat"),
        *(address(f"10.0.0.{i}") for i in range(1, 40)),
    ]
    return MemoryReader(
        states=states,
        the_spans=spans,
        the_run=replace(RUN, label="zed → antelope"),
        the_marks=[Mark(at_ns=ns(18), text="nova: restart"), Mark(at_ns=ns(55), text="neutron")],
        the_events=[Event(at_ns=ns(3), kind="restart", text="api")],
        the_latencies={TargetId("service:nova"): windows},
    )


def steady(target: str, *spans: Span) -> list[Span]:
    """Return spans of another target."""
    check = "answers" if target.startswith("service") else "icmp"
    return [_of(span, target, check) for span in spans]


def _of(span: Span, target: str, check: str) -> Span:
    return structs.replace(span, target=TargetId(target), check=check)


def names(chromium: Browser) -> list[str]:
    """Return the names of the rows that are shown, groups aside."""
    return chromium.texts(".row:not(.group) .name")


def choose(chromium: Browser, number: int, value: str) -> None:
    """Choose from one of the toolbar's lists."""
    chromium.script(
        """const list = document.querySelectorAll('.toolbar select')[arguments[0]];
        list.value = arguments[1]; list.dispatchEvent(new Event('change'));""",
        number,
        value,
    )
    chromium.settle()


def clock(rfc3339: str) -> str:
    """Return an instant of the JSON report as the page shows it, without its date."""
    return rfc3339[11:23]


# --- it is one file ---


def test_it_opens_without_errors_and_asks_nobody_for_anything(chromium: Browser, tmp_path: Path) -> None:
    path = write(night(), tmp_path, "zero-downtime", "service:nova <= 4.8s", "observed >= 50%")
    chromium.open(path)
    chromium.find(".row:not(.group)").click()
    chromium.settle()
    assert chromium.find(".details canvas").is_displayed()
    assert chromium.requests() == [path.as_uri()]
    assert chromium.errors() == []


def test_a_script_that_was_smuggled_in_would_not_run(chromium: Browser, tmp_path: Path) -> None:
    path = write(night(), tmp_path)
    smuggled = "<script>document.title = 'owned'</script><img src=http://127.0.0.1:9/x></main>"
    path.write_text(path.read_text().replace("</main>", smuggled), encoding="utf-8")
    chromium.open(path)
    assert chromium.driver.title != "owned"
    said = "\n".join(chromium.errors())
    assert "script-src" in said
    assert "img-src" in said or "default-src" in said


def test_verdicts_come_first(chromium: Browser, tmp_path: Path) -> None:
    chromium.open(write(night(), tmp_path, "zero-downtime", "service:nova <= 4.8s", "service:heat <= 0s"))
    shown = chromium.texts(".verdicts li b")
    assert shown == ["✗ FAIL", "? UNDECIDED", "✓ PASS"]
    assert chromium.find(".verdicts").rect["y"] < chromium.find(".tiles").rect["y"]
    assert "nova" in chromium.texts(".verdicts li.fail span")[0]


# --- figures ---


def test_hover_shows_the_figures_of_the_json_report(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, told = page
    (nova,) = (target for target in told["targets"] if target["name"] == "nova")
    (episode,) = nova["episodes"]
    row = chromium.find(".row[aria-label^='nova']")
    chromium.hover(row.find_element("css selector", ".down"))
    shown = chromium.find(".tooltip").text
    assert clock(episode["start"]) in shown
    assert clock(episode["end"]) in shown
    length, least, most = map(float, re.findall(r"down ([\d.]+) s \(([\d.]+)–([\d.]+)\)", shown)[0])
    assert length == pytest.approx(episode["duration_s"], abs=0.005)
    assert least == pytest.approx(episode["min_s"], abs=0.01)
    assert most == pytest.approx(episode["max_s"], abs=0.01)
    for cause, count in episode["causes"].items():
        assert f"{cause} {count}" in shown
    assert "[answers, works]" in shown


def test_hover_tells_slow_and_unobserved_time(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    chromium.hover(chromium.find(".row[aria-label^='nova'] .slow"))
    assert "slow" in chromium.find(".tooltip").text
    choose(chromium, 0, "anything")
    chromium.hover(chromium.find(".row[aria-label^='glance'] .unobserved"))
    shown = chromium.find(".tooltip").text
    assert "not observed: send" in shown
    assert moment(START_UTC_NS + ns(30))[11:] in shown


def test_bars_are_where_the_json_report_says(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, told = page
    for name in ("nova", "10.0.0.1", "10.0.0.2"):
        (target,) = (target for target in told["targets"] if target["name"] == name)
        outages = [outage for episode in target["episodes"] for outage in episode["outages"]]
        drawn = chromium.script(
            """const track = document.querySelector(`.row[aria-label^='${arguments[0]};'] .track`);
            const box = track.getBoundingClientRect();
            return [...track.querySelectorAll('.down')].map((bar) => bar.getBoundingClientRect())
                .map(({left, width}) => [(left - box.left) / box.width, width / box.width])""",
            name,
        )
        assert len(drawn) == len(outages)
        for (left, width), outage in zip(drawn, outages, strict=True):
            start_s = _seconds(outage["start"])
            assert left * 102 - 1 == pytest.approx(start_s, abs=0.2)  # one percent of 100 s on either side
            assert width * 102 == pytest.approx(outage["duration_s"], abs=0.2)


def test_what_was_not_observed_of_an_outage_is_not_drawn_as_down(chromium: Browser, tmp_path: Path) -> None:
    spans = [up(0, 10), down(10.5, 30), unknown(30.5, 70, causes="paused"), down(70.5, 90), up(90.5, 100)]
    chromium.open(write(MemoryReader(states=[service("nova")], the_spans=spans), tmp_path))
    shown = chromium.script(
        """const box = document.querySelector('.row:not(.group) .track').getBoundingClientRect();
        const at = (second) => document.elementFromPoint(
            box.left + box.width * (second + 1) / 102, box.top + box.height / 2).className;
        return [at(5), at(15), at(50), at(85), at(95)];"""
    )
    assert shown == ["seen", "down", "unobserved", "down", "seen"]
    chromium.hover(chromium.find(".row .unobserved:last-child"))
    told = chromium.find(".tooltip").text
    assert "down 80.0 s" in told
    assert "not observed then: paused" in told


def _seconds(rfc3339: str) -> float:
    minutes, seconds = rfc3339[14:-1].split(":")
    return int(minutes) * 60 + float(seconds) - (37 * 60 + 5.123)


def test_details_show_episodes_checks_phases_and_latencies(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, told = page
    chromium.find(".row[aria-label^='nova']").click()
    chromium.settle()
    text = chromium.find(".details").text
    assert "5.00 s" in text
    assert "nova: restart" in text
    assert "before the first mark" not in text  # it was not down then
    assert [cells.split(" ")[0] for cells in text.splitlines() if cells.startswith(("answers 1", "works"))]
    charts = chromium.driver.find_elements("css selector", ".latency")
    assert [chart.get_attribute("aria-label") for chart in charts] == [
        f"Latency of {check}: 2 ms to 400 ms, usually 53 ms" for check in ("answers", "works")
    ]
    assert all(chart.find_element("css selector", "canvas").size["width"] > 500 for chart in charts)
    assert len(told["targets"]) == 42


def test_a_service_without_latencies_says_so(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    choose(chromium, 0, "all")
    chromium.find(".row[aria-label^='heat']").click()
    chromium.settle()
    assert "No latencies are on record." in chromium.find(".details").text


# --- what is shown ---


def test_only_what_was_down_is_shown_and_the_rest_on_demand(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    assert names(chromium) == ["nova", "10.0.0.1", "10.0.0.2"]
    choose(chromium, 0, "silent")
    assert names(chromium) == ["10.0.0.3"]
    choose(chromium, 0, "anything")
    assert names(chromium) == ["glance", "nova", "10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert "2 of 3 services, 3 of 39 addresses; 37 are not shown" in chromium.find(".below").text
    chromium.find(".below button").click()
    chromium.settle()
    assert "3 of 3 services, 39 of 39 addresses" in chromium.find(".below").text
    assert names(chromium)[:3] == ["glance", "heat", "nova"]


def test_agents_are_counted_apart(chromium: Browser, tmp_path: Path) -> None:
    agent = Target(id=TargetId("agent/a"), kind=Kind.AGENT, name="nova-compute", host="n1")
    reader = MemoryReader(
        states=[service("nova"), TargetState(target=agent, discovered_ns=0, listed_ns=0)],
        the_spans=[up(0, 10), down(10.5, 20), up(20.5, 30), *steady("agent/a", up(0, 30))],
    )
    chromium.open(write(reader, tmp_path))
    assert "1 of 1 service, 0 of 1 agent; 1 is not shown" in chromium.find(".below").text


def test_the_filter_filters(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    choose(chromium, 0, "all")
    search = chromium.find(".toolbar input[type=search]")
    for words, expected in {
        "nova": ["nova"],
        "no-reply": ["10.0.0.2", "10.0.0.3"],
        "SHOP .39": ["10.0.0.39"],
        "nothing of ours": [],
    }.items():
        search.send_keys(Keys.CONTROL + "a" + Keys.NULL + words)
        chromium.settle()
        assert names(chromium) == expected
    search.send_keys(Keys.CONTROL + "a" + Keys.NULL + Keys.BACKSPACE)
    choose(chromium, 1, "service")
    assert names(chromium) == ["glance", "heat", "nova"]


def test_targets_are_sorted_in_groups_and_without(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    choose(chromium, 2, "downtime")
    assert names(chromium) == ["nova", "10.0.0.2", "10.0.0.1"]
    chromium.find(".toolbar input[type=checkbox]").click()
    chromium.settle()
    assert names(chromium) == ["10.0.0.2", "nova", "10.0.0.1"]
    choose(chromium, 2, "first")
    assert names(chromium) == ["10.0.0.1", "nova", "10.0.0.2"]
    choose(chromium, 2, "name")
    assert names(chromium) == ["nova", "10.0.0.1", "10.0.0.2"]


def test_a_group_closes_and_still_shows_its_outages(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    chromium.find(".row.group[aria-label^='Project']").click()
    chromium.settle()
    assert names(chromium) == ["nova"]
    for shown in ("outages", "all"):  # what never answered is no outage
        choose(chromium, 0, shown)
        closed = chromium.find(".row.group[aria-label^='Project']")
        assert closed.get_attribute("aria-expanded") == "false"
        assert len(closed.find_elements("css selector", ".down")) == 3
        assert closed.find_element("css selector", ".figure").text == "2 of 39 down"


# --- moving about ---


def span_of_view(chromium: Browser) -> str:
    """Return how much of the run is shown."""
    return chromium.find(".axis").find_element("xpath", "..").text.split(" shown")[0].split(", ")[-1]


def test_wheel_buttons_and_drag_zoom_and_pan(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    assert span_of_view(chromium) == "1 min 40.0 s"
    chromium.find("button[title='Zoom in']").click()
    chromium.settle()
    assert span_of_view(chromium) == "51.0 s"
    chromium.wheel(chromium.find(".axis"), -2)
    assert float(span_of_view(chromium).split()[0]) < 51
    before = chromium.texts(".times span")
    chromium.drag(chromium.find(".row[aria-label^='nova'] .track"), 200, -150)
    assert chromium.texts(".times span") != before
    chromium.find("button[title='Zoom out']").click()
    back = chromium.find(".zoom button:last-child")
    back.click()
    chromium.settle()
    assert span_of_view(chromium) == "1 min 40.0 s"
    assert not back.is_enabled()
    chromium.drag(chromium.find(".times"), 90, 0)
    assert float(span_of_view(chromium).split()[0]) < 15
    assert chromium.find(".details").is_displayed() is False  # a drag is no click


def test_ticks_are_readable_at_every_zoom(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    for _ in range(14):
        boxes = chromium.script(
            """return [...document.querySelectorAll('.times span')].map((one) => one.getBoundingClientRect())
                .map(({left, right}) => [left, right]).sort((a, b) => a[0] - b[0])"""
        )
        assert len(boxes) >= 2
        assert all(before[1] <= after[0] for before, after in pairwise(boxes))
        chromium.find("button[title='Zoom in']").click()
        chromium.settle()
    assert span_of_view(chromium) == "20 ms"


def test_everything_can_be_done_with_the_keyboard(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, told = page
    chromium.script("document.querySelector('.zoom button:nth-child(4)').focus()")
    chromium.keys(Keys.TAB)  # `Whole run` is disabled, so the tree is next
    focused = "return document.activeElement.className || document.activeElement.tagName"
    assert chromium.script(focused) == "tree"
    outline = "return getComputedStyle(document.querySelector('.row[aria-selected=true]')).outlineStyle"
    chromium.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert chromium.script(outline) == "solid"
    active = "return document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
    assert chromium.script(f"{active}.ariaLabel").startswith("10.0.0.1; down")
    chromium.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    (target,) = (target for target in told["targets"] if target["name"] == "10.0.0.1")
    second = target["episodes"][0]["outages"][1]
    said = chromium.script("return document.querySelector('.said').textContent")
    assert said.startswith("2 of 2: down 1.00 s")
    assert clock(second["start"]) in said
    assert clock(second["start"]) in chromium.find(".tooltip").text
    chromium.keys("+")
    assert span_of_view(chromium) != "100 s"
    chromium.keys("0")
    assert span_of_view(chromium) == "1 min 40.0 s"
    chromium.keys(Keys.ENTER)
    assert chromium.find(".details h3").text.startswith("10.0.0.1")
    assert chromium.script(focused) == "H3"
    chromium.keys(Keys.ESCAPE)
    assert chromium.script(focused) == "tree"
    assert not chromium.find(".details").is_displayed()
    chromium.keys(Keys.TAB)
    assert chromium.script(focused) != "tree"  # no trap


def test_times_are_utc_or_local(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    chromium.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    try:
        assert chromium.texts(".times span")[0].startswith("16:37")
        utc, _ = chromium.driver.find_elements("css selector", ".settings button")
        utc.click()
        chromium.settle()
        assert chromium.texts(".times span")[0].startswith("01:37")  # the next day
        assert "2026-11-23 local time" in chromium.find(".axis").find_element("xpath", "..").text
    finally:
        chromium.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


# --- how it looks ---


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(chromium: Browser, tmp_path: Path, scheme: str) -> None:
    chromium.emulate(scheme=scheme)
    path = write(night(), tmp_path, "zero-downtime", "service:nova <= 4.8s", "service:heat <= 0s")
    chromium.open(path)
    chromium.find(".row[aria-label^='nova']").click()
    chromium.settle()
    contrasts = chromium.script(CONTRASTS)
    assert len(contrasts) > 50
    assert [(text, ratio) for text, ratio in contrasts if ratio < 4.5] == []
    chromium.resize(1300, 2400)
    chromium.picture(scheme)
    chromium.resize(400, 2400)
    assert chromium.script("return document.documentElement.scrollWidth") <= 400
    chromium.picture(f"narrow-{scheme}")
    chromium.resize(1300, 900)
    chromium.emulate()


CONTRASTS = """
const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const parse = (colour) => {
  const context = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d');
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
};
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => (value * a + below[i] * (255 - a)) / 255);
const behind = (element) => {
  const layers = [];
  for (let one = element; one; one = one.parentElement) {
    layers.unshift(parse(getComputedStyle(one).backgroundColor));
  }
  return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
};
return [...document.querySelectorAll('main *')].filter((element) =>
  element.checkVisibility() && !element.disabled && element.tagName !== 'OPTION'
  && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
).map((element) => {
  const [fore, back] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
  const name = `${element.tagName}.${element.className}: ${element.textContent.slice(0, 40)}`;
  return [name, (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05)];
});
"""
"""The contrast of every text to what is behind it, as the WCAG count it."""


def test_theme_is_chosen_and_kept(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    background = "return getComputedStyle(document.body).backgroundColor"
    _, theme = chromium.driver.find_elements("css selector", ".settings button")
    seen = []
    for _ in range(3):
        seen.append((theme.text, chromium.script(background)))
        theme.click()
        chromium.settle()
    white = "rgb(255, 255, 255)"
    assert [text for text, _ in seen] == ["Theme: system", "Theme: light", "Theme: dark"]
    assert [colour == white for _, colour in seen] == [True, True, False]
    assert theme.text == "Theme: system"


def test_it_prints_light_and_whole(page: tuple[Browser, dict[str, Any]]) -> None:
    chromium, _ = page
    chromium.emulate(scheme="dark")
    chromium.pdf("printed")
    assert chromium.find(".tables").get_attribute("open")  # what was printed had the table
    chromium.emulate(scheme="dark", media="print")
    assert chromium.script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not chromium.find(".toolbar").is_displayed()
    assert "38 addresses by icmp: " in chromium.find("main").text
    chromium.resize(1050, 1400)
    chromium.picture("print")


def test_without_scripts_it_is_a_table(chromium: Browser, tmp_path: Path) -> None:
    path = write(night(), tmp_path)
    chromium.allow_scripts(allowed=False)
    try:
        chromium.driver.get(path.as_uri())
        text = chromium.find("#table").text
        assert chromium.find("#targets").is_displayed()
        assert not chromium.find("#timeline").is_displayed()
        assert "38 addresses by icmp: " in chromium.find("main").text
        chromium.picture("without-script")
    finally:
        chromium.allow_scripts(allowed=True)
    text_report = "".join(report.render(night(), "text"))
    (downtime,) = re.findall(r"Service nova: down (.*) in 1 episode", text_report)
    assert f"{downtime}, 5.0 %" in text
    (times,) = re.findall(r"by check.*\n *(.{38}?)  ", text_report)
    assert times.strip() in text
    assert "no-reply 60" in text
    assert "36 addresses up all the time" in text


def test_hostile_texts_are_shown_and_do_nothing(chromium: Browser, tmp_path: Path) -> None:
    states: list[TargetState] = [service(text, id=f"service:{i}") for i, text in enumerate(HOSTILE)]
    reader = MemoryReader(
        states=states,
        the_spans=[
            span
            for i in range(len(HOSTILE))
            for span in steady(f"service:{i}", up(0, 10), down(10.5, 20, causes=HOSTILE[i]), up(20.5, 30))
        ],
        the_run=replace(RUN, label=HOSTILE[0], vantage=HOSTILE[1]),
        the_marks=[Mark(at_ns=ns(i), text=text) for i, text in enumerate(HOSTILE)],
        the_events=[Event(at_ns=1, kind="restart", text=text) for text in HOSTILE],
        the_notes=list(HOSTILE),
    )
    chromium.open(write(reader, tmp_path))
    assert chromium.driver.title.startswith("downtimer: </script>")
    shown = names(chromium)
    assert len(shown) == len(HOSTILE)
    for expected in (*HOSTILE[:4], "right\\u202eto-left שלום", "line\\u2028separator\\x0abreak\\x1b[31m"):
        assert expected in shown
    for row in range(1, len(HOSTILE) + 1):
        chromium.script("document.querySelectorAll('.row')[arguments[0]].click()", row)
        chromium.settle()
    assert chromium.script("return document.querySelectorAll('main img, main script').length") == 0
    assert chromium.errors() == []
    chromium.resize(1300, 1600)
    chromium.picture("hostile")
    chromium.resize(1300, 900)


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_run_with_nothing_to_see_is_a_page(chromium: Browser, tmp_path: Path, *, is_empty: bool) -> None:
    reader = MemoryReader() if is_empty else MemoryReader(states=[service("nova")], the_spans=[up(0, 30)])
    chromium.open(write(reader, tmp_path))
    assert names(chromium) == ([] if is_empty else ["nova"])
    chromium.script("document.querySelector('.tree').focus()")
    chromium.keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ENTER, "+")
    assert chromium.errors() == []


def test_ten_thousand_targets_make_a_small_page_that_is_usable_soon(
    chromium: Browser, tmp_path: Path
) -> None:
    journal, path = tmp_path / "day.sqlite", tmp_path / "day.html"
    Day(Size(addresses=10_000, outages=20_000)).write(journal)
    with contextlib.closing(JournalReader(str(journal))) as reader:
        path.write_text("".join(report.render(reader, "html")), encoding="utf-8")
    assert path.stat().st_size <= SIZE_MAX
    chromium.open(path)
    usable_s = chromium.script(USABLE) / 1000
    print(f"{path.stat().st_size / 1e6:.1f} MB, usable after {usable_s:.2f} s")  # noqa: T201 - the figure
    assert usable_s < USABLE_MAX_S
    assert chromium.script("return document.querySelectorAll('.row').length") < 100
    chromium.picture("ten-thousand")
    search = chromium.find(".toolbar input[type=search]")
    last = names(chromium)[-1]
    search.send_keys(last)
    chromium.settle()
    assert names(chromium)[0] == last
    search.send_keys(Keys.CONTROL + "a" + Keys.NULL + Keys.BACKSPACE)
    chromium.script("document.querySelector('.tree').focus()")
    chromium.keys(Keys.END)
    assert chromium.find(".row[aria-selected=true] .name").text.startswith("10.0.39.")
    assert chromium.errors() == []
