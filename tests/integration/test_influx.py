"""The real InfluxDB: what it gives back is what the journal holds, whatever happened to it meanwhile."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from downtimer.errors import ExitCode, StoreError
from downtimer.messages import Record, Sample, SpanFact
from downtimer.model import Latency, Mark, RunId
from downtimer.sections import DbSection
from downtimer.store.influx import InfluxReader, list_runs
from downtimer.store.influxclient import AccessError, InfluxError
from downtimer.store.journal import Facts, JournalReader, JournalWriter
from downtimer.store.ship import ship
from tests.integration.influx_env import Credentials, InfluxServer, as_text, options, section
from tests.integration.influx_run import (
    FLOATING,
    NOVA,
    ODD,
    OPEN,
    STATES,
    all_spans,
    client,
    count,
    everything,
    filled_journal,
    notes,
    send_samples,
    wait_for_state,
)
from tests.unit.runs import address, ns, up
from tests.waiting import wait_until
from tests.writer_env import Bench

pytestmark = pytest.mark.untimed


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    """A journal with one of everything, for InfluxDB too."""
    with filled_journal(tmp_path) as writer:
        yield writer


# --- what is read back ---


def test_ended_run_reads_the_same_from_either_store(journal: JournalWriter, influxdb: InfluxServer) -> None:
    db = section(influxdb)
    journal.end_run(ns(50))
    assert ship(journal.path, db, 30).left == 0
    assert everything(InfluxReader(db, journal.run.id)) == everything(JournalReader(journal.path))
    assert notes(db) == []
    assert count(influxdb, "service_response", "value") == 100
    assert count(influxdb, "floating_ip_pings", "lost") == 10
    assert count(influxdb, "outages", "duration_s") == len(STATES)
    assert list_runs(db) == [journal.run]


def test_run_under_way_reads_the_same_and_says_that_it_is(
    journal: JournalWriter, influxdb: InfluxServer
) -> None:
    db = section(influxdb)
    assert ship(journal.path, db, 30).left == 0
    assert everything(InfluxReader(db, None)) == everything(JournalReader(journal.path))
    assert len(notes(db)) == 1


def test_latest_run_is_taken_where_none_is_named(tmp_path: Path, influxdb: InfluxServer) -> None:
    db = section(influxdb)
    for number in (1, 2):
        bench = Bench(tmp_path, number=number)
        writer = JournalWriter(bench.journal, bench.run, ships=True)
        writer.end_run(ns(1))
        writer.close()
        assert ship(bench.journal, db, 30).left == 0
    with contextlib.closing(InfluxReader(db, None)) as reader:
        assert reader.run().id == bench.run.id
    with pytest.raises(StoreError, match="no run nosuch"):
        InfluxReader(db, RunId("nosuch"))


def test_many_spans_are_read_in_pieces_and_in_order(tmp_path: Path, influxdb: InfluxServer) -> None:
    db = section(influxdb)
    bench = Bench(tmp_path)
    writer = JournalWriter(bench.journal, bench.run, ships=True)
    states = [address(f"10.0.{i // 250}.{i % 250}") for i in range(1_000)]
    facts = Facts()
    facts.add_states(states)
    facts.spans = [
        SpanFact(up(i, i + 0.5, target=state.target.id, check="icmp"), is_open=False)
        for state in states
        for i in range(30)
    ]
    writer.apply(facts)
    writer.end_run(ns(50))
    writer.close()
    assert ship(bench.journal, db, 60).left == 0
    assert everything(InfluxReader(db, None)) == everything(JournalReader(bench.journal))
    assert notes(db) == []


def test_what_is_missing_is_said(journal: JournalWriter, influxdb: InfluxServer) -> None:
    db = section(influxdb)
    journal.end_run(ns(50))
    assert ship(journal.path, db, 30).left == 0
    client(influxdb).query("DROP SERIES FROM spans WHERE target = 'service:nova'", method="POST")
    (note,) = notes(db)
    assert note.startswith("InfluxDB lacks 7 of the run's")


def test_latencies_of_a_service_are_those_of_its_samples(tmp_path: Path, influxdb: InfluxServer) -> None:
    bench = Bench(tmp_path)
    states = [NOVA, *ODD]
    facts = Facts()
    facts.add_states(states)
    for state in states:
        facts.spans.append(SpanFact(up(0, 30, target=state.target.id), is_open=False))
        facts.samples += [
            Sample(target=state.target.id, check=check, sent_ns=ns(at), up=True, latency_ns=ns(latency))
            for check, at, latency in [
                ("answers", 0, 0.001),
                ("answers", 4, 0.5),
                ("answers", 9.999, 0.003),
                ("works", 10, 0.123456789),
                ("answers", 29, 2),
            ]
        ]
        facts.samples += [  # answered, but badly; not answered
            Sample(
                target=state.target.id, check="answers", sent_ns=ns(5), up=False, latency_ns=1, status=503
            ),
            Sample(target=state.target.id, check="answers", sent_ns=ns(15), up=False, cause="refused"),
        ]
    with contextlib.closing(JournalWriter(bench.journal, bench.run, ships=True)) as writer:
        writer.apply(facts)
        writer.end_run(ns(30))
    db = section(influxdb)
    assert ship(bench.journal, db, 30).left == 0
    with contextlib.closing(InfluxReader(db, None)) as reader:
        for state in states:
            assert reader.latencies(state.target.id) == [
                Latency("answers", 0, 3, ns(0.001), ns(0.003), ns(0.5)),
                Latency("answers", ns(20), 1, ns(2), ns(2), ns(2)),
                Latency("works", ns(10), 1, 123_456_789, 123_456_789, 123_456_789),
            ]


def test_addresses_have_no_latencies(journal: JournalWriter, influxdb: InfluxServer) -> None:
    db = section(influxdb)
    assert ship(journal.path, db, 30).left == 0
    with contextlib.closing(InfluxReader(db, None)) as reader:
        assert reader.latencies(FLOATING.target.id) == []


# --- what InfluxDB refuses ---


def test_spans_of_targets_that_are_not_described_are_counted_not_dropped_in_silence(
    journal: JournalWriter, influxdb: InfluxServer
) -> None:
    journal.end_run(ns(50))
    db = section(influxdb)
    assert ship(journal.path, db, 30).left == 0
    client(influxdb).query(f"DROP SERIES FROM targets WHERE target = '{FLOATING.target.id}'", method="POST")
    said = "1 target has spans but no description; left out"
    assert notes(db) == [f"InfluxDB lacks 1 of the run's {len(STATES)} targets", said]
    with contextlib.closing(InfluxReader(db, None)) as reader:
        assert FLOATING.target.id not in {state.target.id for state in reader.targets()}


def test_point_of_another_type_is_set_apart_and_the_others_arrive(
    journal: JournalWriter, influxdb: InfluxServer
) -> None:
    db = section(influxdb)
    other = client(influxdb)
    other.create_database("downtimer")
    at_ns = journal.run.start_utc_ns  # InfluxDB keeps types by shard, a week each
    other.write(
        [f"marks text=5i {at_ns}", f"service_response value=1i {at_ns}"], {"db": "downtimer"}, 204, "line"
    )
    journal.end_run(ns(50))
    shipped = ship(journal.path, db, 30)
    journal.outbox.reload()
    assert (shipped.rejected, shipped.left) == (journal.outbox.rejected, 0)
    assert shipped.delivered >= len(all_spans()) + OPEN
    assert journal.outbox.rejected == 3 + 100
    assert count(influxdb, "spans", "last_sent") == len(all_spans()) + OPEN
    assert notes(db) == ["InfluxDB lacks 3 of the run's 3 marks"]


def test_wrong_password_is_told_at_once(tmp_path: Path, journal: JournalWriter) -> None:
    credentials = Credentials("admin", "right%horse")
    with InfluxServer(tmp_path / "influxdb", credentials=credentials) as server:
        with pytest.raises(AccessError) as caught:
            ship(journal.path, section(server, password="wrong%horse"), 30)
        assert "wrong%horse" not in str(caught.value)
        with pytest.raises(AccessError):
            ship(journal.path, section(server, user=None, password=None), 30)
        assert ship(journal.path, section(server), 30).left == 0
        reader = InfluxReader(section(server), None)
        assert len(list(reader.spans())) == len(all_spans()) + OPEN
        reader.close()


def test_server_that_is_not_there_is_an_error_of_one_line(journal: JournalWriter, tmp_path: Path) -> None:
    db = section(InfluxServer(tmp_path / "never-started"))
    with pytest.raises(InfluxError, match="Connection refused"):
        ship(journal.path, db, 30)
    with pytest.raises(InfluxError, match="Connection refused"):
        InfluxReader(db, None)


# --- the writer, at work ---


def test_stopped_in_the_middle_everything_arrives_in_the_end(tmp_path: Path, influxdb: InfluxServer) -> None:
    db = section(influxdb)
    bench = Bench(tmp_path, db=as_text(options(influxdb)))
    with bench.writer(STATES) as writer, bench.worker() as worker:
        epoch = worker.greet()
        send_samples(worker, epoch, 0)
        wait_until(lambda: count(influxdb, "service_response", "value") == 50, timeout_s=20, what="points")
        influxdb.stop()
        for serial in range(1, 4):
            send_samples(worker, epoch, serial)
        wait_for_state(writer, "failing")
        writer.wait(lambda: writer.state().backlog >= 150, "a backlog")
        assert "Connection refused" in (writer.state().error or "")
        influxdb.start()
        send_samples(worker, epoch, 4)
        wait_for_state(writer, "ok", timeout_s=60)
        assert writer.finish_run(ns(9), ship_s=30) == ExitCode.DONE
        assert writer.state().backlog == 0
    assert count(influxdb, "service_response", "value") == 250
    assert everything(InfluxReader(db, None)) == everything(JournalReader(bench.journal))
    assert notes(db) == []


def test_frozen_influxdb_delays_neither_commits_nor_beats(tmp_path: Path, influxdb: InfluxServer) -> None:
    db = section(influxdb)
    bench = Bench(tmp_path, db=as_text(options(influxdb)))
    with bench.writer(STATES) as writer, bench.worker() as worker:
        epoch = worker.greet()
        send_samples(worker, epoch, 0)
        wait_until(lambda: count(influxdb, "service_response", "value") == 50, timeout_s=20, what="points")
        influxdb.pause()
        for serial in range(1, 8):
            send_samples(worker, epoch, serial)
        wait_for_state(writer, "failing")
        assert writer.process.poll() is None
        influxdb.resume()
        assert writer.finish_run(ns(20), ship_s=30) == ExitCode.DONE
        assert writer.state().backlog == 0
    assert count(influxdb, "service_response", "value") == 400
    assert everything(InfluxReader(db, None)) == everything(JournalReader(bench.journal))


def test_database_that_vanishes_is_created_again(tmp_path: Path, influxdb: InfluxServer) -> None:
    bench = Bench(tmp_path, db=as_text(options(influxdb)))
    with bench.writer(STATES) as writer, bench.worker() as worker:
        epoch = worker.greet()
        send_samples(worker, epoch, 0)
        wait_until(lambda: count(influxdb, "service_response", "value") == 50, timeout_s=20, what="points")
        client(influxdb).drop_database("downtimer")
        send_samples(worker, epoch, 1)
        wait_until(lambda: count(influxdb, "service_response", "value") == 50, timeout_s=20, what="points")
        assert writer.finish_run(ns(20), ship_s=30) == ExitCode.DONE


def test_writer_killed_while_it_ships_leaves_nothing_out_and_nothing_twice(
    tmp_path: Path, influxdb: InfluxServer
) -> None:
    db = section(influxdb)
    bench = Bench(tmp_path, db=as_text(options(influxdb)))
    with bench.worker() as worker:
        for life in range(3):
            with bench.writer(STATES) as writer:
                send_samples(worker, worker.greet(), life, 20_000)
                writer.process.kill()
        with bench.writer(STATES) as writer:
            assert writer.finish_run(ns(20), ship_s=60) == ExitCode.DONE
            assert writer.state().backlog == 0
    assert count(influxdb, "service_response", "value") == 60_000
    assert everything(InfluxReader(db, None)) == everything(JournalReader(bench.journal))


def test_what_one_run_left_the_next_delivers(tmp_path: Path, influxdb: InfluxServer) -> None:
    db = section(influxdb)
    influxdb.stop()
    earlier = Bench(tmp_path, db=as_text(options(influxdb)), number=1)
    with earlier.writer(STATES) as writer, earlier.worker() as worker:
        send_samples(worker, worker.greet(), 0)
        writer.send(Record(marks=(Mark(at_ns=5, text="step"),)))
        assert writer.finish_run(ns(9), ship_s=0.5) == ExitCode.DONE
        assert writer.state().backlog > 50
    influxdb.start()
    later = Bench(tmp_path, db=as_text(options(influxdb)), number=2)
    with later.writer(STATES) as writer:
        wait_until(lambda: _is_complete(db, earlier.run.id), timeout_s=30, what="the earlier run")
        assert writer.finish_run(ns(9), ship_s=30) == ExitCode.DONE
    for bench in (earlier, later):
        assert everything(InfluxReader(db, bench.run.id)) == everything(JournalReader(bench.journal))


def _is_complete(db: DbSection, run: RunId) -> bool:
    try:
        return notes(db, run) == []
    except StoreError:
        return False  # not even begun


def test_wrong_credentials_never_stop_the_measurement(tmp_path: Path) -> None:
    credentials = Credentials("admin", "right%horse")
    with InfluxServer(tmp_path / "influxdb", credentials=credentials) as server:
        bench = Bench(tmp_path, db=as_text(options(server, password="wrong%horse")))
        with bench.writer([NOVA]) as writer, bench.worker() as worker:
            send_samples(worker, worker.greet(), 0)
            wait_for_state(writer, "failing")
            assert "credentials" in (writer.state().error or "")
            assert writer.finish_run(ns(9), ship_s=1) == ExitCode.DONE
            assert writer.state().backlog > 50
        assert "wrong%horse" not in writer.log
        assert b"wrong%horse" not in Path(bench.journal).read_bytes()
        assert ship(bench.journal, section(server), 30).left == 0
