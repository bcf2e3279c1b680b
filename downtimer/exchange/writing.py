"""A run -> the lines of its export, as it stood when its reader was opened."""

from collections.abc import Iterator

from downtimer.exchange.lines import EndLine, EventLine, Line, MarkLine, encode
from downtimer.exchange.translation import fields_of, head_of, latency_line, span_line
from downtimer.store.reader import Reader


def export(reader: Reader) -> Iterator[str]:
    """Yield the lines. Targets are read one at a time, and nothing of them is kept but their ids.

    Args:
        reader: Of the run. It stays open.
    """
    spans = latencies = 0
    marks, events = reader.marks(), reader.events()
    targets = [state.target.id for state in reader.targets()]
    run = reader.run()
    is_guessed = run.is_imported and not reader.tells_progress()
    yield encode(Line(run=head_of(run, None if is_guessed else reader.through_ns())))
    for state, theirs in reader.with_spans(targets):
        yield encode(Line(target=fields_of(state)))
        for span in theirs:
            yield encode(Line(span=span_line(span)))
        windows = reader.latencies(state.target.id)
        for window in windows:
            yield encode(Line(latency=latency_line(state.target.id, window)))
        spans += len(theirs)
        latencies += len(windows)
    for mark in marks:
        yield encode(Line(mark=MarkLine(at=mark.at_ns, text=mark.text)))
    for event in events:
        yield encode(Line(event=EventLine(at=event.at_ns, kind=event.kind, text=event.text)))
    end = EndLine(
        targets=len(targets), spans=spans, latencies=latencies, marks=len(marks), events=len(events)
    )
    yield encode(Line(end=end))
