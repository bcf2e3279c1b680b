"""Storage: what it costs to keep, and to ship, what many addresses tell.

Spans: a worker's own outbox tells a real writer process of 100,000 addresses at once, as when a run begins,
and again, as at a checkpoint. The writer's CPU is all that it uses from the first frame to the last
acknowledgement, its signs of life included; its memory is the growth of its resident set meanwhile. The
memory of the worker's outbox is the peak of what Python allocates from the first span until all are
acknowledged.

Points: windows of 1,000 addresses and samples of services, four to one, 200,000 in all, go the whole way:
from the frames of a worker into the journal's outbox, to a real InfluxDB 1.6 on the same machine, and out of
the outbox again, which stops the clock. How fast they are put into the outbox was measured apart, in one
process: decoded, made lines of, and committed.

The journal: a day of 10,000 addresses, 1 % of which (other ones each time) fail for 30 s every ten minutes,
and of ten services with 21 checks, written minute by minute, with a checkpoint every ten minutes, and without
InfluxDB. The tables were measured in one process, once; 100,000 addresses have four checkpoints there.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

from downtimer import messages
from downtimer.messages import Ack, AddressWindow, Batch, Ready, Sample, SpanRow
from downtimer.model import ANSWERS, MILLISECOND_NS, SECOND_NS, Run, RunId, TargetState
from downtimer.store.journal import Facts, JournalWriter
from downtimer.store.schema import connect_to_read
from downtimer.store.ship import has_leftovers
from downtimer.workers.intake import Intake, Received
from downtimer.workers.outbox import Outbox
from tests.bench.figures import Figure, Growth, Results
from tests.bench.flapping import CHECKPOINTS_EVERY, MINUTE_NS, MINUTES, Day, addresses, services
from tests.bench.processes import cpu_s, peak_mb
from tests.integration.influx_env import InfluxServer
from tests.waiting import wait_until
from tests.writer_env import Bench, Teller, WriterProcess, put

MANY: Final = 100_000
SIZES: Final = (1_000, 10_000, 100_000)
WINDOWS: Final = 160_000
SAMPLES: Final = 40_000
_MB: Final = 1e6
_PATIENCE_S: Final = 300.0
_RUN: Final = Run(
    id=RunId("20240101-000000-0001"),
    label="",
    vantage="bench",
    cloud="",
    start_utc_ns=1_700_000_000_000_000_000,
    boot_origin_ns=0,
    boot_id="",
)


def measure(directory: Path, runs: int) -> Results:
    """Measure it."""
    told = [_tell_spans(directory / f"spans-{number}") for number in range(runs)]
    memory = tuple(_memory() for _ in range(runs))
    stored = tuple(_put(directory / f"outbox-{number}") for number in range(runs))
    shipped = [_ship(directory / f"points-{number}") for number in range(runs)]
    days = tuple(_day(directory / f"day-{number}", 10_000)[1] for number in range(runs))
    figures = (
        Figure(
            what="CPU of the writer for each of 100,000 new spans",
            values=_column(told, 0),
            unit="µs",
            at_most=8,
        ),
        Figure(
            what="CPU of the writer for each of 100,000 spans at a checkpoint",
            values=_column(told, 1),
            unit="µs",
            at_most=8,
        ),
        Figure(what="memory that the writer needs for them", values=_column(told, 2), unit="MB"),
        Figure(what="memory that the worker's outbox needs for them", values=memory, unit="MB", at_most=30),
        Figure(what="points put into the outbox", values=stored, unit="/s"),
        Figure(what="points shipped", values=_column(shipped, 0), unit="/s", at_least=20_000),
        Figure(what="CPU of the writer for each of them", values=_column(shipped, 1), unit="µs"),
        Figure(what="CPU of InfluxDB for each of them", values=_column(shipped, 2), unit="µs"),
        Figure(
            what="journal after a day of 10,000 addresses, 1 % flapping every ten minutes",
            values=days,
            unit="MB",
            at_most=100,
        ),
    )
    return Results(figures, (_growth_of_commits(directory), _growth_of_journals(directory)))


# --- spans ---


@contextmanager
def _writer(
    folder: Path, states: list[TargetState], db: str = ""
) -> Iterator[tuple[WriterProcess, Teller, Bench]]:
    """Have a writer that knows these targets, and a worker."""
    bench = Bench(folder, db=db)
    with bench.writer(states) as writer, bench.worker("icmp") as link:
        worker = Teller(link)
        _wait(lambda: _targets(bench.journal) == len(states), "the targets in the journal")
        yield writer, worker, bench


def _targets(journal: str) -> int:
    """Return how many targets a journal knows."""
    connection = connect_to_read(journal)
    try:
        return int(connection.execute("SELECT count(*) FROM target WHERE state IS NOT NULL").fetchone()[0])
    finally:
        connection.close()


def _tell_spans(folder: Path) -> tuple[float, float, float]:
    """Return the CPU of the writer for a new span and one at a checkpoint, in µs, and its memory in MB."""
    states = addresses(MANY)
    day = Day(states)
    with _writer(folder, states) as (writer, worker, _):
        pid = writer.process.pid
        before_mb = _begin_peak(pid)
        spent = [cpu_s(pid)]
        for at_ns in (0, 10 * MINUTE_NS):
            worker.tell(day.open_spans(at_ns))
            spent.append(cpu_s(pid))
        new, grown = (1e6 * (after - before) / MANY for before, after in pairwise(spent))
        return new, grown, peak_mb(pid) - before_mb


def _memory() -> float:
    """Return the room that a worker needs for the first words on many spans, in MB."""
    day = Day(addresses(MANY))
    sent: list[int] = []

    def send(frames: Iterable[bytes]) -> bool:
        head, _ = frames
        batch = messages.POINTS_UP.decode(head)
        sent.append(batch.serial if isinstance(batch, Batch) else 0)
        return True

    outbox = Outbox(send)
    outbox.ready(Ready(epoch="e"), 0)
    tracemalloc.start()
    try:
        for row in day.open_spans(0):
            outbox.row(row)
        last = outbox.last_serial()
        while not outbox.has_delivered(last):
            outbox.pump(0)
            outbox.ack(Ack(epoch="e", serial=sent.pop(0)), 0)
        return tracemalloc.get_traced_memory()[1] / _MB
    finally:
        tracemalloc.stop()


# --- points ---


def _ship(folder: Path) -> tuple[float, float, float]:
    """Return points shipped a second, and for each of them the CPU of the writer and of InfluxDB, in µs."""
    states = addresses(SIZES[0])
    count = WINDOWS + SAMPLES
    with InfluxServer(folder / "influxdb") as server:
        db = f"[db]\nhost = {server.host}\nport = {server.port}\n"
        with _writer(folder, states + services(), db) as (writer, worker, bench):
            _wait(lambda: not has_leftovers(bench.journal), "an empty outbox")
            pids = writer.process.pid, server.pid
            before, began = [cpu_s(pid) for pid in pids], time.monotonic()
            worker.tell_details(_details(states))
            _wait(lambda: not has_leftovers(bench.journal), "an empty outbox")
            took_s = time.monotonic() - began
            spent = [1e6 * (cpu_s(pid) - had) / count for pid, had in zip(pids, before, strict=True)]
        series = server.query('SELECT count("sent") FROM "floating_ip_pings"')
        if series[0]["values"][0][1] != WINDOWS:
            raise RuntimeError(f"InfluxDB has {series[0]['values'][0][1]} of {WINDOWS} windows")
        return count / took_s, spent[0], spent[1]


def _put(folder: Path) -> float:
    """Return how many points a second go from what workers sent into the outbox of a journal, on disk."""
    states = addresses(SIZES[0])
    writer = JournalWriter(str(folder / "journal.sqlite"), _RUN, ships=True)
    try:
        known = Facts()
        known.add_states(states + services())
        writer.apply(known)
        wall_s, _ = _commit(writer, _details(states))
        return (WINDOWS + SAMPLES) / wall_s
    finally:
        writer.close()


def _details(states: list[TargetState]) -> Iterator[AddressWindow | Sample]:
    """Yield windows of addresses, and after each four of them a sample of a service."""
    names = [state.target.id for state in services()]
    for number in range(WINDOWS):
        yield AddressWindow(
            target=states[number % len(states)].target.id,
            start_ns=number // len(states) * 10 * SECOND_NS,
            sent=50,
            lost=number % 3,
            rtt_min_ns=200_000 + number,
            rtt_mean_ns=400_000 + number,
            rtt_max_ns=900_000 + number,
        )
        if number % (WINDOWS // SAMPLES) == 0:
            yield Sample(
                target=names[number // 4 % len(names)],
                check=ANSWERS,
                sent_ns=number * MILLISECOND_NS,
                up=True,
                latency_ns=3_000_000 + number,
                status=200,
            )


def _wait(is_so: Callable[[], bool], what: str) -> None:
    wait_until(is_so, timeout_s=_PATIENCE_S, what=what)


# --- the journal ---


def _day(folder: Path, count: int, *, checkpoints_every: int = CHECKPOINTS_EVERY) -> tuple[float, float]:
    """Return the size of a journal in MB after a minute, and after a day."""
    states = addresses(count)
    day = Day(states, checkpoints_every=checkpoints_every)
    writer = JournalWriter(str(folder / "day.sqlite"), _RUN, ships=False)
    try:
        facts = Facts(spans=[*day.open_spans(0)])
        facts.add_states(states + services())
        writer.apply(facts)
        sizes: list[float] = []
        for body in day.minutes(MINUTES):
            told = Facts()
            told.add(body)
            writer.apply(told)
            sizes = [*sizes[:1], writer.size_bytes() / _MB]
        return sizes[0], sizes[-1]
    finally:
        writer.close()


def _growth_of_commits(directory: Path) -> Growth:
    rows = []
    for count in SIZES:
        states = addresses(count)
        day = Day(states)
        writer = JournalWriter(str(directory / f"commits-{count}" / "journal.sqlite"), _RUN, ships=False)
        known = Facts()
        known.add_states(states)
        writer.apply(known)
        costs = [_commit(writer, day.open_spans(minutes * MINUTE_NS)) for minutes in (0, 10)]
        writer.close()
        rows.append((count, *(figure for wall, cpu in costs for figure in (1e3 * wall, 1e6 * cpu / count))))
    columns = ("Spans", "New: commit, ms", "CPU each, µs", "Checkpoint: commit, ms", "CPU each, µs")
    return Growth(what="What many spans cost to commit", columns=columns, rows=tuple(rows))


def _commit(writer: JournalWriter, told: Iterable[SpanRow | AddressWindow | Sample]) -> tuple[float, float]:
    """Return how long a commit of all of these takes once they are received, and its CPU, in s."""
    intake = Intake()

    def send(frames: Iterable[bytes]) -> bool:
        head, body = frames
        batch = messages.POINTS_UP.decode(head)
        assert isinstance(batch, Batch)
        intake.add_batch((b"", batch.serial), Received(body))
        outbox.ack(Ack(epoch="e", serial=batch.serial), 0)
        return True

    outbox = Outbox(send)
    outbox.ready(Ready(epoch="e"), 0)
    for fact in told:
        put(outbox, fact)
        if not outbox.has_room:
            outbox.pump(0)
    outbox.pump(0)
    cpu, wall = time.process_time(), time.monotonic()
    writer.apply_all(facts for _, facts in intake.parts())
    return time.monotonic() - wall, time.process_time() - cpu


def _growth_of_journals(directory: Path) -> Growth:
    rows = []
    for count in SIZES:
        every = CHECKPOINTS_EVERY if count < MANY else 36 * CHECKPOINTS_EVERY
        rows.append((count, *_day(directory / f"journal-{count}", count, checkpoints_every=every)))
    columns = ("Addresses", "MB after a minute", "MB after a day, 1 % flapping")
    return Growth(what="The size of the journal", columns=columns, rows=tuple(rows))


def _column(rows: Sequence[tuple[float, ...]], number: int) -> tuple[float, ...]:
    return tuple(row[number] for row in rows)


def _begin_peak(pid: int) -> float:
    """Have the kernel forget the peak of a process's resident set; return what it is now, in MB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # see proc(5)
    return peak_mb(pid)
