"""The journal: whatever the order and number of facts, and whenever it is cut off, it reads the same."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from downtimer.errors import StoreError
from downtimer.messages import Body, LatencyWindow, Progress, Sample, SpanFact, SpanRow
from downtimer.model import (
    SECOND_NS,
    Baseline,
    Event,
    Incarnation,
    Latency,
    Mark,
    Run,
    RunId,
    Span,
    TargetId,
    TargetState,
    Verdict,
)
from downtimer.store.journal import (
    Delivered,
    Facts,
    JournalReader,
    JournalWriter,
    close_interrupted,
    delete_run,
    last_run,
    list_runs,
    prune,
)
from downtimer.store.outbox import LINES_MAX, OutboxReader, Row
from tests.unit.runs import address, down, ns, service, slow, span, unknown, up

RUN = Run(
    id=RunId("20240101-000000-0001"),
    label="zed",
    vantage="here",
    cloud="http://keystone:5000",
    start_utc_ns=1_700_000_000_000_000_000,
    boot_origin_ns=11,
    boot_id="boot-1",
)
NOVA = service("nova")
FLOATING = address("172.16.166.151")
FIRST, SECOND = Incarnation("api.1"), Incarnation("api.2")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where a journal may be made."""
    return str(tmp_path / "runs" / f"{RUN.id}.sqlite")


@pytest.fixture
def writer(path: str) -> Iterator[JournalWriter]:
    """A journal of a run without InfluxDB."""
    made = JournalWriter(path, RUN, ships=False)
    yield made
    made.close()


def facts(
    *spans: Span,
    is_open: bool = False,
    states: tuple[TargetState, ...] = (NOVA, FLOATING),
    progress: Progress | None = None,
) -> Facts:
    """Return facts for one transaction."""
    made = Facts(spans=[SpanFact(span, is_open) for span in spans])
    made.add_states(states)
    if progress is not None:
        made.progress[progress.incarnation, progress.check] = progress
    return made


def read(path: str) -> list[Span]:
    """Return all spans."""
    reader = JournalReader(path)
    try:
        return list(reader.spans())
    finally:
        reader.close()


def lines(path: str) -> list[str]:
    """Return the points that wait for InfluxDB."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT points, lines FROM outbox ORDER BY id").fetchall()
    finally:
        connection.close()
    return [line for points, text in rows for line in Row(points, text).lines()]


# --- facts ---


def test_all_facts_are_read_back(writer: JournalWriter, path: str) -> None:
    spans = [
        up(0, 10),
        down(10.5, 12, dated=10.2),
        slow(12.5, 12.5),
        unknown(13, 14, causes={"send": 1, "stall": 2}),
    ]
    all_facts = facts(*spans, up(0, 1, target="address:172.16.166.151", check="icmp"))
    all_facts.marks = [Mark(at_ns=7, text="b"), Mark(at_ns=7, text="a"), Mark(at_ns=3, text="step\n2")]
    all_facts.events = [Event(at_ns=9, kind="restart", text="api"), Event(at_ns=2, kind="clock", text="x")]
    writer.apply(all_facts)
    reader = JournalReader(path)
    assert reader.run() == RUN
    assert list(reader.targets()) == [FLOATING, NOVA]
    assert [span.target for span in reader.spans()][:1] == [FLOATING.target.id]
    assert list(reader.spans())[1:] == spans
    assert reader.marks() == [Mark(at_ns=3, text="step\n2"), Mark(at_ns=7, text="a"), Mark(at_ns=7, text="b")]
    assert [event.at_ns for event in reader.events()] == [2, 9]
    assert reader.through_ns() == ns(14)
    assert reader.notes() == []
    reader.close()


def test_newer_state_of_a_target_replaces_the_older(writer: JournalWriter, path: str) -> None:
    writer.apply(facts())
    learnt = replace(NOVA, baselines={"answers": Baseline(status_class=2, latency_ns=5)}, retired_ns=9)
    writer.apply(facts(states=(learnt,)))
    reader = JournalReader(path)
    assert list(reader.targets()) == [FLOATING, learnt]
    reader.close()


def test_target_that_nobody_has_told_of_is_passed_over_until_somebody_does(
    writer: JournalWriter, path: str
) -> None:
    writer.apply(facts(up(0, 1), states=()))
    assert read(path) == []
    writer.apply(facts())
    assert read(path) == [up(0, 1)]


def test_spans_are_ordered_by_target_check_and_time(writer: JournalWriter, path: str) -> None:
    spans = [
        up(5, 6, target="service:b"),
        up(0, 1, target="service:b"),
        up(0, 1, target="service:b", check="works"),
        up(0, 1, target="service:ä"),
        up(0, 1, target="service:B"),
    ]
    names = ("b", "ä", "B")
    writer.apply(facts(*spans, states=tuple(service(name) for name in names)))
    keys = [(span.target, span.check, span.first_sent_ns) for span in read(path)]
    assert keys == sorted(keys)
    assert len(keys) == len(spans)


histories = st.lists(st.integers(1, 50), min_size=1, max_size=4).flatmap(
    lambda lengths: st.permutations(_history(lengths) * 2)
)


def _history(lengths: list[int]) -> list[SpanFact | Progress]:
    """Return what a worker says in its life: spans open, grow and end, the last stays open."""
    told: list[SpanFact | Progress] = []
    at = 0.0
    for i, length in enumerate(lengths):
        make = down if i % 2 else up
        told.append(SpanFact(make(at, at), is_open=True))
        told.append(SpanFact(make(at, at + length / 2), is_open=True))
        if i < len(lengths) - 1:
            told.append(SpanFact(make(at, at + length), is_open=False))
        at += length + 0.5
        told.append(Progress(FIRST, "answers", ns(at), ns(0.5), ns(0.7)))
    return told


@settings(max_examples=40, deadline=None)
@given(histories)
def test_order_and_repeats_of_facts_change_nothing(told: list[SpanFact | Progress]) -> None:
    with TemporaryDirectory() as folder:
        path = f"{folder}/any.sqlite"
        writer = JournalWriter(path, RUN, ships=False)
        writer.apply(facts())
        for fact in told:
            single = Facts()
            single.add(_body(fact))
            writer.apply(single)
        found = read(path)
        writer.close()
    assert found == _expected(told)


TOLD = st.lists(
    st.builds(
        SpanFact,
        st.builds(
            lambda first, length, probes, verdict: Span(
                target=NOVA.target.id,
                check="answers",
                verdict=verdict,
                first_sent_ns=first,
                last_sent_ns=first + length,
                probes=probes,
                max_gap_ns=1,
            ),
            st.integers(0, 2),
            st.integers(0, 2),
            st.integers(1, 3),
            st.just(Verdict.UP),
        ),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TOLD, max_size=3))
def test_spans_written_in_bulk_are_those_written_one_by_one(commits: list[list[SpanFact]]) -> None:
    """With InfluxDB they are written one by one; without, in bulk, with guesses about what is new."""
    found = []
    with TemporaryDirectory() as folder:
        for ships in (False, True):
            writer = JournalWriter(f"{folder}/{ships}.sqlite", RUN, ships=ships)
            for told in commits:
                writer.apply(facts(states=(NOVA,)))
                writer.apply_all([Facts(spans=[*told[:5]]), Facts(spans=[*told[5:]])])
            found.append((writer.rows, read(writer.path)))
            writer.close()
    assert found[0] == found[1]
    ranks: dict[int, tuple[int, bool, int]] = {}
    for fact in (fact for told in commits for fact in told):
        rank = (fact.span.last_sent_ns, not fact.is_open, fact.span.probes)
        first_ns = fact.span.first_sent_ns
        ranks[first_ns] = max(rank, ranks.get(first_ns, rank))
    rows, spans = found[0]
    assert rows == len(ranks)
    assert {span.first_sent_ns: (span.last_sent_ns, span.probes) for span in spans} == {
        first_ns: (last_ns, probes) for first_ns, (last_ns, _, probes) in ranks.items()
    }


def _body(fact: SpanFact | Progress) -> Body:
    """Return what a worker sends to say so."""
    if isinstance(fact, Progress):
        return Body(progress=(fact,))
    return Body(spans=(SpanRow.of(fact.span, is_open=fact.is_open),))


def _expected(told: list[SpanFact | Progress]) -> list[Span]:
    through_ns = max(fact.through_ns for fact in told if isinstance(fact, Progress))
    best: dict[int, SpanFact] = {}
    for fact in told:
        if isinstance(fact, SpanFact):
            known = best.get(fact.span.first_sent_ns)
            rank = (fact.span.last_sent_ns, not fact.is_open)
            if known is None or rank > (known.span.last_sent_ns, not known.is_open):
                best[fact.span.first_sent_ns] = fact
    return [_grown(best[key], through_ns) for key in sorted(best)]


def _grown(fact: SpanFact, through_ns: int) -> Span:
    span, last_ns = fact.span, through_ns - ns(0.5)
    if not fact.is_open or last_ns <= span.last_sent_ns:
        return span
    return structs.replace(span, last_sent_ns=last_ns, widest_ns=max(span.widest_ns, ns(0.7)))


# --- open spans ---


def test_open_span_reaches_to_the_progress_of_its_own_worker(writer: JournalWriter, path: str) -> None:
    writer.apply(facts(up(0, 1), is_open=True, progress=Progress(FIRST, "answers", ns(30), ns(0.5), ns(0.7))))
    writer.apply(
        facts(
            up(40, 40, life=2), is_open=True, progress=Progress(SECOND, "answers", ns(60), ns(0.5), ns(0.7))
        )
    )
    assert [span.last_sent_ns for span in read(path)] == [ns(29.5), ns(59.5)]


def test_span_that_has_grown_is_as_widely_spaced_as_its_worker_says(writer: JournalWriter, path: str) -> None:
    for widest in (0.3, 0.7):
        writer.apply(
            facts(up(0, 1), is_open=True, progress=Progress(FIRST, "answers", ns(30 + widest), 1, ns(widest)))
        )
        assert [span.widest_ns for span in read(path)] == [max(ns(0.5), ns(widest))]


def test_progress_never_shortens_a_span(writer: JournalWriter, path: str) -> None:
    writer.apply(
        facts(up(0, 10), is_open=True, progress=Progress(FIRST, "answers", ns(10.2), ns(0.5), ns(0.7)))
    )
    assert read(path) == [up(0, 10)]


def test_ended_span_does_not_grow(writer: JournalWriter, path: str) -> None:
    writer.apply(facts(up(0, 10), progress=Progress(FIRST, "answers", ns(50), ns(0.5), ns(0.7))))
    assert read(path) == [up(0, 10)]


def test_late_word_on_an_open_span_does_not_open_it_again(writer: JournalWriter, path: str) -> None:
    writer.apply(facts(up(0, 10)))
    writer.apply(
        facts(up(0, 10), is_open=True, progress=Progress(FIRST, "answers", ns(50), ns(0.5), ns(0.7)))
    )
    assert read(path) == [up(0, 10)]


def test_a_run_may_get_another_label_at_its_end(writer: JournalWriter, path: str) -> None:
    writer.end_run(ns(31), label="night, cut short")
    writer.end_run(ns(32), label="too late")
    reader = JournalReader(path)
    assert reader.run() == writer.run == replace(RUN, end_ns=ns(31), label="night, cut short")
    reader.close()


def test_end_of_the_run_leaves_all_spans_as_they_were_read(writer: JournalWriter, path: str) -> None:
    writer.apply(facts(up(0, 1), is_open=True, progress=Progress(FIRST, "answers", ns(30), ns(0.5), ns(0.7))))
    before = read(path)
    writer.end_run(ns(31))
    writer.apply(facts(progress=Progress(FIRST, "answers", ns(99), ns(0.5), ns(0.7))))
    assert read(path) == before
    assert writer.run.end_ns == ns(31)
    writer.end_run(ns(77), interrupted=True)
    reader = JournalReader(path)
    assert reader.run() == replace(RUN, end_ns=ns(31))
    reader.close()


def test_targets_of_which_failed_spans_begin_in_certain_times_are_found(
    writer: JournalWriter, path: str
) -> None:
    writer.apply(
        facts(
            *(up(0, 9.5), down(10, 20), up(20.5, 50), down(70, 71)),
            *(span(Verdict.DOWN, 30, 31, target="address:172.16.166.151"), unknown(40, 41, target="aodh")),
        )
    )
    reader = JournalReader(path)
    for times, found in (
        ([(9, 9.9), (10.1, 29), (40, 41), (69, 69.5)], []),
        ([(10, 10)], [NOVA]),
        ([(0, 5), (29, 30)], [FLOATING]),
        ([(0, 30.5), (60, 80)], [FLOATING, NOVA]),
        ([], []),
    ):
        within = [(ns(start), ns(end)) for start, end in times]
        assert reader.failing(within) == [state.target.id for state in found]
    reader.close()


def test_targets_are_read_with_their_spans_in_the_order_asked_for(writer: JournalWriter, path: str) -> None:
    writer.apply(facts(up(0, 9.5), up(0, 3, check="works"), down(10, 20)))
    reader = JournalReader(path)
    assert list(reader.with_spans([NOVA.target.id, FLOATING.target.id])) == [
        (NOVA, [up(0, 9.5), down(10, 20), up(0, 3, check="works")]),
        (FLOATING, []),
    ]
    reader.close()


# --- the file ---


def test_reader_sees_one_state_while_the_writer_writes(writer: JournalWriter, path: str) -> None:
    writer.apply(facts(up(0, 1)))
    reader = JournalReader(path)
    spans = reader.spans()
    writer.apply(facts(down(1.5, 2), up(2.5, 3), states=(service("aodh"),)))
    assert list(spans) == [up(0, 1)]
    assert len(list(reader.targets())) == 2
    assert reader.through_ns() == ns(1)
    reader.close()
    assert len(read(path)) == 3


def test_journal_copied_in_mid_write_opens_with_what_was_committed(
    writer: JournalWriter, path: str, tmp_path: Path
) -> None:
    writer.apply(facts(up(0, 1)))
    writer.apply(facts(down(1.5, 2)))
    copy = str(tmp_path / "copy.sqlite")
    shutil.copy(path, copy)
    log = Path(f"{path}-wal").read_bytes()
    Path(f"{copy}-wal").write_bytes(log[:-2000])  # the last commit is torn
    assert read(copy) == [up(0, 1)]
    Path(f"{copy}-shm").unlink(missing_ok=True)
    again = JournalWriter(copy, RUN, ships=False)
    again.apply(facts(down(1.5, 2)))
    again.close()
    assert read(copy) == [up(0, 1), down(1.5, 2)]


def test_failed_transaction_leaves_no_trace(writer: JournalWriter, path: str) -> None:
    writer.apply(facts(up(0, 1)))
    bad = facts(up(0, 1, target="service:other"), up(5, 6), states=(service("other"),))
    bad.marks = [Mark(at_ns=1 << 70, text="beyond what SQLite can hold")]
    with pytest.raises(OverflowError):
        writer.apply(bad)
    assert writer.rows == 1
    assert read(path) == [up(0, 1)]
    writer.apply(facts(up(0, 1, target="service:other"), states=(service("other"),)))
    assert len(read(path)) == 2


def test_ended_run_is_one_plain_file(path: str) -> None:
    writer = JournalWriter(path, RUN, ships=False)
    writer.apply(facts(up(0, 1)))
    writer.end_run(ns(2))
    writer.close()
    assert read(path) == [up(0, 1)]
    assert [each.name for each in Path(path).parent.iterdir()] == [Path(path).name]
    assert Path(path).stat().st_mode & 0o777 == 0o640


def test_ended_run_gives_back_the_room_that_its_outbox_needed(path: str) -> None:
    writer = JournalWriter(path, RUN, ships=True)
    many = facts()
    many.samples = [Sample(target=NOVA.target.id, check="answers", sent_ns=i, up=True) for i in range(20_000)]
    writer.apply(many)
    rows = sqlite3.connect(path)
    (last,) = rows.execute("SELECT max(id) FROM outbox").fetchone()
    rows.close()
    writer.apply(Facts(delivered=Delivered(through_id=last)))
    full = writer.size_bytes()
    writer.end_run(ns(2))
    writer.close()
    assert Path(path).stat().st_size < full / 10


def test_run_that_goes_on_after_a_reboot_has_its_new_tie(path: str) -> None:
    JournalWriter(path, RUN, ships=False).close()
    tied = replace(RUN, boot_origin_ns=99, boot_id="boot-2")
    writer = JournalWriter(path, tied, ships=False)
    assert writer.run == tied
    writer.close()


def test_journal_of_another_run_is_refused(path: str) -> None:
    JournalWriter(path, RUN, ships=False).close()
    with pytest.raises(StoreError, match="the journal of run"):
        JournalWriter(path, replace(RUN, id=RunId("other")), ships=False)


def test_newer_layout_is_refused_by_name(path: str) -> None:
    JournalWriter(path, RUN, ships=False).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer downtimer"):
        JournalReader(path)
    with pytest.raises(StoreError, match="newer downtimer"):
        JournalWriter(path, RUN, ships=False)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0 and nothing more", b"text" * 500])
def test_foreign_file_is_an_error_of_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        JournalReader(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_sqlite_file_is_no_journal(tmp_path: Path) -> None:
    path = str(tmp_path / "other.sqlite")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    for use in (JournalReader, lambda file: JournalWriter(file, RUN, ships=False)):
        with pytest.raises(StoreError, match="not a journal of downtimer"):
            use(path)


def test_change_that_was_cut_off_halfway_is_undone_by_who_reads(path: str, tmp_path: Path) -> None:
    """So it may be where the power went while the run ended, and the journal left WAL mode."""
    writer = JournalWriter(path, RUN, ships=False)
    writer.apply(facts(up(0, 1)))
    writer.end_run(ns(2))
    writer.close()
    copy = tmp_path / "copy.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")  # so that pages are written before the end
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE span SET length_ns = 7, causes = zeroblob(100000)")
    for suffix in ("", "-journal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    connection.close()
    assert Path(f"{copy}-journal").stat().st_size > 0
    assert read(str(copy)) == [up(0, 1)]
    assert not Path(f"{copy}-journal").exists()


@pytest.mark.parametrize("stage", ["empty", "in WAL mode", "without a run"])
def test_journal_that_was_cut_off_while_it_was_made_is_told_so(path: str, stage: str) -> None:
    JournalWriter(path, RUN, ships=False).close()
    if stage != "without a run":
        Path(path).write_bytes(b"")
    connection = sqlite3.connect(path)
    connection.execute({"without a run": "DELETE FROM run"}.get(stage, "PRAGMA user_version"))
    connection.commit()
    if stage == "in WAL mode":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert (Path(path).stat().st_size == 0) is (stage == "empty")
    with pytest.raises(
        StoreError, match=f"cut off while it was made; `downtimer runs --delete {RUN.id}` rem"
    ):
        JournalReader(path)
    JournalWriter(path, RUN, ships=False).close()
    assert read(path) == []


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the journal"):
        JournalWriter(str(tmp_path / "file" / "runs" / "x.sqlite"), RUN, ships=False)


# --- the outbox ---


def test_facts_go_to_the_outbox_once(path: str) -> None:
    writer = JournalWriter(path, RUN, ships=True)
    batch = facts(up(0, 1), down(1.5, 2), up(2.5, 3))
    batch.samples = [Sample(target=NOVA.target.id, check="answers", sent_ns=5, up=True)]
    batch.marks = [Mark(at_ns=1, text="m")]
    writer.apply(batch)
    before = writer.outbox.points
    names = [line.partition(",")[0] for line in lines(path)]
    assert sorted(names) == sorted(
        ["runs", "targets", "targets", "spans", "spans", "spans", "marks", "service_response", "outages"]
    )
    batch.samples = []
    writer.apply(batch)
    assert writer.outbox.points == before == len(names)
    writer.close()


def test_outage_is_told_when_it_has_ended_and_with_its_bounds(path: str) -> None:
    writer = JournalWriter(path, RUN, ships=True)
    writer.apply(facts(up(0, 1), down(1.5, 2), unknown(2.1, 2.3), down(2.5, 3)))
    assert not [line for line in lines(path) if line.startswith("outages")]
    writer.apply(facts(up(3.5, 3.5), is_open=True))
    writer.apply(facts(up(3.5, 9)))
    (outage,) = [line for line in lines(path) if line.startswith("outages")]
    assert "name=nova" in outage
    assert "duration_s=2.0,min_s=1.5,max_s=2.5" in outage
    writer.close()


def test_end_of_the_run_is_the_last_point(path: str) -> None:
    writer = JournalWriter(path, RUN, ships=True)
    writer.apply(facts(up(0, 1), is_open=True, progress=Progress(FIRST, "answers", ns(30), ns(0.5), ns(0.7))))
    writer.end_run(ns(31))
    *_, span, end = lines(path)
    assert f"last_sent={RUN.start_utc_ns + ns(29.5)}i" in span
    assert end.startswith("runs,")
    assert "targets=2i,spans=1i,marks=0i,events=0i" in end
    writer.close()


def test_each_outage_of_one_commit_is_told(path: str) -> None:
    writer = JournalWriter(path, RUN, ships=True)
    writer.apply(facts(up(0, 1), down(1.5, 2), up(2.5, 3), down(3.5, 4), up(4.5, 5), down(5.5, 6)))
    assert len([line for line in lines(path) if line.startswith("outages")]) == 2
    writer.close()
    again = JournalWriter(path, RUN, ships=True)
    again.apply(facts(up(6.5, 7)))
    assert len([line for line in lines(path) if line.startswith("outages")]) == 3
    again.close()


def test_outbox_gives_its_points_in_order_and_in_loads(path: str) -> None:
    """Each as it is, one with line breaks, too; a load is no larger than a request may be."""
    writer = JournalWriter(path, RUN, ships=True)
    many = facts()
    many.samples = [
        Sample(target=NOVA.target.id, check="answers", sent_ns=i, up=True) for i in range(LINES_MAX)
    ]
    many.marks = [Mark(at_ns=7, text="step\n2"), Mark(at_ns=8, text="step 3")]
    writer.apply(many)
    reader = OutboxReader(path)
    after, found, loads = 0, list[str](), 0
    while load := reader.next(after):
        assert load.points == len(load.lines()) <= LINES_MAX
        assert load.text() == "\n".join(load.lines())
        after, loads = load.through_id, loads + 1
        found += load.lines()
    reader.close()
    assert found == lines(path)
    assert loads == 2
    assert len(found) == writer.outbox.points == LINES_MAX + 5
    assert [line for line in found if "\n" in line] == [line for line in found if "step\n2" in line] != []
    writer.close()


def test_full_outbox_gives_up_the_oldest_and_counts_them(path: str) -> None:
    writer = JournalWriter(path, RUN, ships=True, outbox_bytes_max=3_000)
    for second in range(30):
        writer.apply(facts(up(second, second + 0.5)))
    assert writer.outbox.dropped > 0
    assert writer.outbox.points == len(lines(path))
    dropped = writer.outbox.dropped
    writer.close()
    again = JournalWriter(path, RUN, ships=True, outbox_bytes_max=1 << 20)
    assert again.outbox.dropped == dropped
    again.end_run(ns(99))  # what was given up can still be had from the journal
    told = "\n".join(lines(path))
    assert all(f" {RUN.start_utc_ns + ns(second)}\n" in told for second in range(30))
    again.close()


def test_influxdb_configured_later_is_told_everything(path: str) -> None:
    writer = JournalWriter(path, RUN, ships=False)
    first = facts(up(0, 1), down(1.5, 2))
    first.events = [Event(at_ns=1, kind="restart", text="api")]
    writer.apply(first)
    assert lines(path) == []
    writer.close()
    writer = JournalWriter(path, RUN, ships=True)
    names = [line.partition(",")[0] for line in lines(path)]
    assert names == ["runs", "targets", "targets", "spans", "spans", "events"]
    writer.close()


def test_latency_windows_are_kept_once(writer: JournalWriter, path: str) -> None:
    window = LatencyWindow(
        target=NOVA.target.id, check="answers", start_ns=0, answers=3, min_ns=1, median_ns=2, max_ns=3
    )
    for answers in (3, 5, 4):
        more = facts()
        more.latencies = [msgspec.structs.replace(window, answers=answers)]
        writer.apply(more)
    with contextlib.closing(JournalReader(path)) as reader:
        assert reader.latencies(NOVA.target.id) == [Latency("answers", 0, 5, 1, 2, 3)]


def test_latency_windows_are_read_by_target_check_and_time(writer: JournalWriter, path: str) -> None:
    more = facts()
    more.latencies = [
        LatencyWindow(target=target, check=check, start_ns=at, answers=1, min_ns=1, median_ns=1, max_ns=1)
        for target in (NOVA.target.id, TargetId("service:glance"))
        for check in ("works", "answers")
        for at in (20, 10)
    ]
    writer.apply(more)
    with contextlib.closing(JournalReader(path)) as reader:
        found = [(window.check, window.start_ns) for window in reader.latencies(NOVA.target.id)]
        assert found == [("answers", 10), ("answers", 20), ("works", 10), ("works", 20)]
        assert reader.latencies(TargetId("service:unheard-of")) == []


# --- the folder ---


def make_run(state_dir: Path, number: int, *, end_ns: int | None = None) -> Run:
    """Make the journal of the run number N, which began N seconds after the first."""
    run = replace(
        RUN, id=RunId(f"20240101-000000-{number:04d}"), start_utc_ns=RUN.start_utc_ns + number * SECOND_NS
    )
    writer = JournalWriter(str(state_dir / "runs" / f"{run.id}.sqlite"), run, ships=False)
    writer.apply(
        facts(
            up(0, number), is_open=True, progress=Progress(FIRST, "answers", ns(number + 1), ns(0.5), ns(0.7))
        )
    )
    if end_ns is not None:
        writer.end_run(end_ns)
    writer.close()
    return run


def test_no_folder_is_no_runs(tmp_path: Path) -> None:
    assert list_runs(str(tmp_path)) == []
    assert last_run(str(tmp_path)) is None


def test_runs_are_listed_with_what_cannot_be_read(tmp_path: Path) -> None:
    make_run(tmp_path, 1, end_ns=ns(9))
    make_run(tmp_path, 2)
    (tmp_path / "runs" / "broken.sqlite").write_bytes(b"nothing of ours" * 100)
    first, second, broken = list_runs(str(tmp_path))
    assert (first.end_ns, first.targets, first.label, first.error) == (ns(9), 2, "zed", None)
    assert second.end_ns is None
    assert broken.error is not None
    assert first.size_bytes > 0


def test_last_run_tells_how_far_it_came(tmp_path: Path) -> None:
    make_run(tmp_path, 1, end_ns=ns(9))
    run = make_run(tmp_path, 2)
    last = last_run(str(tmp_path))
    assert last is not None
    assert (last.run, last.through_ns) == (run, ns(3))
    close_interrupted(last)
    again = last_run(str(tmp_path))
    assert again is not None
    assert again.run == replace(run, end_ns=ns(3), interrupted=True)


def test_only_what_is_asked_for_is_deleted(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        make_run(tmp_path, number)
    delete_run(str(tmp_path), RunId("20240101-000000-0002"))
    assert [entry.id[-1] for entry in list_runs(str(tmp_path))] == ["1", "3"]
    for name in ("20240101-000000-0002", "../runs/20240101-000000-0001", ""):
        with pytest.raises(StoreError, match="no run"):
            delete_run(str(tmp_path), RunId(name))


def test_prune_removes_the_oldest_but_never_the_run_under_way(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, number) for number in range(1, 6)]
    removed = prune(str(tmp_path), 2, never=runs[0].id)
    assert [entry.id for entry in removed] == [run.id for run in runs[1:4]]
    assert [entry.id for entry in list_runs(str(tmp_path))] == [runs[0].id, runs[4].id]
    assert [entry.id for entry in prune(str(tmp_path), 0, never=runs[0].id)] == [runs[4].id]


def test_progress_tells_how_long_a_call_has_hung(writer: JournalWriter, path: str) -> None:
    """Of the span nothing grows but that: no other call was made. So it is, too, when the run is cut off."""
    hung = down(10, 12, watched=14, check="works")
    writer.apply(facts(hung, is_open=True, progress=Progress(FIRST, "works", ns(30), 0, ns(2))))
    assert read(path) == [structs.replace(hung, watched_ns=ns(30))]
    writer.end_run(ns(31), interrupted=True)
    assert read(path) == [structs.replace(hung, watched_ns=ns(30))]


def test_journal_of_the_first_layout_is_lifted(writer: JournalWriter, path: str) -> None:
    """There progress was by worker, for all checks alike."""
    writer.apply(facts(up(0, 1), is_open=True, progress=Progress(FIRST, "answers", ns(30), ns(0.5), ns(0.7))))
    before = read(path)
    run = writer.run
    writer.close()
    connection = sqlite3.connect(path, isolation_level=None)
    for column in ("through_ns", "interval_ns", "widest_ns"):
        connection.execute(f"ALTER TABLE incarnation ADD COLUMN {column} INTEGER")
        connection.execute(f"UPDATE incarnation SET {column} = (SELECT {column} FROM progress)")  # noqa: S608 - ours
    connection.execute("DROP TABLE progress")
    connection.execute("ALTER TABLE span DROP COLUMN watched_ns")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(StoreError, match="older downtimer"):
        read(path)
    JournalWriter(path, run, ships=False).close()
    assert read(path) == before


def test_what_waited_in_the_former_layout_is_still_to_be_shipped(path: str) -> None:
    """There a row of the outbox was a JSON array."""
    writer = JournalWriter(path, RUN, ships=True)
    marked = facts(up(0, 1))
    marked.marks = [Mark(at_ns=1, text='two\nlines, "é"')]
    writer.apply(marked)
    writer.apply(facts(down(2, 3)))
    writer.close()
    before = lines(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM outbox")
    for some in (before[:3], before[3:]):
        row = (len(some), 1, msgspec.json.encode(some).decode())
        connection.execute("INSERT INTO outbox (points, bytes, lines) VALUES (?, ?, ?)", row)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    again = JournalWriter(path, RUN, ships=True)
    assert lines(path)[:-1] == before  # that the run goes on is said, too
    assert again.outbox.points == len(before) + 1
    again.close()
