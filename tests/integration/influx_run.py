"""A run with one of everything, on its way into InfluxDB and back out of it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from influxdb import InfluxDBClient

from downtimer.messages import AddressWindow, Progress, Sample, SpanFact
from downtimer.model import Event, Incarnation, Mark, Run, RunId, Span
from downtimer.sections import DbSection
from downtimer.store.influx import InfluxReader
from downtimer.store.journal import Facts, JournalWriter
from downtimer.store.reader import Reader
from tests.integration.influx_env import InfluxServer
from tests.unit.runs import address, down, ns, service, slow, unknown, up
from tests.writer_env import Bench, WorkerLink, WriterProcess

NOVA = service("nova")
FLOATING = address("172.16.166.151")
GATEWAY = address("172.16.166.1", reference=True)
ODD = [
    service(name, region="Region, One", id=f"service:{name}")
    for name in (
        "a b,c=d",
        'quoted "x"',
        "back\\slash",
        "ends in\\",
        "two\nlines",
        "\x1b[31mred",
        "percent%41",
        "Ž-Прага-中",
        "'; DROP DATABASE downtimer",
        "a|b",
        "a",
        "b\\,c",
    )
]
STATES = [NOVA, FLOATING, GATEWAY, *ODD]
OPEN = len(ODD) + 1
"""Spans that are open until the run ends."""

INCARNATION = Incarnation("api.1")


def client(server: InfluxServer) -> InfluxDBClient:
    """Return a client that is not ours."""
    return InfluxDBClient(server.host, server.port, database="downtimer")


def count(server: InfluxServer, measurement: str, field: str) -> int:
    """Return how many points there are; none where there is no database yet."""
    if {"name": "downtimer"} not in client(server).get_list_database():
        return 0
    found = client(server).query(f'SELECT count("{field}") FROM "{measurement}"')  # noqa: S608 - ours
    return sum(point["count"] for point in found.get_points())


def everything(reader: Reader) -> tuple[Run, Sequence[object], int]:
    """Return all that a reader has."""
    try:
        targets = list(reader.targets())
        facts = [
            *targets,
            *reader.with_spans(state.target.id for state in targets),
            *reader.marks(),
            *reader.events(),
        ]
        return reader.run(), facts, reader.through_ns()
    finally:
        reader.close()


def notes(db: DbSection, run: RunId | None = None) -> list[str]:
    """Return what InfluxDB lacks."""
    reader = InfluxReader(db, run)
    try:
        return reader.notes()
    finally:
        reader.close()


def all_spans() -> list[Span]:
    """Return spans of every verdict, on every target."""
    spans = []
    for state in STATES:
        target, check = state.target.id, "icmp" if state in (FLOATING, GATEWAY) else "answers"
        spans += [
            up(0, 10, target=target, check=check),
            down(10.5, 12, target=target, check=check, dated=10.2, causes={"refused": 3, "http-503": 1}),
            down(12.2, 12.2, target=target, check=check, watched=12.4, causes="timeout-answer"),
            slow(12.5, 13, target=target, check=check),
            unknown(13.5, 13.5, target=target, check=check, life=2),
        ]
    return [*spans, up(0, 3, target=NOVA.target.id, check="works")]


def fill(writer: JournalWriter) -> None:
    """Write one of everything."""
    facts = Facts(spans=[SpanFact(span, is_open=False) for span in all_spans()])
    facts.spans += [SpanFact(up(20, 20, target=state.target.id), is_open=True) for state in ODD]
    hung = down(21, 21, watched=23, target=NOVA.target.id)
    facts.spans.append(SpanFact(hung, is_open=True))
    facts.progress[INCARNATION, "answers"] = Progress(INCARNATION, "answers", ns(31), ns(0.5), ns(0.7))
    facts.add_states(STATES)
    facts.marks = [
        Mark(at_ns=5, text='step "1"\nand \\2'),
        Mark(at_ns=5, text="смена"),
        Mark(at_ns=1, text=""),
    ]
    facts.events = [Event(at_ns=9, kind="restart", text=text) for text in ("api\t", "icmp")]
    facts.samples = [
        Sample(target=NOVA.target.id, check="answers", sent_ns=ns(i / 10), up=True, latency_ns=i, status=200)
        for i in range(100)
    ]
    facts.addresses = [
        AddressWindow(target=FLOATING.target.id, start_ns=ns(i), sent=5, lost=1, rtt_mean_ns=7)
        for i in range(10)
    ]
    writer.apply(facts)
    learnt = replace(NOVA, retired_ns=ns(40), missing_ns=ns(39))
    writer.apply(Facts(states={NOVA.target.id: learnt}))


@contextlib.contextmanager
def filled_journal(folder: Path) -> Iterator[JournalWriter]:
    """Return a journal with one of everything, for InfluxDB too."""
    bench = Bench(folder)
    writer = JournalWriter(bench.journal, bench.run, ships=True)
    try:
        fill(writer)
        yield writer
    finally:
        writer.close()


def send_samples(worker: WorkerLink, epoch: str, serial: int, number: int = 50) -> None:
    """Send a batch of details, and a span, and wait for the acknowledgement."""
    samples = tuple(
        Sample(target=NOVA.target.id, check="answers", sent_ns=ns(serial) + i, up=True, latency_ns=i + 1)
        for i in range(number)
    )
    span = SpanFact(up(serial, serial + 0.5), is_open=False)
    worker.send(epoch, serial, span, samples=samples)
    worker.acknowledged(serial)


def wait_for_state(writer: WriterProcess, state: str, *, timeout_s: float = 30.0) -> None:
    """Wait until the writer says so of InfluxDB."""
    writer.wait(lambda: writer.state().influxdb == state, f"InfluxDB {state}", timeout_s=timeout_s)
