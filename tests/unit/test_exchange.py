"""A run that was exported and imported gives the same report, whatever is in it; what is wrong is refused."""

import dataclasses
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from downtimer import report
from downtimer.errors import ExchangeError, StoreError
from downtimer.exchange import instants
from downtimer.exchange.incoming import put
from downtimer.exchange.lines import (
    LINE_MAX,
    START_MAX_NS,
    EndLine,
    EventLine,
    LatencyLine,
    MarkLine,
    RunLine,
    SampleLine,
    SpanLine,
)
from downtimer.exchange.reading import PART, ExportReader
from downtimer.exchange.translation import fields_of, state_of
from downtimer.exchange.writing import export
from downtimer.messages import LatencyWindow, Progress, SpanFact
from downtimer.model import (
    Baseline,
    Event,
    Incarnation,
    Mark,
    Power,
    PowerChange,
    Run,
    RunId,
    Target,
    TargetId,
    TargetState,
    method_of,
)
from downtimer.store.journal import Facts, JournalReader, JournalWriter, journal_path, list_runs
from tests.unit.runs import START_UTC_NS, address, down, ns, service, slow, unknown, up

RUN = Run(
    id=RunId("20261122-163705-1234"),
    label='nova 28 → 29 "now"\x1b[31m',
    vantage="deploy01",
    cloud="http://keystone:5000",
    start_utc_ns=START_UTC_NS + 1,
    boot_origin_ns=11,
    boot_id="boot-1",
)
NOVA = replace(
    service("nova"),
    baselines={"answers": Baseline(status_class=3, latency_ns=12_345_678), "works": Baseline()},
    unfit={"login": "403"},
)
FLOATING = replace(
    address("172.16.166.151", missing=30, retired=40),
    silent_ns=0,
    method=method_of(22),
    powers=(PowerChange(ns(8), ns(9), Power.STOPPED),),
)
GATEWAY = address("172.16.166.1", reference=True)
ODD = service("two\nlines \u2028 \u202e", region='"; DROP')
API = Incarnation("api.1")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    """The journal of a run with one of everything, some of it open."""
    writer = JournalWriter(journal_path(str(tmp_path / "from"), RUN.id), RUN, ships=False)
    facts = Facts()
    facts.add_states([NOVA, FLOATING, GATEWAY, ODD])
    for state, check in ((NOVA, "answers"), (NOVA, "works"), (FLOATING, "tcp"), (GATEWAY, "icmp")):
        of = {"target": state.target.id, "check": check}
        facts.spans += [
            SpanFact(span, is_open=False)
            for span in (
                up(0, 9.5, **of),
                down(10, 12, dated=9.7, causes={"refused": 3, "http-503": 2}, **of),
                down(12.2, 12.2, watched=14.4, causes="timeout-answer", **of),
                up(14.5, 16, causes="stall", **of),
                slow(16.5, 18, **of),
                unknown(18.5, 19, **of),
            )
        ]
        facts.spans.append(SpanFact(up(20, 20, **of), is_open=True))
        facts.progress[API, check] = Progress(API, check, ns(33), ns(0.5), ns(0.7))
    facts.latencies = [
        LatencyWindow(
            target=NOVA.target.id, check=check, start_ns=ns(at), answers=5, min_ns=1, median_ns=2, max_ns=3
        )
        for check in ("answers", "works")
        for at in (0, 10)
    ]
    facts.marks = [Mark(at_ns=ns(11), text="шаг\n2"), Mark(at_ns=ns(11), text=""), Mark(at_ns=0, text="a")]
    facts.events = [Event(at_ns=ns(5), kind="restart", text=f"api\t{i}") for i in range(2)]
    writer.apply(facts)
    yield writer
    writer.close()


def everything(path: str) -> tuple[list[str], str]:
    """Return the report on a run in every format, and its export."""
    reader = JournalReader(path)
    try:
        return ["".join(report.render(reader, form)) for form in report.FORMATS], "".join(export(reader))
    finally:
        reader.close()


def take_in(text: str | bytes, folder: Path) -> str:
    """Import a run; return where it is."""
    raw = text.encode() if isinstance(text, str) else text
    reader = ExportReader(io.BytesIO(raw), "FILE")
    put(str(folder), [(reader.run, reader.parts())])
    return journal_path(str(folder), reader.run.id)


def left_in(folder: Path) -> list[Path]:
    """Return what an import has left."""
    runs = folder / "runs"
    return list(runs.iterdir()) if runs.exists() else []


# --- there and back ---


@pytest.mark.parametrize("end", ["under way", "ended", "interrupted"])
def test_import_of_an_export_gives_the_same_report_in_every_format(
    journal: JournalWriter, tmp_path: Path, end: str
) -> None:
    if end != "under way":
        journal.end_run(ns(33.3), interrupted=end == "interrupted")
    reports, exported = everything(journal.path)
    path = take_in(exported, tmp_path / "to")
    assert everything(path) == (reports, exported)
    assert left_in(tmp_path / "to") == [Path(path)]
    (entry,) = list_runs(str(tmp_path / "to"))
    assert (entry.is_imported, entry.is_open, entry.backlog) == (True, False, 0)
    assert all("nova" in text for text in reports)


def test_what_is_read_back_is_what_was_told(journal: JournalWriter, tmp_path: Path) -> None:
    _, exported = everything(journal.path)
    reader = JournalReader(take_in(exported, tmp_path / "to"))
    assert {state.target.id: state for state in reader.targets()} == {
        state.target.id: state for state in (NOVA, FLOATING, GATEWAY, ODD)
    }
    assert reader.run() == replace(RUN, boot_origin_ns=0, boot_id="")
    assert reader.through_ns() == ns(33)
    (_, spans), *_ = reader.with_spans([NOVA.target.id])
    assert spans[6].last_sent_ns == ns(32.5)
    reader.close()


def test_file_of_many_parts_is_read_whole(tmp_path: Path) -> None:
    writer = JournalWriter(journal_path(str(tmp_path / "from"), RUN.id), RUN, ships=False)
    spans = [
        SpanFact(span, is_open=False)
        for i in range(PART)
        for span in (up(2 * i, 2 * i), down(2 * i + 1, 2 * i + 1))
    ]
    writer.apply(Facts(states={NOVA.target.id: NOVA}, spans=[*spans]))
    writer.close()
    reports, exported = everything(writer.path)
    assert everything(take_in(exported, tmp_path / "to")) == (reports, exported)


@st.composite
def runs(draw: st.DrawFn) -> Facts:
    """Return what a few workers may have told of a target, some of whose spans are open."""
    facts = Facts(states={NOVA.target.id: draw(st.sampled_from([NOVA, replace(NOVA, retired_ns=ns(70))]))})
    for check in draw(st.sets(st.sampled_from(["answers", "works", "login"]), min_size=1)):
        at, lives = 0.0, draw(st.integers(1, 3))
        for life in range(lives):
            for _ in range(draw(st.integers(1, 6))):
                at += draw(st.sampled_from([0.5, 0.5, 3, 90]))
                end = at + draw(st.sampled_from([0, 0.5, 20]))
                make = draw(st.sampled_from([up, down, slow, unknown]))
                facts.spans.append(SpanFact(make(at, end, check=check, life=life), is_open=False))
                at = end
            if draw(st.booleans()):
                facts.spans.append(SpanFact(up(at + 1, at + 1, check=check, life=life), is_open=True))
                named = Incarnation(f"api.{life}")
                facts.progress[named, check] = Progress(named, check, ns(at + 4), ns(0.5), ns(0.5))
                at += 4
    return facts


@settings(max_examples=40, deadline=None)
@given(facts=runs(), end_s=st.none() | st.just(3000))
def test_whatever_was_told_is_reported_alike_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, facts: Facts, end_s: int | None
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    writer = JournalWriter(journal_path(str(folder / "from"), RUN.id), RUN, ships=False)
    writer.apply(facts)
    if end_s is not None:
        writer.end_run(ns(end_s))
    reports, exported = everything(writer.path)
    writer.close()
    assert everything(take_in(exported, folder / "to")) == (reports, exported)


def test_run_that_is_there_is_not_replaced(journal: JournalWriter, tmp_path: Path) -> None:
    _, exported = everything(journal.path)
    with pytest.raises(
        StoreError, match=f"run {RUN.id} is in .* already; `downtimer runs --delete {RUN.id}`"
    ):
        take_in(exported, tmp_path / "from")
    assert everything(journal.path)[1] == exported


def test_two_runs_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"two runs are called {RUN.id}"):
        put(str(tmp_path), [(RUN, [Facts()]), (RUN, [Facts()])])
    assert left_in(tmp_path) == []


@given(st.integers(0, START_MAX_NS))
def test_instant_is_the_same_as_text_and_wherever_its_clock_is(utc_ns: int) -> None:
    text = instants.render(utc_ns)
    assert instants.parse(text) == utc_ns
    assert instants.parse(text.replace("Z", "+05:30")) == utc_ns - 19_800 * 10**9


# --- samples ---

HEAD = {"run": {"format": "downtimer-run", "version": 1, "id": "r1", "start": "2026-11-26T19:00:00Z"}}
SERVICE = {"target": {"id": "a", "kind": "service", "name": "nova"}}
ADDRESS = {"target": {"id": "b", "kind": "address", "name": "10.0.0.1"}}
END: Mapping[str, Any] = {"end": {}}


def file_of(*lines: Mapping[str, Any]) -> str:
    """Return lines as a file."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def sample(sent: object, target: str = "a", **more: object) -> dict[str, Any]:
    """Return the line of a sample."""
    return {"sample": {"target": target, "sent": sent, **more}}


def test_samples_are_judged_as_our_own_probes_are(tmp_path: Path) -> None:
    samples = [
        sample("2026-11-26T19:00:00Z", latency_s=0.1),
        sample("2026-11-26T20:00:00.5+01:00", latency_s=0.3),
        sample(ns(1), cause="refused"),
        sample(ns(1), target="b"),
        sample(ns(2), cause="http-503"),
        sample(ns(300), latency_s=0.2),
        sample(ns(300), latency_s=0.2, verdict="slow"),
    ]
    reader = JournalReader(take_in(file_of(HEAD, SERVICE, ADDRESS, *samples, END), tmp_path))
    found = {state.target.id: [*spans] for state, spans in reader.with_spans([TargetId("a"), TargetId("b")])}
    told = [
        (span.check, span.verdict, span.first_sent_ns, span.last_sent_ns, dict(span.causes))
        for span in found[TargetId("a")]
    ]
    assert told == [
        ("answers", "up", 0, ns(0.5), {}),
        ("answers", "down", ns(1), ns(2), {"refused": 1, "http-503": 1}),
        ("answers", "up", ns(300), ns(300), {}),
        ("answers", "slow", ns(300) + 1, ns(300) + 1, {}),
    ]
    assert [span.check for span in found[TargetId("b")]] == ["icmp"]
    windows = [(one.start_ns, one.answers, one.median_ns) for one in reader.latencies(TargetId("a"))]
    assert windows == [(0, 2, ns(0.2)), (ns(300), 2, ns(0.2))]
    (nova, _) = json.loads("".join(report.render(reader, "json")))["targets"]
    (episode,) = nova["episodes"]
    # Without a max_gap the time until the next sample is observed, however long.
    assert (episode["min_s"], episode["down_s"], episode["max_s"]) == (1.0, 150.25, 299.5)
    assert nova["unobserved_s"] == 0
    reader.close()


def test_run_that_is_not_said_to_have_ended_or_come_how_far_stays_so(tmp_path: Path) -> None:
    text = file_of(HEAD, SERVICE, sample(0), sample(ns(2)), END)
    for number in range(2):
        reader = JournalReader(take_in(text, tmp_path / str(number)))
        text = "".join(export(reader))
        assert "no end was given; figures count to 2026-11-26 19:00:02" in "".join(report.render(reader))
        assert "through" not in text
        reader.close()
    followed = file_of({"run": {**HEAD["run"], "through": ns(5)}}, SERVICE, sample(0), END)
    reader = JournalReader(take_in(followed, tmp_path / "followed"))
    assert "not yet (running, or cut off); figures count to" in "".join(report.render(reader))
    assert f'"through":{ns(5)}' in "".join(export(reader))
    reader.close()


def test_what_was_taken_in_is_counted_as_reports_count(tmp_path: Path) -> None:
    agent = {"target": {"id": "agent/a", "kind": "agent", "name": "nova-compute", "host": "n1"}}
    reference = {"target": {"id": "reference/r", "kind": "address", "name": "10.0.0.9", "reference": True}}
    mark = {"mark": {"at": 5, "text": "a"}}
    lines = (HEAD, SERVICE, ADDRESS, agent, reference, sample(0), sample(1), mark, END)
    reader = ExportReader(io.BytesIO(file_of(*lines).encode()), "FILE")
    put(str(tmp_path), [(reader.run, reader.parts())])
    assert reader.told() == "1 service, 1 address, 1 agent, 1 reference, 2 samples, 1 mark"


def test_distance_beyond_max_gap_is_not_observed(tmp_path: Path) -> None:
    lines = [sample(ns(at), max_gap_ns=ns(2)) for at in (0, 1, 2, 10, 11)]
    reader = JournalReader(take_in(file_of(HEAD, SERVICE, *lines, END), tmp_path))
    (nova,) = json.loads("".join(report.render(reader, "json")))["targets"]
    assert (nova["up_s"], nova["unobserved_s"]) == (3, 8)
    reader.close()


@pytest.mark.parametrize(
    ("span", "resolution_s"),
    [({"last": ns(90), "probes": 10}, 90), ({"last": ns(90), "probes": 10, "widest_ns": ns(10)}, 10)],
)
def test_nothing_between_the_probes_of_a_span_is_taken_for_seen_unless_it_is_said(
    tmp_path: Path, span: dict[str, int], resolution_s: int
) -> None:
    line = {"span": {"target": "a", "check": "answers", "verdict": "up", "first": 0, **span}}
    reader = JournalReader(take_in(file_of(HEAD, SERVICE, line, END), tmp_path))
    (nova,) = json.loads("".join(report.render(reader, "json")))["targets"]
    assert nova["resolution_s"] == resolution_s
    reader.close()


# --- what is refused ---

SPAN = {"target": "a", "check": "answers", "verdict": "up", "first": 5, "last": 7, "probes": 2}
LATENCY = {
    "target": "a",
    "check": "answers",
    "start": 5,
    "answers": 1,
    "min_ns": 1,
    "median_ns": 1,
    "max_ns": 1,
}


def span_with(**more: object) -> dict[str, Any]:
    """Return the line of a span that differs in something."""
    return {"span": SPAN | more}


def head_with(**more: object) -> dict[str, Any]:
    """Return a first line that differs in something."""
    return {"run": HEAD["run"] | more}


def target_with(**more: object) -> dict[str, Any]:
    """Return the line of a target that differs in something."""
    return {"target": SERVICE["target"] | more}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([head_with(version=2)], "line 1: the format's version is 2; this downtimer knows 1"),
        ([head_with(format="other")], "line 1: not an exported run"),
        ([SERVICE], "line 1: not an exported run"),
        ([head_with(id="../../x")], "line 1: Expected `str` matching"),
        ([head_with(id="a/b")], "line 1: Expected `str` matching"),
        ([head_with(id="")], "line 1: Expected `str` matching"),
        ([head_with(id="x\n")], "line 1: Expected `str` matching"),
        ([head_with(start="yesterday")], "line 1: not an instant like"),
        ([head_with(start="2026-13-01T00:00:00Z")], "line 1: no such instant"),
        ([head_with(start="1969-01-01T00:00:00Z")], "line 1: start: not between"),
        ([head_with(end="2026-11-26T18:00:00Z")], "line 1: 2026-11-26T18:00:00Z is before the start"),
        ([head_with(more=1)], "line 1: Object contains unknown field `more`"),
        ([HEAD, HEAD], "line 2: a second `run`"),
        ([HEAD, {}], "line 2: not one of run, target,"),
        ([HEAD, {**SERVICE, **END}], "line 2: not one of run, target,"),
        ([HEAD, {"other": 1}], "line 2: Object contains unknown field `other`"),
        ([HEAD, SERVICE, SERVICE], "line 3: target 'a' is there twice"),
        ([HEAD, target_with(kind="router")], "line 2: Invalid enum value 'router'"),
        ([HEAD, target_with(name="")], "line 2: a target needs an id and a name"),
        ([HEAD, target_with(evil=1)], "line 2: a target has no 'evil'"),
        ([HEAD, target_with(method="tcp-x")], "line 2: method 'tcp-x'"),
        ([HEAD, target_with(discovered_ns=10**30)], "line 2: a number is out of bounds"),
        ([HEAD, target_with(baselines={"answers": {"latency_ns": 10**400}})], "line 2: a number is"),
        ([HEAD, span_with()], "line 2: target 'a' is not known"),
        ([HEAD, SERVICE, span_with(), span_with()], "line 4: this span is there twice"),
        ([HEAD, SERVICE, span_with(), span_with(first=4)], "line 4: this span is before the last one"),
        ([HEAD, SERVICE, span_with(last=4)], "line 3: it ends before it begins"),
        ([HEAD, SERVICE, span_with(watched=6)], "line 3: it ends before it begins"),
        ([HEAD, SERVICE, span_with(probes=0)], "line 3: Expected `int` >= 1"),
        ([HEAD, SERVICE, span_with(probes=2.5)], "line 3: Expected `int`"),
        ([HEAD, SERVICE, span_with(probes="2")], "line 3: Expected `int`, got `str`"),
        ([HEAD, SERVICE, span_with(last=10**30)], "line 3: Expected `int` <="),
        ([HEAD, SERVICE, span_with(first=-1)], "line 3: Expected `int` >= 0"),
        ([HEAD, SERVICE, span_with(verdict="fine")], "line 3: Invalid enum value 'fine'"),
        ([HEAD, SERVICE, span_with(causes={"refused": 2})], "line 3: cause 'refused': no probe that is up"),
        ([HEAD, SERVICE, span_with(causes={"\x1b[2J": 2})], "line 3: there is no cause"),
        ([HEAD, SERVICE, span_with(check="a b")], "line 3: Expected `str` matching"),
        (
            [HEAD, SERVICE, sample(1, cause="send", verdict="down")],
            "line 3: cause 'send': no probe that is down",
        ),
        ([HEAD, SERVICE, sample(1, verdict="down")], "line 3: what is down needs a cause"),
        ([HEAD, SERVICE, sample(2), sample(1)], "line 4: samples of a check must be in order"),
        ([HEAD, SERVICE, sample("2026-11-26T18:00:00Z")], "line 3: 2026-11-26T18:00:00Z is before the start"),
        ([HEAD, SERVICE, sample("3026-11-26T18:00:00Z")], "or 73 years after it"),
        ([HEAD, SERVICE, sample(1), span_with()], "line 4: this check has samples already"),
        ([HEAD, SERVICE, span_with(), sample(9)], "line 4: this check has spans already"),
        ([HEAD, SERVICE, {"latency": LATENCY}, {"latency": LATENCY}], "line 4: this latency is there twice"),
        ([HEAD, SERVICE, {"latency": LATENCY | {"max_ns": 0}}], "line 3: min_ns, median_ns, max_ns"),
        (
            [HEAD, {"mark": {"at": 5, "text": "a"}}, {"mark": {"at": 5, "text": "a"}}],
            "line 3: this mark is there twice",
        ),
        (
            [HEAD, {"mark": {"at": 5, "text": "a"}}, {"mark": {"at": 4, "text": "a"}}],
            "line 3: this mark is before",
        ),
        ([HEAD, {"mark": {"at": 5, "text": 7}}], "line 2: Expected `str`, got `int`"),
        ([HEAD, {"event": {"at": 5, "kind": "x"}}], "line 2: Object missing required field `text`"),
        ([HEAD, SERVICE], "cut off after line 2"),
        ([HEAD, SERVICE, {"end": {"targets": 2}}], "line 3: the file had 2 targets, and 1 are there"),
        ([HEAD, END, SERVICE], "line 3: nothing may stand behind `end`"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it_and_leaves_nothing(
    tmp_path: Path, lines: Sequence[Mapping[str, Any]], why: str
) -> None:
    complete = lines if "cut off" in why or END in lines else [*lines, END]
    assert_refused(file_of(*complete), why, tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "it is empty"),
        (b"\n", "line 1: not an exported run"),
        (b"[" * LINE_MAX, "line 1: "),
        (b'{"run":' * 100_000, "line 1: "),
        (b" " * (LINE_MAX + 1), f"line 1: longer than {LINE_MAX} bytes"),
        (b"SQLite format 3\0", "line 1: not an exported run"),
        (b"\x1f\x8b\x08", "line 1: it is compressed: `zcat FILE"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path: Path, text: bytes, why: str) -> None:
    assert_refused(text, why, tmp_path)


@pytest.mark.parametrize(
    "line",
    ['{"span":NaN}', '{"mark":{"at":1,"text":"\\ud800"}}', '{"mark":{"at":1,"text":"\xff', "{", "null", "[]"],
)
def test_what_is_no_json_is_refused(tmp_path: Path, line: str) -> None:
    assert_refused(file_of(HEAD).encode() + line.encode("latin-1") + b"\n", "line 2: ", tmp_path)


def assert_refused(text: str | bytes, why: str, folder: Path) -> None:
    """Import a file that is wrong."""
    with pytest.raises(ExchangeError) as caught:
        take_in(text, folder)
    said = str(caught.value)
    assert said.startswith("FILE: ")
    assert why in said
    assert len(said) < 500
    assert "\n" not in said
    assert left_in(folder) == []


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_cut_and_every_garbled_byte_is_refused_or_still_a_run(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = file_of(
        HEAD,
        SERVICE,
        ADDRESS,
        span_with(),
        sample(3, "b", cause="no-reply"),
        {"mark": {"at": 5, "text": "a"}},
        END,
    ).encode()
    folder = tmp_path_factory.mktemp("fuzz")
    at = data.draw(st.integers(0, len(whole) - 2))
    if data.draw(st.booleans()):
        assert_refused(whole[:at], "", folder)
        return
    garbled = whole[:at] + data.draw(st.binary(min_size=1, max_size=3)) + whole[at + 1 :]
    try:
        path = take_in(garbled, folder)
    except ExchangeError:
        assert left_in(folder) == []
    else:
        texts, exported = everything(path)
        assert all(line.isprintable() for line in texts[0].split("\n"))
        assert everything(take_in(exported, folder / "again")) == (texts, exported)


def test_remains_of_an_import_that_was_killed_are_removed(journal: JournalWriter, tmp_path: Path) -> None:
    remains = tmp_path / "to" / "runs" / ".import-4194305-x"  # no process has such an id
    remains.mkdir(parents=True)
    (remains / "x.sqlite").touch()
    path = take_in(everything(journal.path)[1], tmp_path / "to")
    assert left_in(tmp_path / "to") == [Path(path)]


def test_target_states_survive_with_nothing_but_what_they_need() -> None:
    bare = TargetState(target=NOVA.target, discovered_ns=0, listed_ns=0, missing_ns=0, retired_ns=0)
    assert state_of(fields_of(bare)) == bare


# --- the schema ---


@pytest.fixture(scope="module")
def schema() -> Any:  # noqa: ANN401 - JSON
    """The contract of a line."""
    return json.loads((Path(__file__).parent.parent.parent / "doc" / "export.schema.json").read_text())


def test_every_line_of_an_export_keeps_the_schema(journal: JournalWriter, schema: Any) -> None:  # noqa: ANN401
    validator = Draft202012Validator(schema)
    lines = [json.loads(line) for line in everything(journal.path)[1].split("\n")[:-1]]
    for line in [*lines, sample(1), sample("2026-11-26T19:00:00Z", cause="refused")]:
        validator.validate(line)
    assert {key for line in lines for key in line} == schema["properties"].keys() - {"sample"}
    for wrong in (span_with(probes=0), head_with(id="../x"), {"mark": {"at": -1, "text": ""}}, {}):
        assert not validator.is_valid(wrong)


def test_schema_has_just_the_fields_that_are_read(schema: Any) -> None:  # noqa: ANN401
    parts = (RunLine, SpanLine, SampleLine, LatencyLine, MarkLine, EventLine, EndLine)
    for key, part in zip(("run", "span", "sample", "latency", "mark", "event", "end"), parts, strict=True):
        assert schema["$defs"][key]["properties"].keys() == set(part.__struct_fields__)
    of_target = {field.name for kind in (Target, TargetState) for field in dataclasses.fields(kind)}
    assert schema["$defs"]["target"]["properties"].keys() == of_target - {"target"}
