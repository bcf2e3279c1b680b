"""What the lines of a file tell of a run, as facts; whether they agree with each other. Pure.

Memory is bounded by the number of targets: what belongs to one check must be in order of time, and so must
marks and events, so that nothing needs to be kept to know it when it comes twice.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from downtimer.exchange.lines import EndLine, EventLine, LatencyLine, Line, MarkLine, SampleLine, SpanLine
from downtimer.exchange.samples import SampleTrack
from downtimer.exchange.translation import instant_ns, span_of, state_of, usual_check, verdict_of_sample
from downtimer.messages import LatencyWindow, Progress, SpanFact
from downtimer.model import SECOND_NS, Event, Incarnation, Kind, Mark, Run, Span, TargetId
from downtimer.report.wording import plural
from downtimer.store.facts import Facts

_SAMPLES: Final = Incarnation("samples")
_THROUGH: Final = Incarnation("import")

_TARGETS: Final = (*(kind.value for kind in Kind), "reference")

_NOUNS: Final = {
    "spans": "span",
    "samples": "sample",
    "latencies": "latency window",
    "marks": "mark",
    "events": "event",
}
"""What is said of lines, by their key."""

_Stamp = tuple[int, *tuple[str, ...]]
"""What puts lines of one kind in order; those of one instant by their texts."""


class Content:
    """Takes lines one by one, and has the facts that they tell.

    Args:
        run: The run.
        through_ns: Up to when everything is recorded, if the file says so.

    Attributes:
        counts: Lines by their key.
    """

    def __init__(self, run: Run, through_ns: int | None) -> None:
        self.counts: Counter[str] = Counter()
        self._nouns: Counter[str] = Counter()
        self._start_ns = run.start_utc_ns
        self._kinds: dict[TargetId, Kind] = {}
        self._last: dict[tuple[str, ...], _Stamp] = {}  # by kind of line, for some by target and check
        self._tracks: dict[tuple[TargetId, str], SampleTrack] = {}
        self._part = Facts()
        if through_ns is not None:  # no span is of this life, so nothing grows by it
            self._part.progress[_THROUGH, ""] = Progress(_THROUGH, "", through_ns, 0, 0)

    def told(self) -> str:
        """Return how much of each kind there is, for people; targets as reports count them."""
        counts = {
            **{noun: self._nouns[noun] for noun in _TARGETS},
            **{noun: self.counts[key] for key, noun in _NOUNS.items()},
        }
        return ", ".join(plural(count, noun) for noun, count in counts.items() if count) or "nothing"

    def part(self) -> Facts:
        """Return the facts that are new since the last call."""
        part, self._part = self._part, Facts()
        return part

    def take(self, line: Line) -> bool:
        """Take a line; return whether it is the last one.

        Raises:
            ValueError: It is wrong, or does not go with those before it.
        """
        if line.span is not None:
            self._span(line.span)
        elif line.sample is not None:
            self._sample(line.sample)
        elif line.latency is not None:
            self._latency(line.latency)
        elif line.target is not None:
            self._target(line.target)
        elif line.mark is not None:
            self._mark(line.mark)
        elif line.event is not None:
            self._event(line.event)
        elif line.end is not None:
            self._end(line.end)
            return True
        else:
            raise ValueError("a second `run`; a file has one")
        return False

    def _target(self, fields: dict[str, Any]) -> None:
        state = state_of(fields)
        target = state.target
        if target.id in self._kinds:
            raise ValueError(f"target {target.id!r:.200} is there twice")
        self._kinds[target.id] = target.kind
        self._part.states[target.id] = state
        self.counts["targets"] += 1
        self._nouns["reference" if target.reference else target.kind.value] += 1

    def _span(self, line: SpanLine) -> None:
        self._kind_of(line.target)
        span = span_of(line, self._start_ns)
        if (span.target, span.check) in self._tracks:
            raise ValueError("this check has samples already; it has either those or spans")
        self._follow("span", span.first_sent_ns, of=(span.target, span.check))
        self._part.spans.append(SpanFact(span, is_open=False))
        self.counts["spans"] += 1

    def _sample(self, line: SampleLine) -> None:
        kind = self._kind_of(line.target)
        check = usual_check(kind) if line.check is None else line.check
        key = (TargetId(line.target), check)
        track = self._tracks.get(key)
        if track is None:
            if ("span", *key) in self._last:
                raise ValueError("this check has spans already; it has either those or samples")
            track = self._tracks[key] = SampleTrack(key[0], kind, check, _SAMPLES)
        track.take(
            instant_ns(line.sent, self._start_ns),
            verdict_of_sample(line),
            line.cause,
            latency_ns=None if line.latency_s is None else round(line.latency_s * SECOND_NS),
            max_gap_ns=line.max_gap_ns,
        )
        self._add(*track.ended())
        self.counts["samples"] += 1

    def _latency(self, line: LatencyLine) -> None:
        self._kind_of(line.target)
        if not line.min_ns <= line.median_ns <= line.max_ns:
            raise ValueError("min_ns, median_ns, max_ns are not in that order")
        start_ns = instant_ns(line.start, self._start_ns)
        self._follow("latency", start_ns, of=(line.target, line.check))
        window = LatencyWindow(
            target=TargetId(line.target),
            check=line.check,
            start_ns=start_ns,
            answers=line.answers,
            min_ns=line.min_ns,
            median_ns=line.median_ns,
            max_ns=line.max_ns,
        )
        self._part.latencies.append(window)
        self.counts["latencies"] += 1

    def _mark(self, line: MarkLine) -> None:
        mark = Mark(at_ns=instant_ns(line.at, self._start_ns), text=line.text)
        self._follow("mark", mark.at_ns, mark.text)
        self._part.marks.append(mark)
        self.counts["marks"] += 1

    def _event(self, line: EventLine) -> None:
        event = Event(at_ns=instant_ns(line.at, self._start_ns), kind=line.kind, text=line.text)
        self._follow("event", event.at_ns, event.kind, event.text)
        self._part.events.append(event)
        self.counts["events"] += 1

    def _end(self, line: EndLine) -> None:
        for name in line.__struct_fields__:
            said, found = getattr(line, name), self.counts[name]
            if said is not None and said != found:
                raise ValueError(f"the file had {said} {name}, and {found} are there")
        for track in self._tracks.values():
            self._add(*track.close())

    def _kind_of(self, target: str) -> Kind:
        kind = self._kinds.get(TargetId(target))
        if kind is None:
            raise ValueError(
                f"target {target!r:.200} is not known; its own line comes before all that it has"
            )
        return kind

    def _follow(self, kind: str, at_ns: int, *texts: str, of: tuple[str, ...] = ()) -> None:
        """Note that a line of this kind stands here; it must come behind the one before it."""
        stamp: _Stamp = (at_ns, *texts)
        last = self._last.get((kind, *of))
        if last is not None and stamp <= last:
            what = (
                "is there twice" if stamp == last else "is before the last one; they must be in order of time"
            )
            raise ValueError(f"this {kind} {what}")
        self._last[kind, *of] = stamp

    def _add(self, spans: Iterable[Span], windows: Iterable[LatencyWindow]) -> None:
        self._part.spans.extend(SpanFact(span, is_open=False) for span in spans)
        self._part.latencies.extend(windows)
