"""Line protocol: what is written is what a reader of the specification reads."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer.messages import AddressWindow, Progress, Sample
from downtimer.model import Event, Incarnation, Mark, Run, RunId, Span, TargetId, Verdict
from downtimer.store.lines import (
    FieldValue,
    LineMaker,
    decode_target,
    encode_target,
    escape_measurement,
    escape_tag,
    format_field,
    format_head,
    format_line,
    format_tags,
)
from tests.unit.runs import address, service

RUN = Run(
    id=RunId("20240101-000000-beef"),
    label="yoga to zed",
    vantage="deploy 01",
    cloud="http://keystone:5000",
    start_utc_ns=1_700_000_000_000_000_000,
    boot_origin_ns=7,
    boot_id="boot",
)
TAGS = "run=20240101-000000-beef,vantage=deploy\\ 01"
NOVA = service("nova")
FLOATING = address("172.16.166.151")


def parse(line: str) -> tuple[str, dict[str, str], dict[str, FieldValue], int]:
    """Read one line as the specification says: measurement, tags, fields, time."""
    head = _split(line, " ", quotes=False)[0]
    fields, _, time = line[len(head) + 1 :].rpartition(" ")
    measurement, *tags = _split(head, ",", quotes=False)
    pairs = dict(_split(tag, "=", quotes=False) for tag in tags)
    values = dict(_split(field, "=", quotes=True) for field in _split(fields, ",", quotes=True))
    return (
        _unescape(measurement),
        {_unescape(key): _unescape(value) for key, value in pairs.items()},
        {_unescape(key): _value(value) for key, value in values.items()},
        int(time),
    )


def _split(text: str, separator: str, *, quotes: bool) -> list[str]:
    """Split where the separator is neither escaped nor, where `quotes` mean something, quoted."""
    parts, part, is_quoted, i = [], "", False, 0
    while i < len(text):
        if text[i] == "\\" and i + 1 < len(text):
            part += text[i : i + 2]
            i += 2
            continue
        is_quoted ^= quotes and text[i] == '"'
        if text[i] == separator and not is_quoted:
            parts.append(part)
            part = ""
        else:
            part += text[i]
        i += 1
    return [*parts, part]


def _unescape(text: str) -> str:
    return re.sub(r"\\([, =])", r"\1", text)


def _value(text: str) -> FieldValue:
    if text.startswith('"'):
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    return int(text[:-1]) if text.endswith("i") else float(text)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("with space", "with\\ space"),
        ("a,b=c", "a\\,b\\=c"),
        ('quoted "so"', 'quoted\\ "so"'),
        ("back\\slash", "back\\slash"),
        ("at its end\\", "at\\ its\\ end\\x5c"),
        ("before\\,comma", "before\\x5c\\,comma"),
        ("two\\\\", "two\\x5c\\x5c"),
        ("two\nlines\r", "two\\x0alines\\x0d"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("Прага", "Прага"),
    ],
)
def test_tags_are_escaped(text: str, escaped: str) -> None:
    assert escape_tag(text) == escaped


def test_equals_sign_needs_no_escape_in_a_measurement() -> None:
    assert escape_measurement("a=b, c") == "a=b\\,\\ c"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0i"),
        (-3, "-3i"),
        (0.25, "0.25"),
        (1e-07, "1e-07"),
        ("", '""'),
        ('say "no"', '"say \\"no\\""'),
        ("a\\b", '"a\\\\b"'),
        ("two\nlines", '"two\nlines"'),
    ],
)
def test_fields_bear_their_type(value: FieldValue, text: str) -> None:
    assert format_field(value) == text


def test_empty_and_missing_tags_are_left_out() -> None:
    assert (
        format_head("m", format_tags([("b", "2"), ("empty", ""), ("none", None), ("a", "1")])) == "m,a=1,b=2"
    )


def test_point_without_fields_is_no_point() -> None:
    assert format_line("m", [("a", None)], 1) is None


# What neither a tag nor our display of one can hold as it is.
ODD = set(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]))
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=sorted(ODD)), min_size=1).filter(
    lambda text: not text.endswith("\\") and not re.search(r"\\[\\, =]", text)
)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(texts, st.dictionaries(texts, texts, max_size=4), values, st.integers(0, 2**63 - 1))
def test_point_is_read_as_it_was_written(
    measurement: str, tags: dict[str, str], value: FieldValue, time_ns: int
) -> None:
    line = format_line(format_head(measurement, format_tags(tags.items())), [("value", value)], time_ns)
    assert line is not None
    assert parse(line) == (measurement, tags, {"value": value}, time_ns)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_target_survives_its_tag(text: str) -> None:
    tag = encode_target(TargetId(text))
    assert "\n" not in tag
    assert "\\" not in tag
    assert decode_target(tag) == text


def test_usual_target_is_its_own_tag() -> None:
    for name in ("address:172.16.166.151", "address:2001:db8::1", "service:nova/RegionOne/public"):
        assert encode_target(TargetId(name)) == name


def test_sample_of_a_service() -> None:
    lines = LineMaker(RUN)
    lines.know(NOVA.target)
    sample = Sample(
        target=NOVA.target.id, check="answers", sent_ns=5, up=True, latency_ns=12_000_000, status=200
    )
    assert lines.sample(sample) == (
        f"service_response,check=answers,interface=public,region=RegionOne,run={RUN.id},service=nova,"
        "vantage=deploy\\ 01 value=0.012,status_code=200i,up=1i 1700000000000000005"
    )


def test_failed_sample_has_no_latency() -> None:
    lines = LineMaker(RUN)
    lines.know(NOVA.target)
    sample = Sample(target=NOVA.target.id, check="works", sent_ns=5, up=False, cause="refused")
    line = lines.sample(sample)
    assert line is not None
    assert parse(line)[2] == {"up": 0, "cause": "refused"}


def test_unknown_sample_is_neither_up_nor_down() -> None:
    lines = LineMaker(RUN)
    line = lines.sample(
        Sample(target=TargetId("service:x"), check="answers", sent_ns=5, up=None, cause="send")
    )
    assert line is not None
    _, tags, fields, _ = parse(line)
    assert tags["service"] == "service:x"
    assert fields == {"cause": "send"}


def test_window_of_an_address_without_any_reply() -> None:
    lines = LineMaker(RUN)
    lines.know(FLOATING.target)
    window = AddressWindow(target=FLOATING.target.id, start_ns=10, sent=50, lost=50)
    assert lines.address(window) == (
        f"floating_ip_pings,address=172.16.166.151,project=shop,{TAGS} sent=50i,lost=50i 1700000000000000010"
    )


def test_open_span_writes_no_field_that_the_final_one_has() -> None:
    lines = LineMaker(RUN)
    span = Span(
        target=NOVA.target.id,
        check="answers",
        verdict=Verdict.DOWN,
        first_sent_ns=3,
        last_sent_ns=9,
        probes=2,
        causes={"refused": 2},
        max_gap_ns=2_000_000_000,
        incarnation=Incarnation("api.1"),
    )
    begun, ended = lines.span(span, is_open=True), lines.span(span, is_open=False)
    assert begun is not None
    assert ended is not None
    first, last = parse(begun), parse(ended)
    assert first[:2] + first[3:] == last[:2] + last[3:]
    assert not first[2].keys() & last[2].keys()
    assert last[2] == {
        "last_sent": 1_700_000_000_000_000_009,
        "max_gap": 2_000_000_000,
        "probes": 2,
        "widest": 0,
        "causes": '{"refused":2}',
        "incarnation": "api.1",
    }


def test_events_of_one_instant_are_points_apart() -> None:
    lines = LineMaker(RUN)
    one = lines.event(Event(at_ns=1, kind="restart", text="icmp"))
    other = lines.event(Event(at_ns=1, kind="restart", text="api"))
    assert one is not None
    assert other is not None
    assert one.split(" ")[0] != other.split(" ")[0]


@pytest.mark.parametrize("text", ["step 1", "two\nlines", 'a "b" \\', "смена"])
def test_mark_keeps_its_text(text: str) -> None:
    line = LineMaker(RUN).mark(Mark(at_ns=2, text=text))
    assert line is not None
    assert parse(line)[2] == {"text": text}


@given(
    st.integers(0, 99),
    st.integers(0, 99),
    st.none() | st.integers(0, 10**10),
    st.none() | st.integers(0, 10**10),
)
def test_window_of_an_address_is_written_as_any_other_point(
    sent: int, lost: int, rtt_min_ns: int | None, rtt_max_ns: int | None
) -> None:
    lines = LineMaker(RUN)
    lines.know(FLOATING.target)
    window = AddressWindow(
        target=FLOATING.target.id,
        start_ns=7,
        sent=sent,
        lost=lost,
        rtt_min_ns=rtt_min_ns,
        rtt_max_ns=rtt_max_ns,
    )
    seconds = [None if rtt_ns is None else rtt_ns / 10**9 for rtt_ns in (rtt_min_ns, rtt_max_ns)]
    fields = [("sent", sent), ("lost", lost), ("rtt_min", seconds[0]), ("rtt_max", seconds[1])]
    head = f"floating_ip_pings,address=172.16.166.151,project=shop,{TAGS}"
    assert lines.address(window) == format_line(head, fields, RUN.start_utc_ns + 7)


def test_a_run_that_has_ended_has_the_label_of_its_end() -> None:
    line = LineMaker(RUN).run_ended(replace(RUN, label="night, cut short"), [], 5)
    assert line is not None
    assert 'label="night, cut short"' in line


def test_every_point_has_run_and_vantage() -> None:
    lines = LineMaker(RUN)
    made = [
        lines.run_begun(RUN),
        lines.run_ended(RUN, [("spans", 1)], 5),
        lines.target(NOVA, 1, "{}"),
        lines.progress(Progress(Incarnation("api.1"), "answers", 5, 1, 1)),
        lines.mark(Mark(at_ns=2, text="x")),
        lines.event(Event(at_ns=2, kind="k", text="x")),
    ]
    for line in made:
        assert line is not None
        tags = parse(line)[1]
        assert (tags["run"], tags["vantage"]) == (RUN.id, RUN.vantage)
