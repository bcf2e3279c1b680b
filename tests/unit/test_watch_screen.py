"""What a watch draws: the right things, never more rows than the terminal has, and no text of others' raw."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from downtimer.watch.rooms import share
from downtimer.watch.screen import Away, render
from tests.unit.status_answers import answer, counts, failing, service

AWAY = Away(datetime(2026, 11, 26, 2, 14, 5, tzinfo=UTC), "downtimer is not running")


def drawn(shown: dict[str, Any], *, away: Away | None = None, columns: int = 80, rows: int = 24) -> list[str]:
    """Return the lines on a terminal of that size."""
    out = io.StringIO()
    Console(file=out, width=columns, height=rows, force_terminal=False).print(
        render(shown, away, rows, columns)
    )
    return [line.rstrip() for line in out.getvalue().splitlines()]


def many_down(number: int) -> dict[str, Any]:
    """Return an answer with so many addresses down, of which a thousand are named at most."""
    down = [
        failing(f"address/10.0.{index // 256}.{index % 256}", "icmp", "no-reply") for index in range(number)
    ]
    targets = {"service": counts(up=1), "address": counts(up=3, down=number), "agent": counts()}
    return answer(targets=targets, down=down[:1000], more_down=max(number - 1000, 0))


def test_a_service_that_is_down_has_its_beginning_causes_and_checks() -> None:
    shown = answer(
        services=[
            service("nova", "down", failing("service/nova"), failing("service/nova", "works")),
            service("glance"),
        ]
    )
    lines = drawn(shown)
    (nova,) = [line for line in lines if line.startswith("nova")]
    assert nova.split() == ["nova", "down", "02:11:00", "16.2", "s", "refused", "(answers,", "works)"]
    (glance,) = [line for line in lines if line.startswith("glance")]
    assert glance.split() == ["glance", "up", "12", "ms"]
    assert lines.index(glance) < lines.index(nova)  # there is room for all: each has its place


def test_regions_are_named_where_there_are_several() -> None:
    lines = drawn(answer(services=[service("nova", region="One"), service("nova", region="Two")]))
    assert [line.split()[:2] for line in lines if line.startswith("nova")] == [
        ["nova", "(One)"],
        ["nova", "(Two)"],
    ]


def test_of_many_addresses_those_are_shown_for_which_there_is_room_and_the_rest_is_counted() -> None:
    lines = drawn(many_down(5000))
    shown = [line for line in lines if line.startswith("10.0.")]
    assert f"… and {5000 - len(shown)} more that are down, for less long" in lines
    assert len(shown) > 5
    assert len(lines) == 24


def test_when_there_is_little_room_services_that_are_not_up_come_first() -> None:
    services = [service("zaqar", "down", failing("service/zaqar"))]
    services += [service(f"ironic-{number}") for number in range(40)]
    lines = drawn(answer(services=services))
    assert lines[5].startswith("zaqar")
    assert "more services" in lines[-3]


def test_paused_starting_ending_and_an_ill_daemon_are_said() -> None:
    process = {"name": "api", "state": "fatal", "pid": None, "restarts": 3, "reason": "no such\x1b[2J file"}
    shown = answer(
        paused="2026-11-26T02:11:10.000000Z",
        starting=True,
        ending=True,
        processes=[process],
        marks=[{"at": "2026-11-26T02:10:30.000000Z", "text": "step\x07 one"}],
        influxdb=answer()["influxdb"] | {"state": "failing", "backlog": 7, "error": "InfluxDB: refused"},
        references={"answered": 2, "down": 2},
        dropped=4,
    )
    text = "\n".join(drawn(shown))
    for said in (
        "Paused since 02:11:10",
        "just being started",
        "being ended",
        "The references fail, too",
        "0 of 1 processes, 3 restarts",
        "Services        1  1 up",
        "; 4 dropped; influxdb failing, 7 wait; ",
        "api: fatal: no such\\x1b[2J file",
        "InfluxDB: refused",
        "02:10:30  step\\x07 one",
    ):
        assert said in text


def paused(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the answer of a daemon that was told to pause."""
    writer, *others = reversed(answer()["processes"])
    ended = [process | {"state": "ended", "pid": None, "beat_age_s": None} for process in reversed(others)]
    return answer(
        paused="2026-11-26T02:11:10.000000Z",
        processes=[*ended, writer],
        targets={"service": counts(unseen=8), "address": counts(unseen=20), "agent": counts()},
        services=[service(f"s{number}", "unseen") for number in range(8)],
        **given,
    )


MARKS = [{"at": f"2026-11-26T02:10:3{number}.000000Z", "text": f"step {number}"} for number in range(5)]

DOWN = [service(f"s{number}", "down", failing(f"service/s{number}")) for number in range(8)]


def test_what_is_paused_does_not_look_broken() -> None:
    lines = drawn(paused())
    assert lines[1:3] == ["Services        8  8 paused", "Addresses      20  20 paused"]
    assert [line.split() for line in lines if line.startswith("s0")] == [["s0", "paused"]]
    assert lines[-2].startswith("daemon: 1 of 4 processes, the others rest, 0 restarts; ")
    assert not any("unseen" in line or "ended" in line for line in lines)


@pytest.mark.parametrize("rows", range(7, 30))
@pytest.mark.parametrize("shown", [paused(marks=MARKS), answer(marks=MARKS, services=DOWN)])
def test_marks_are_shown_or_counted(rows: int, shown: dict[str, Any]) -> None:
    lines = drawn(shown, rows=rows)
    seen = sum("  step " in line for line in lines)
    counted = [int(line.split()[-3]) for line in lines if line.endswith("more marks")]
    counted += [int(line.split()[0]) for line in lines if "marks not shown" in line]
    assert seen + sum(counted) == len(MARKS)
    assert len(lines) == rows


def test_in_a_narrow_terminal_latency_goes_before_what_tells_of_an_outage() -> None:
    services = [service("keystone", "down", failing("service/keystone")), service("nova")]
    shown = many_down(2) | {"services": services}
    lines = drawn(shown, columns=40)
    assert "Service   state  for     why" in lines
    (keystone,) = [line for line in lines if line.startswith("keystone")]
    assert keystone == "keystone  down   16.2 s  refused (answe…"
    assert "10.0.0.0    02:11:00  16.2 s  no-reply …" in lines
    (keystone,) = [line for line in drawn(shown, columns=48) if line.startswith("keystone")]
    assert keystone.split()[:5] == ["keystone", "down", "02:11:00", "16.2", "s"]
    (nova,) = [line for line in drawn(shown, columns=60) if line.startswith("nova")]
    assert nova.split() == ["nova", "up", "12", "ms"]
    assert "Service  state  latency  why" in drawn(answer(), columns=28)


def test_a_long_name_leaves_room_for_how_it_stands() -> None:
    name = "a-service-of-a-very-long-name-that-goes-on-and-on"
    lines = drawn(answer(services=[service(name, "down", failing(f"service/{name}"))]), columns=40)
    (line,) = [line for line in lines if line.startswith("a-serv")]
    assert "…  down   16.2 s  refused" in line


def test_a_daemon_that_went_away_is_said_above_the_last_picture() -> None:
    lines = drawn(answer(), away=AWAY)
    assert "No answer since 02:14:05: downtimer is not running" in lines[3]
    assert any(line.startswith("nova") for line in lines)


def test_markup_in_names_is_text() -> None:
    shown = answer(services=[service("[bold]nova[/bold]")], run=answer()["run"] | {"label": "[red]x"})
    text = "\n".join(drawn(shown))
    assert "[bold]nova[/bold]" in text
    assert "[red]x" in text


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10), (20, 8), (200, 60)])
@pytest.mark.parametrize("number", [0, 1, 3000])
def test_it_fits_the_terminal(columns: int, rows: int, number: int) -> None:
    lines = drawn(many_down(number) | {"services": [service("nova")] * 12}, columns=columns, rows=rows)
    assert len(lines) == rows
    assert all(len(line) <= columns for line in lines)


@given(
    free=st.integers(-5, 80),
    unwell=st.integers(0, 50),
    up=st.integers(0, 50),
    addresses=st.integers(0, 100),
    marks=st.integers(0, 5),
)
def test_rows_are_shared_out_and_no_more(free: int, unwell: int, up: int, addresses: int, marks: int) -> None:
    room = share(free, unwell=unwell, services=unwell + up, addresses=addresses, marks=marks)
    used = room.services + room.addresses + (room.marks + 2 if room.marks else 0)
    assert used + room.spare == max(free, 0)
    assert min(room) >= 0
    assert room.services <= unwell + up + 2
    assert room.addresses <= addresses + 2
    if unwell and free >= 9:
        assert room.services
    if addresses and free >= 9:
        assert room.addresses
