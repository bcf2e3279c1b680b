"""The writer as a process: killed, lied to and filled up, it loses nothing that it acknowledged."""

import resource
import time
from pathlib import Path

import msgspec

from downtimer import messages
from downtimer.errors import ExitCode
from downtimer.messages import (
    Ack,
    Batch,
    Beat,
    CannotStart,
    Progress,
    Ready,
    Record,
    SpanFact,
    SpanRow,
    Targets,
)
from downtimer.model import Event, Incarnation, Mark, Span
from downtimer.store.journal import JournalReader, list_runs
from tests.fake_supervisor import TIMEOUT_S
from tests.unit.runs import address, down, ns, service, up
from tests.waiting import wait_until
from tests.writer_env import Bench, Teller

NOVA = service("nova")
INCARNATION = Incarnation("api.1")
FLOATING = address("172.16.166.151")


def read(bench: Bench) -> list[Span]:
    """Return what the journal holds."""
    reader = JournalReader(bench.journal)
    try:
        return list(reader.spans())
    finally:
        reader.close()


def test_facts_are_committed_and_then_acknowledged(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer, bench.worker() as worker:
        epoch = worker.greet()
        worker.send(
            epoch,
            1,
            SpanFact(up(0, 1), is_open=True),
            progress=(Progress(INCARNATION, "answers", ns(9), ns(0.5), ns(4.25)),),
        )
        worker.acknowledged(1)
        assert read(bench) == [up(0, 8.5, every=4.25)]
        writer.send(Record(marks=(Mark(at_ns=5, text="step"),)))
        writer.send(Record(events=(Event(at_ns=6, kind="restart", text="icmp"),)))
        writer.send(Targets(serial=2, whole=False, changed=(FLOATING,)))
        assert writer.finish_run(ns(10)) == ExitCode.DONE
        assert writer.state().rows == 1
    reader = JournalReader(bench.journal)
    assert list(reader.targets()) == [FLOATING, NOVA]
    assert reader.marks() == [Mark(at_ns=5, text="step")]
    assert reader.events() == [Event(at_ns=6, kind="restart", text="icmp")]
    assert reader.run().end_ns == ns(10)
    reader.close()
    assert writer.log == ""


def test_killed_between_batches_everything_is_there_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    spans = [up(second, second + 0.5) for second in range(40)]
    unacknowledged: dict[int, Span] = dict(enumerate(spans))
    with bench.worker() as worker:
        for life in range(4):
            with bench.writer([NOVA]) as writer:
                epoch = worker.greet()
                for serial, span in unacknowledged.items():
                    worker.send(epoch, serial, SpanFact(span, is_open=False))
                until = 10 * (life + 1)
                while unacknowledged and min(unacknowledged) < until:
                    answer = worker.hear()
                    assert answer is not None
                    if isinstance(answer, Ack) and answer.epoch == epoch:
                        unacknowledged.pop(answer.serial, None)
                writer.process.kill()
                acknowledged = [span for serial, span in enumerate(spans) if serial not in unacknowledged]
                assert [span for span in read(bench) if span in acknowledged] == acknowledged
    assert read(bench) == spans


def test_many_spans_told_at_once_are_there_once(tmp_path: Path) -> None:
    """And again at a checkpoint, with a writer that began in between."""
    bench = Bench(tmp_path)
    states = [address(f"10.0.{number // 250}.{number % 250}") for number in range(25_000)]
    spans = [up(0, 60, target=state.target.id, check="icmp") for state in states]
    rows = [SpanRow.of(span, is_open=True) for span in spans]
    with bench.worker() as link:
        with bench.writer(states) as writer:
            Teller(link).tell([msgspec.structs.replace(row, length_ns=0, probes=1) for row in rows])
            writer.wait(lambda: writer.state().rows == len(rows), "all of the rows")
        with bench.writer(states) as writer:
            Teller(link).tell(rows)
            writer.flush()
            assert writer.state().rows == len(rows)
    assert sorted(read(bench), key=lambda span: span.target) == sorted(spans, key=lambda span: span.target)


def test_batch_for_an_earlier_writer_is_dropped_and_its_sender_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer, bench.worker() as worker:
        worker.send("an earlier one", 1, SpanFact(up(0, 1), is_open=False))
        answer = worker.hear()
        assert isinstance(answer, Ready)
        writer.flush()
        assert read(bench) == []
        worker.send(answer.epoch, 1, SpanFact(up(0, 1), is_open=False))
        worker.acknowledged(1)
        assert read(bench) == [up(0, 1)]


def test_malformed_frames_change_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer, bench.worker() as worker:
        epoch = worker.greet()
        for frames in ([b""], [b"\xc1"], [b"a", b"b"], [b"\x80"], [b"x" * 70_000]):
            worker.send_raw(*frames)
        head = messages.encode(Batch(epoch=epoch, serial=1))
        worker.send_raw(head)
        worker.send_raw(head, b"\x91\xc1")
        worker.acknowledged(1)  # nothing can be made of it, however often it comes
        worker.send(epoch, 2, SpanFact(down(0, 1), is_open=False))
        worker.acknowledged(2)
        assert writer.finish_run(ns(2)) == ExitCode.DONE
    assert read(bench) == [down(0, 1)]
    assert writer.log.count("not a message of ours") == 6
    assert writer.log.count("1 frames make no message") == 1


def test_fact_that_no_journal_can_hold_does_not_hold_up_the_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer, bench.worker() as worker, bench.worker() as other:
        epoch = worker.greet()
        other.greet()
        bad = SpanFact(up(3, 10**10), is_open=False)  # ns of three centuries: beyond 63 bits
        worker.send(epoch, 1, bad)
        other.send(epoch, 1, SpanFact(up(0, 1), is_open=False))
        other.acknowledged(1)
        worker.acknowledged(1)
        assert writer.finish_run(ns(2)) == ExitCode.DONE
    assert read(bench) == [up(0, 1)]


def test_worker_that_has_gone_is_no_trouble(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer:
        for serial in range(3):
            with bench.worker() as worker:
                worker.send(worker.greet(), serial, SpanFact(up(serial, serial + 0.5), is_open=False))
        wait_until(lambda: len(read(bench)) > 0, timeout_s=TIMEOUT_S, what="a span")
        writer.flush()
        assert writer.process.poll() is None


def test_flush_is_answered_quickly(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer, bench.worker() as worker:
        epoch = worker.greet()
        began = time.monotonic()
        for serial in range(5):
            writer.flush()
            worker.send(epoch, serial, SpanFact(up(serial, serial + 0.5), is_open=False))
            worker.acknowledged(serial)
        assert time.monotonic() - began < 2.5  # a second each without the hurry


def test_beats_and_tells_how_the_journal_fares(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer, bench.worker() as worker:
        worker.send(worker.greet(), 1, SpanFact(up(0, 1), is_open=False))
        writer.wait_for(Beat, 2)
        writer.wait(lambda: writer.state().rows == 1, "a row")
        state = writer.state()
        assert state.size_bytes > 0
        assert (state.influxdb, state.backlog, state.error) == ("off", 0, None)


def test_full_disk_delays_facts_and_loses_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer, bench.worker() as worker:
        epoch = worker.greet()
        worker.send(epoch, 0, SpanFact(up(0, 0.5), is_open=False))
        worker.acknowledged(0)
        full = Path(f"{bench.journal}-wal").stat().st_size  # no file may become larger than this
        _, hard = resource.prlimit(writer.process.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        for serial in range(1, 9):
            worker.send(epoch, serial, SpanFact(up(serial, serial + 0.5), is_open=False))
        writer.wait(lambda: writer.state().journal_error is not None, "an error")
        assert worker.hear(timeout_s=2.0) is None
        writer.wait_for(Beat, len(writer.of_kind(Beat)) + 2)
        assert len(read(bench)) == 1
        resource.prlimit(writer.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        worker.acknowledged(8)
        writer.wait(lambda: writer.state().journal_error is None, "an end of the error")
        assert writer.finish_run(ns(9)) == ExitCode.DONE
    assert read(bench) == [up(serial, serial + 0.5) for serial in range(9)]
    assert writer.log.count("cannot write") == 1
    assert writer.log.count("can be written again") == 1


def test_journal_that_cannot_be_is_a_reason_not_to_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    Path(bench.journal).parent.mkdir()
    Path(bench.journal).write_bytes(b"something else" * 100)
    with bench.writer() as writer:
        (refusal,) = writer.wait_for(CannotStart)
        assert bench.journal in refusal.reason
        assert writer.process.wait(TIMEOUT_S) == ExitCode.CANNOT_START


def test_another_writer_goes_on_with_the_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.writer([NOVA]) as writer, bench.worker() as worker:
        worker.send(worker.greet(), 1, SpanFact(up(0, 1), is_open=False))
        worker.acknowledged(1)
        writer.process.kill()
        writer.process.wait()
    (entry,) = list_runs(str(tmp_path))
    assert (entry.end_ns, entry.targets) == (None, 1)
    with bench.writer() as writer:
        assert writer.state().rows == 1
        assert writer.finish_run(ns(5)) == ExitCode.DONE
    assert read(bench) == [up(0, 1)]
