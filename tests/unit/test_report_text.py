"""The text report: the lines that scripts parse, and the sections that people read."""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from downtimer.assertions import parse
from downtimer.errors import ConfigError, DowntimerError
from downtimer.model import SECOND_NS, Event, Kind, Mark, Span, TargetId, TargetState, Verdict
from downtimer.pauses import PAUSE
from downtimer.report import render, wording
from downtimer.report.output import check_output, write_atomically
from downtimer.report.wording import REASONS
from downtimer.verdicts import CAUSES
from tests.unit import hostile
from tests.unit.runs import RUN, MemoryReader, address, down, ns, service, slow, unknown, up


def report(*spans: Span, states: list[TargetState], **more: list[str]) -> str:
    """Return the report on a run of these targets and spans."""
    return "".join(render(MemoryReader(states=states, the_spans=spans, the_notes=more.get("notes", []))))


def lines(text: str) -> list[str]:
    """Return the lines that scripts parse: those before the first blank one."""
    return text.split("\n\n", maxsplit=1)[0].splitlines()


def section(text: str, title: str) -> list[str]:
    """Return the lines of the section whose first line begins with `title`."""
    (found,) = [part.splitlines() for part in text.split("\n\n") if part.startswith(title)]
    return found[1:]


def icmp(name: str, *spans: Span) -> list[Span]:
    """Return the spans as those of an address."""
    return [structs.replace(span, target=address(name).target.id, check="icmp") for span in spans]


def named(name: str, *spans: Span) -> list[Span]:
    """Return the spans as those of a service."""
    return [structs.replace(span, target=service(name).target.id) for span in spans]


def test_lines_of_the_contract_to_the_letter() -> None:
    text = report(
        *named("nova", up(0, 99.75), down(100.25, 115.75), up(116.25, 34_000)),
        *icmp("172.16.166.151", up(0, 3240), down(3240, 34_095)),
        states=[service("nova"), address("172.16.166.151")],
    )
    assert lines(text) == [
        "Service nova was down approximately 16 seconds which is 0.0% of total uptime",
        "Address 172.16.166.151 was unreachable approximately 30855.0 second which is 90.5% of total uptime",
    ]


def test_lines_come_while_targets_are_read() -> None:
    read: list[str] = []

    class Watched(MemoryReader):
        def with_spans(self, targets: Iterable[TargetId]) -> Iterator[tuple[TargetState, list[Span]]]:
            for state, spans in super().with_spans(targets):
                read.append(state.target.name)
                yield state, spans

    states = [address(f"10.0.0.{number}") for number in range(1, 100)]
    pieces = render(Watched(states=states))
    assert [next(pieces).split()[1] for _ in range(2)] == ["10.0.0.1", "10.0.0.2"] == read


def test_services_come_by_name_then_addresses_by_number_with_ipv4_first() -> None:
    names = ["10.0.0.10", "10.0.0.9", "2001:db8::1", "9.255.255.255"]
    states = [*(address(name) for name in names), service("nova"), service("cinder"), service("heat-cfn")]
    assert [line.split()[1] for line in lines(report(states=states))] == [
        *("cinder", "heat-cfn", "nova"),
        *("9.255.255.255", "10.0.0.9", "10.0.0.10", "2001:db8::1"),
    ]


@pytest.mark.parametrize("odd", ["10.0.0.1\0", "\udcff", "fe80::1%eth0", "", "1.2.3.4/8", "010.0.0.1"])
def test_address_that_is_none_comes_last_whatever_it_is(odd: str) -> None:
    names = (odd, "10.0.0.9")
    shown = report(
        *(one for name in names for one in icmp(name, up(0, 10))), states=[address(name) for name in names]
    )
    assert lines(shown)[0].startswith("Address 10.0.0.9 was")


@pytest.mark.parametrize(("length", "shown"), [(0.49, "0"), (0.5, "1"), (1.5, "2"), (2.5, "3")])
def test_seconds_of_services_are_rounded_halves_up(length: float, shown: str) -> None:
    assert wording.whole_seconds(ns(length)) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(1, 2000, "0.1"), (1, 2001, "0.0"), (1, 1, "100.0"), (1, 3, "33.3"), (0, 0, "0.0")],
)
def test_percentages_are_rounded_halves_up_and_zero_of_nothing(part: int, whole: int, shown: str) -> None:
    assert wording.percent(part, whole) == shown


def test_name_with_several_regions_carries_its_region_everywhere() -> None:
    states = [service("nova"), service("nova", "RegionTwo", id="service:nova2"), service("glance")]
    text = report(down(0, 5), states=states)
    assert [line.split(" was ")[0] for line in lines(text)] == [
        "Service glance",
        "Service nova (RegionOne)",
        "Service nova (RegionTwo)",
    ]
    assert section(text, "Outages")[0].startswith("  Service nova (RegionOne): down")


def test_same_name_in_the_same_region_carries_its_url() -> None:
    states = [
        service("nova", url="http://a/"),
        service("nova", url="http://b/", id="service:nova-b"),
        service("nova", "RegionTwo", url="http://c/", id="service:nova-c"),
    ]
    assert [line.split(" was ")[0] for line in lines(report(states=states))] == [
        "Service nova (RegionOne, http://a/)",
        "Service nova (RegionOne, http://b/)",
        "Service nova (RegionTwo)",
    ]


def test_same_url_under_two_interfaces_carries_the_interface() -> None:
    states = [service("nova"), service("nova", id="service:nova-internal", interface="internal")]
    names = {line.split(" was ")[0] for line in lines(report(states=states))}
    assert names == {"Service nova (public)", "Service nova (internal)"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", r"a\x0ab"),
        ("a\x1b[31mb\x7f", r"a\x1b[31mb\x7f"),
        ("a\x85\x9bb", r"a\x85\x9bb"),
        ("a\u2028\u202eb", r"a\u2028\u202eb"),
        ("a\udcffb", r"a\udcffb"),
        ("Zürich", "Zürich"),
    ],
)
def test_what_could_forge_a_line_is_shown_escaped(name: str, shown: str) -> None:
    text = report(down(0, 5), states=[service(name, id="service:nova")])
    assert lines(text)[0].startswith(f"Service {shown} was down")
    assert name not in text or name == shown


def test_references_are_named_in_the_head_only() -> None:
    gateway, silent = address("10.0.0.1", reference=True), address("10.0.0.2", reference=True)
    spans = [
        structs.replace(up(0, 60), target=gateway.target.id, check="icmp"),
        structs.replace(down(0, 60), target=silent.target.id, check="icmp"),
    ]
    text = report(*spans, states=[service("nova"), gateway, silent])
    assert section(text, "Run 20261122T163705-1234")[1:3] == [
        "  reference 10.0.0.1",
        "  reference 10.0.0.2 (never answered: it can't prove this host's own link)",
    ]
    assert text.count("10.0.0.") == 2


def test_head_says_what_was_measured_from_where_and_when() -> None:
    text = report(up(0, 60), states=[service("nova"), address("10.0.0.9")])
    assert section(text, "Run 20261122T163705-1234") == [
        "  vantage   deploy01",
        "  start     2026-11-22 16:37:05.123 UTC",
        "  end       2026-11-22 16:38:45.123 UTC",
        "  length    1 min 40.0 s",
        "  targets   1 service, 1 address; none with outages",
        "  measured  1 min 0.0 s each, first to last probe; percentages are of what was observed",
    ]


def test_head_of_a_run_in_progress_says_what_the_figures_count_to() -> None:
    run = replace(RUN, end_ns=None, label="kolla 2026.1")
    text = "".join(render(MemoryReader(states=[service("nova")], the_spans=[up(0, 60)], the_run=run)))
    assert "  label     kolla 2026.1" in text
    assert "  end       not yet (running, or cut off); figures count to 2026-11-22 16:38:05.123 UTC" in text
    assert "  length    1 min 0.0 s" in text


def test_head_of_an_interrupted_run_says_so() -> None:
    run = replace(RUN, interrupted=True)
    assert "16:38:45.123 UTC (interrupted)" in "".join(render(MemoryReader(the_run=run)))


def test_run_without_targets_says_that_nothing_was_found() -> None:
    text = report(states=[])
    assert text.startswith("\nRun ")
    assert "  targets   none: nothing was found to measure" in text


def test_episode_is_one_row_with_times_bounds_share_and_causes() -> None:
    text = report(
        up(0, 10),
        down(10.5, 26.5, causes={"refused": 30}),
        up(27, 60),
        states=[service("nova")],
    )
    assert section(text, "Outages") == [
        "  Service nova: down 16.5 s (16.0–17.0) in 1 episode",
        "    2026-11-22 16:37:15.373 – 16:37:31.873  16.5 s (16.0–17.0)      100.0 % failed  refused 30",
    ]


def test_causes_of_an_episode_come_with_their_counts_the_most_frequent_first() -> None:
    text = report(
        up(0, 10), down(10.5, 26, causes={"http-503": 3, "refused": 1200}), states=[service("nova")]
    )
    assert section(text, "Outages")[1].endswith("refused 1,200, http-503 3")


def test_target_without_outages_is_in_no_outage_section() -> None:
    assert "Outages" not in report(up(0, 60), states=[service("nova")])


def test_episode_of_several_outages_says_how_many_and_how_much() -> None:
    spans = [up(0, 9.5), down(10, 11), up(11.5, 14), down(14.5, 16), up(16.5, 60)]
    row, remark = section(report(*spans, states=[service("nova")]), "Outages")[1:]
    assert "6.50 s (6.00–7.00)" in row
    assert "53.8 % failed" in row
    assert remark == "      2 outages in it, together down 3.50 s (2.50–4.50)"


def test_episode_past_midnight_shows_the_date_of_its_end() -> None:
    text = report(up(0, 26_000), down(26_000, 27_000), up(27_000, 27_100), states=[service("nova")])
    assert "2026-11-22 23:50:25.123 – 2026-11-23 00:07:05.123" in text


def test_ongoing_outage_is_said_to_be() -> None:
    reader = MemoryReader(
        states=[service("nova")], the_spans=[up(0, 10), down(10.5, 30)], the_run=replace(RUN, end_ns=None)
    )
    text = "".join(render(reader))
    row, remark = section(text, "Outages")[1:]
    assert "16:37:15.373 – ongoing" in row
    assert remark == "      not ended when last seen at 2026-11-22 16:37:35.123"


def test_outage_that_outlasts_the_run_is_not_called_ongoing() -> None:
    text = report(up(0, 10), down(10.5, 30), states=[service("nova")])
    assert "16:37:15.373 – not ended" in section(text, "Outages")[1]


def test_file_that_told_of_no_end_is_neither_running_nor_cut_off() -> None:
    reader = MemoryReader(
        states=[service("nova")],
        the_spans=[up(0, 10), down(10.5, 30)],
        the_run=replace(RUN, end_ns=None, vantage=""),
        is_followed=False,
    )
    for form in ("text", "markdown", "html"):
        told = "".join(render(reader, form))
        assert "no end was given; figures count to 2026-11-22 16:37:35.123 UTC" in told
        assert "not ended" in told
        for word in ("running", "ongoing</", "– ongoing", "vantage  ", "Measured from"):
            assert word not in told.split("<script>")[-2 if form == "html" else 0], (form, word)


def test_unobserved_time_is_said_of_a_target_that_never_answered_too() -> None:
    text = report(down(0, 10), down(12, 30, life=2), states=[service("nova")])
    assert section(text, "Outages")[2] == "      never answered; 2.00 s of it not observed"


def test_edges_that_were_not_seen_are_said_with_their_limits() -> None:
    spans = [up(0, 10), unknown(10.5, 11), down(11.5, 20, life=1), down(21, 25, life=2), up(26, 60, life=3)]
    remark = section(report(*spans, states=[service("nova")]), "Outages")[2]
    assert remark == (
        "      start not seen: 2026-11-22 16:37:15.123 at the earliest"
        "; end not seen: 2026-11-22 16:37:31.123 at the latest; 1.00 s of it not observed"
    )


def test_outage_under_way_at_the_first_probe_is_said_to_be() -> None:
    text = report(down(0, 10), up(10.5, 60), states=[service("nova")])
    assert "start not seen: under way when first observed" in text


def test_checks_that_failed_are_shown_where_a_target_has_several() -> None:
    spans = [up(0, 60), up(0, 20, check="works"), down(20.5, 30, check="works"), up(30.5, 60, check="works")]
    _, shares, row = section(report(*spans, states=[service("nova")]), "Outages")
    assert shares == "    by check: answers 0.00 s, works 10.0 s"
    assert row.endswith("refused 20  [works]")


def test_slow_time_has_a_section_of_its_own() -> None:
    text = report(up(0, 10), slow(10.5, 20), up(20.5, 60), states=[service("nova")])
    assert section(text, "Slow") == ["  Service nova: 10.0 s, 16.7 %"]


def test_address_that_never_answered_keeps_its_line_and_gets_the_hint() -> None:
    text = report(*icmp("10.0.0.9", down(0, 60, causes="no-reply")), states=[address("10.0.0.9")])
    assert lines(text) == [
        "Address 10.0.0.9 was unreachable approximately 60.0 second which is 100.0% of total uptime"
    ]
    assert section(text, "Never answered")[0] == "  Address 10.0.0.9"
    assert "security group" in text


def test_unobserved_time_is_gathered_by_cause_with_the_most_affected_first() -> None:
    names = [f"10.0.0.{i}" for i in range(1, 7)]
    spans = [
        span
        for i, name in enumerate(names)
        for span in icmp(name, up(0, 10, life=1), up(11 + i / 4, 60, life=2))
    ]
    text = report(*spans, states=[address(name) for name in names])
    assert section(text, "Not observed") == [
        "  restart: downtimer, or a process of it, was not running",
        "    1.00 s to 2.25 s on each of 6 addresses: 10.0.0.6, 10.0.0.5, 10.0.0.4, 10.0.0.3, …",
    ]


def test_unobserved_time_of_one_target_names_it() -> None:
    text = report(up(0, 10), unknown(10.5, 12), up(12.5, 60), states=[service("nova")])
    assert section(text, "Not observed") == ["  send: this host could not send", "    2.50 s  Service nova"]


def test_target_of_which_nothing_was_observed_says_so() -> None:
    text = report(unknown(0, 60), states=[service("nova"), address("10.0.0.9")])
    assert lines(text)[0] == "Service nova was down approximately 0 seconds which is 0.0% of total uptime"
    assert section(text, "Not observed")[2:] == [
        "  Service nova: nothing was observed, no probe gave a verdict",
        "  Address 10.0.0.9: nothing was observed, not probed",
    ]


def test_every_cause_of_not_observing_is_explained() -> None:
    assert set(REASONS) == {cause for cause, verdict in CAUSES.items() if verdict is Verdict.UNKNOWN}


def test_retired_address_says_until_when_it_was_measured() -> None:
    text = report(
        *icmp("10.0.0.8", up(0, 60, every=0.2)),
        states=[
            address("10.0.0.8", missing=30, retired=60),
            address("10.0.0.9", missing=30, retired=60),
            address("10.0.0.7"),
        ],
    )
    assert section(text, "Retired") == [
        "  Address 10.0.0.8: until 2026-11-22 16:37:35.123",
        "  Address 10.0.0.9: not at all",
    ]


def test_blind_vantage_is_nobodys_downtime_and_said() -> None:
    gateway = address("10.0.0.254", reference=True)
    gateway_spans = [
        structs.replace(span, target=gateway.target.id)
        for span in icmp("", up(0, 10, every=0.2), down(10.2, 15, every=0.2), up(15.2, 60, every=0.2))
    ]
    text = report(
        *gateway_spans,
        *icmp(
            "10.0.0.9",
            up(0, 9.9, every=0.2),
            down(10.1, 15.1, every=0.2, causes="no-reply"),
            up(15.3, 60, every=0.2),
        ),
        states=[gateway, address("10.0.0.9")],
    )
    assert lines(text)[0].startswith("Address 10.0.0.9 was unreachable approximately 0.0 second")
    assert section(text, "Not observed") == [
        "  vantage: this host's own link was down: the references failed, and most else with them",
        "    5.40 s  Address 10.0.0.9",
    ]


def test_check_that_saw_less_than_the_others_states_what_it_did_not_see() -> None:
    spans = [
        up(0, 60),
        up(0, 10, check="works"),
        unknown(10.5, 39.5, check="works"),
        up(40, 60, check="works"),
    ]
    text = report(*spans, states=[service("nova")])
    assert section(text, "Not observed by one check") == ["  Service nova, check works: 30.0 s (send)"]


def test_resolution_is_stated_per_class_of_check() -> None:
    text = report(
        *named("nova", up(0, 60)),
        *named("glance", up(0, 60)),
        *icmp("10.0.0.9", up(0, 60, every=0.2)),
        *icmp("10.0.0.8", up(0, 60, every=0.2)),
        *icmp("10.0.0.7", up(0, 60, every=1)),
        states=[service("nova"), service("glance"), *(address(f"10.0.0.{i}") for i in (7, 8, 9))],
    )
    assert section(text, "Resolution") == [
        "  2 services by answers: 0.50 s",
        "  3 addresses by icmp: 1.00 s at worst, usually 0.20 s",
    ]


def test_marks_events_and_notes_have_their_sections() -> None:
    reader = MemoryReader(
        states=[service("nova")],
        the_marks=[Mark(at_ns=ns(1), text="nova\x07")],
        the_events=[Event(at_ns=ns(2), kind="restart", text="icmp was restarted")],
        the_notes=["12 points are not delivered yet"],
    )
    text = "".join(render(reader))
    (_, before, row) = section(text, "By phase")
    assert before.endswith("  (before the first mark)")
    assert row.startswith("  2026-11-22 16:37:06.123 ")
    assert row.endswith(r"  nova\x07")
    assert section(text, "Events") == ["  2026-11-22 16:37:07.123  restart   icmp was restarted"]
    assert section(text, "Missing") == ["  12 points are not delivered yet"]


def test_bounds_are_rounded_outwards() -> None:
    assert wording.bounded(ns(16.24), ns(15.99), ns(16.41)) == "16.2 s (15.9–16.5)"
    assert wording.bounded(ns(0.004), ns(0.001), ns(0.011)) == "0.00 s (0.00–0.02)"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(5, "5.0 s"), (65.04, "1 min 5.0 s"), (36_000, "10 h 0 min 0.0 s")]
)
def test_long_lengths_are_in_hours_and_minutes(seconds: float, shown: str) -> None:
    assert wording.length(ns(seconds)) == shown


def test_instants_are_rounded_to_what_is_shown() -> None:
    assert wording.moment(1_795_365_425 * SECOND_NS + 999_500_000) == "2026-11-22 16:37:06.000"
    assert wording.rfc3339(1_795_365_425 * SECOND_NS + 500) == "2026-11-22T16:37:05.000001Z"


def test_written_report_replaces_the_old_one_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "downtimer.report"
    path.write_text("old")
    write_atomically(path, ["new ", "–\n"])
    assert path.read_text(encoding="utf-8") == "new –\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_report_that_breaks_midway_leaves_the_old_one_and_no_debris(tmp_path: Path) -> None:
    def break_midway() -> Iterator[str]:
        yield "half"
        raise DowntimerError("the journal is gone")

    path = tmp_path / "downtimer.report"
    path.write_text("old")
    with pytest.raises(DowntimerError, match="the journal is gone"):
        write_atomically(path, break_midway())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_link_stays_a_link_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", ["new"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_device_is_written_to_not_replaced() -> None:
    write_atomically(Path("/dev/null"), ["new"])
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("path", ["missing/report", "."])
def test_report_that_can_not_be_written_is_one_clear_line(tmp_path: Path, path: str) -> None:
    with pytest.raises(DowntimerError, match=r"^cannot write the report .*: (No such file|Is a) [^\n]*$"):
        write_atomically(tmp_path / path, ["new"])


@pytest.mark.parametrize("path", ["missing/report", ".", "", "file/report", "loop", "a\0b"])
def test_output_that_can_not_be_written_is_known_before_and_nothing_is_left(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"^--output .*: cannot be written: [^\n]+$"):
        check_output(str(tmp_path / path))
    check_output(str(tmp_path / "new"))
    check_output(str(tmp_path / "file"))
    check_output("/dev/null")
    assert sorted(tmp_path.iterdir()) == before


# --- checks, Keystone, projects, agents ----------------------------------------------------------


def checked(name: str, *lacks: tuple[str, str]) -> TargetState:
    """Return a service of the catalog, with the checks that it lacks."""
    state = service(name)
    return replace(state, target=replace(state.target, service_type=name, lacks=lacks))


def test_services_that_are_measured_by_answers_alone_are_named_with_the_reason() -> None:
    reason = "no call is known for services of type cloudformation"
    refusal = "GET /v2.1/servers?limit=1 answered 403: not permitted to this user"
    states = [
        checked("heat-cfn", ("works", reason)),
        replace(
            checked("nova"),
            unfit={"works": refusal},
        ),
        checked("keystone", ("login", "turned off (login = no)")),
        checked("glance"),
    ]
    assert section(report(states=states), "Not checked") == [
        "  keystone: measured by the other checks, not login: turned off (login = no)",
        f"  nova: measured by answers alone, not works: {refusal}",
        f"  heat-cfn: measured by answers alone, not works: {reason}",
    ]


def test_check_that_was_given_up_counts_for_nothing() -> None:
    """It had failed before it was found not to be for us."""
    nova = replace(service("nova"), unfit={"works": "GET /v2.1/servers?limit=1 answered 403"})
    text = report(up(0, 60), down(0, 10, check="works"), states=[nova])
    assert lines(text) == ["Service nova was down approximately 0 seconds which is 0.0% of total uptime"]
    assert "Outages" not in text


def test_what_failed_for_want_of_keystone_is_an_impairment_and_no_downtime() -> None:
    keystone = checked("keystone")
    keystone = replace(keystone, target=replace(keystone.target, service_type="identity"))
    text = report(
        *named("keystone", up(0, 18), down(20, 40), up(40.5, 60)),
        *named(
            "keystone", up(0, 18, check="works"), down(20, 40, check="works"), up(40.5, 60, check="works")
        ),
        *named("nova", up(0, 60)),
        *named("nova", up(0, 19, check="works"), up(42, 60, check="works")),
        *named("nova", down(21, 39, check="works", causes="http-503-keystone")),
        states=[keystone, service("nova")],
    )
    assert lines(text)[1] == "Service nova was down approximately 0 seconds which is 0.0% of total uptime"
    assert section(text, "Impaired by Keystone") == [
        "  Service nova: 37 calls, 2026-11-22 16:37:26.123 – 16:37:44.123"
    ]
    assert "Service nova, check works: 23.0 s (keystone)" in "\n".join(
        section(text, "Not observed by one check")
    )


def test_addresses_are_summed_up_by_project() -> None:
    text = report(
        *icmp("10.0.0.1", up(0, 10), down(10.5, 20), up(20.5, 100)),
        *icmp("10.0.0.2", up(0, 100)),
        *icmp("10.0.0.3", down(0, 100)),
        states=[address(f"10.0.0.{last}") for last in (1, 2, 3)],
    )
    (head, row) = section(text, "Addresses by project")
    assert head.split() == ["addresses", "down", "total", "longest", "user-uptime", "project"]
    assert row.split(maxsplit=8) == [
        *("2", "1", "10.0", "s", "10.0", "s", "95.000", "%"),
        "shop (f00d); 1 more never answered",
    ]


def agent(host: str, *spans: Span) -> tuple[TargetState, list[Span]]:
    """Return an agent and the spans as its own."""
    state = service("nova-compute", id=f"agent/{host}")
    state = replace(state, target=replace(state.target, kind=Kind.AGENT, host=host, url=None))
    return state, [
        structs.replace(one, target=state.target.id, check="reported", max_gap_ns=ns(30)) for one in spans
    ]


def test_agents_have_a_section_of_their_own_and_are_in_no_line_of_the_contract() -> None:
    well, of_well = agent("cmp2", up(0, 100, every=10))
    failed, of_failed = agent(
        "cmp1", up(0, 20, every=10), down(30, 50, every=10, causes={}), up(60, 100, every=10)
    )
    gone, of_gone = agent("cmp3", up(0, 20, every=10), down(30, 100, every=10, causes={}))
    text = report(*of_well, *of_failed, *of_gone, states=[well, failed, gone])
    assert section(text, "Agents") == [
        "  Agent nova-compute on cmp1 was reported down approximately 30 seconds (20 to 40)",
        (
            "  Agent nova-compute on cmp3 was reported down approximately 75 seconds, and still was"
            " at the end (70 to 80)"
        ),
        "  Agent nova-compute on cmp2 was reported down approximately 0 seconds",
    ]
    assert "none: nothing was found to measure" in text
    assert "Outages" not in text


def test_report_says_for_how_long_an_agents_list_was_not_read() -> None:
    state, spans = agent(
        "cmp1",
        up(0, 20, every=10),
        unknown(30, 60, every=10, causes="unlisted"),
        down(70, 80, every=10, causes={}),
        up(90, 100, every=10),
    )
    (told,) = section(report(*spans, states=[state]), "Agents")
    assert told.endswith("approximately 15 seconds (10 to 70; not read for 50 seconds)")


def test_verdicts_come_right_after_the_lines() -> None:
    reader = MemoryReader(
        states=[service("nova")], the_spans=[up(0, 10), down(10.5, 20), up(20.5, 100)], the_marks=[]
    )
    given = ["service:nova <= 1min", "zero-downtime", "service:nova <= 10s", "service:heat <= 1s"]
    text = "".join(render(reader, "text", [parse(one) for one in given]))
    assert text.split("\n\n")[1].splitlines() == [
        "Assertions: 2 failed, 1 undecided, 1 passed",
        "  PASS       service:nova <= 1min",
        "             nova was down 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20",
        "  FAIL       zero-downtime",
        (
            "             nova was down 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20; "
            "a shorter outage than 0.50 s (answers) can have been missed"
        ),
        "  UNDECIDED  service:nova <= 10s",
        (
            "             nova was down 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20; "
            "the limit of 10s lies between the bounds"
        ),
        "  FAIL       service:heat <= 1s",
        "             no target fits service:heat",
    ]


def test_phases_tell_which_step_cost_what() -> None:
    reader = MemoryReader(
        states=[service("nova"), service("glance"), *(address(f"10.0.0.{last}") for last in range(1, 8))],
        the_spans=[
            *named("nova", up(0, 10), down(10.5, 20), up(20.5, 100)),
            *named("glance", up(0, 14), down(14.5, 16), up(16.5, 100)),
            *icmp("10.0.0.1", down(0, 100)),
            *(
                one
                for last in range(2, 8)
                for one in icmp(f"10.0.0.{last}", up(0, 50), down(50.5, 50 + last), up(50.5 + last, 100))
            ),
        ],
        the_marks=[Mark(at_ns=ns(15), text="neutron"), Mark(at_ns=ns(80), text="done")],
    )
    rows = [row.replace("  2026-11-22 16:", "") for row in section("".join(render(reader)), "By phase")]
    assert rows == [
        "  start                                length  observed  services  addresses  phase",
        "37:05.123              15.0 s   100.0 %    2 down          -  (before the first mark)",
        "      Service nova 4.75 s (4.50–5.00), glance 0.75 s (0.50–1.00)",
        "37:20.123         1 min 5.0 s   100.0 %    2 down     6 down  neutron",
        "      Service nova 5.25 s (5.00–5.50), glance 1.25 s (1.00–1.50)",
        (
            "      Address 10.0.0.7 7.00 s (6.50–7.50), 10.0.0.6 6.00 s (5.50–6.50), "
            "10.0.0.5 5.00 s (4.50–5.50), 10.0.0.4 4.00 s (3.50–4.50), … (6, 27.0 s in all)"
        ),
        "38:25.123              20.0 s   100.0 %         -          -  done",
    ]


def test_phase_in_which_nothing_was_observed_says_so() -> None:
    reader = MemoryReader(
        states=[service("nova")],
        the_spans=[up(0, 20), unknown(20, 80, causes="paused"), up(80, 100)],
        the_marks=[Mark(at_ns=ns(30), text="paused"), Mark(at_ns=ns(70), text="goes on")],
    )
    rows = section("".join(render(reader)), "By phase")[1:]
    assert [re.findall(r"[0-9.]+ %", row) for row in rows] == [["66.7 %"], ["0.0 %"], ["66.7 %"]]


def test_pause_to_the_end_is_in_its_phases_time_that_was_not_observed() -> None:
    reader = MemoryReader(
        states=[service("nova"), address("10.0.0.5", missing=41, retired=45)],
        the_spans=[up(0, 40), up(0, 40, target="address:10.0.0.5", check="icmp")],
        the_marks=[Mark(at_ns=ns(30), text="upgrade"), Mark(at_ns=ns(80), text="check")],
        the_events=[Event(at_ns=ns(40), kind=PAUSE, text="")],
    )
    rows = section("".join(render(reader)), "By phase")[1:]
    assert [re.findall(r"[0-9.]+ %", row) for row in rows] == [["100.0 %"], ["33.3 %"], ["0.0 %"]]


def test_no_name_forges_or_garbles_a_line() -> None:
    text = "".join(render(hostile.reader(), "text", [parse("service:* <= 1s")]))
    assert all(line.replace("\ufffe\uffff", "").isprintable() for line in text.splitlines())
    assert len(lines(text)) == len(hostile.NAMES) + 1
    assert len(section(text, "By phase")) == 1 + 1 + 2 * len(hostile.NAMES)
