"""Points for InfluxDB that are made from what the journal holds, rather than from a fact at hand."""

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from downtimer.brackets import CheckOutage, find_outages
from downtimer.cells import is_good
from downtimer.model import Span, TargetState, Verdict
from downtimer.store.lines import LineMaker
from downtimer.store.reading import read_events, read_marks, read_spans, read_spans_before

_STATE: Final = msgspec.json.Decoder(TargetState)


def know_targets(connection: sqlite3.Connection, lines: LineMaker) -> None:
    """Tell the maker of lines of all targets that the journal knows."""
    for (state,) in connection.execute("SELECT state FROM target WHERE state IS NOT NULL"):
        lines.know(_STATE.decode(state).target)


def everything(connection: sqlite3.Connection, lines: LineMaker) -> Iterator[str | None]:
    """Yield all that a report is made from, but the run itself."""
    states = connection.execute("SELECT version, state FROM target WHERE state IS NOT NULL")
    for version, state in states:
        yield lines.target(_STATE.decode(state), version, state)
    for fact in read_spans(connection):
        yield lines.span(fact.span, is_open=fact.is_open)
    yield from map(lines.mark, read_marks(connection))
    yield from map(lines.event, read_events(connection))


def outages_ended_by(
    connection: sqlite3.Connection, lines: LineMaker, target_key: int, good: Span
) -> Iterator[str | None]:
    """Yield the outages of one check that the good answers of a new span have ended.

    Args:
        connection: The journal's, which holds the span.
        lines: Of the run.
        target_key: The number that stands for the span's target.
        good: The new span.
    """
    before = read_spans_before(connection, target_key, good.check, good.first_sent_ns)
    ended = _ended_outages(before)
    if ended:
        query = "SELECT state FROM target WHERE key = ?"
        (state,) = connection.execute(query, (target_key,)).fetchone()
        target = _STATE.decode(state).target
        name = target.name if target.host is None else f"{target.name} on {target.host}"
        for outage in ended:
            yield lines.outage(good.target, name, outage)


def _ended_outages(backwards: Iterator[Span]) -> list[CheckOutage]:
    """Return the outages between the first span and the next good one before it."""
    spans: list[Span] = []
    for span in backwards:
        spans.append(span)
        if is_good(span) and len(spans) > 1:
            break
    if not any(span.verdict is Verdict.DOWN for span in spans):
        return []
    spans.reverse()
    window = (spans[0].first_sent_ns, spans[-1].last_sent_ns)
    return [outage for outage in find_outages(spans, window) if not outage.is_ongoing]
