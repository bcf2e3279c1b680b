"""A report that reads target by target comes to the figures that one with everything in memory comes to.

Runs with all that needs several targets to be judged: a link of ours that fails, references that lose echoes,
a Keystone that fails and takes others with it; and workers that were restarted, addresses that were retired,
spans that are still open.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import structs

from downtimer import impairment, vantage
from downtimer.findings import TargetSummary
from downtimer.intervals import Interval, unite
from downtimer.messages import Progress, SpanFact
from downtimer.model import (
    ANSWERS,
    ICMP,
    MILLISECOND_NS,
    SECOND_NS,
    WORKS,
    Baseline,
    Incarnation,
    Kind,
    Run,
    RunId,
    Span,
    TargetId,
    TargetState,
    Verdict,
)
from downtimer.outages import summarize, summarize_any
from downtimer.report.summary import build
from downtimer.store.journal import Facts, JournalReader, JournalWriter
from downtimer.tracker import Outcome, Tracker
from tests.unit.runs import address, ns, service

UNTIL_NS: Final = 100 * SECOND_NS
MAX_GAP_NS: Final = 2 * SECOND_NS
RUN: Final = Run(
    id=RunId("20240101-000000-0001"),
    label="",
    vantage="here",
    cloud="",
    start_utc_ns=1_700_000_000_000_000_000,
    boot_origin_ns=0,
    boot_id="",
)
_CHECK: Final = attrgetter("check")


@dataclass(frozen=True)
class Probed:
    """A check.

    Attributes:
        state: Of its target.
        check: Its name.
        interval_ns: How often it is probed.
        phase_ns: When first.
        faults: When it fails by itself.
        cause: How it does.
    """

    state: TargetState
    check: str
    interval_ns: int
    phase_ns: int
    faults: Sequence[Interval]
    cause: str

    def spans(self, link: Sequence[Interval], restart_ns: int) -> list[Span]:
        """Return what comes of it with a link that was down at times, and a worker that was restarted."""
        told: dict[int, Span] = {}

        def emit(span: Span, *, is_open: bool) -> None:
            assert span.probes == 1 or not is_open
            told[span.first_sent_ns] = span

        for life, begin_ns, end_ns in ((1, 0, restart_ns), (2, restart_ns, UNTIL_NS)):
            tracker = Tracker(self.state.target.id, self.check, _life(self.check, life), emit)
            for sent_ns in range(self.phase_ns, UNTIL_NS, self.interval_ns):
                if begin_ns <= sent_ns < end_ns:
                    tracker.issue(sent_ns)
                    tracker.resolve(sent_ns, self._outcome(sent_ns, link))
            tracker.close()
        return list(told.values())

    def _outcome(self, sent_ns: int, link: Sequence[Interval]) -> Outcome:
        if any(start_ns <= sent_ns < end_ns for start_ns, end_ns in link):
            cause = "no-reply" if self.check == ICMP else "timeout-connect"
            return Outcome(Verdict.DOWN, cause, MAX_GAP_NS)
        if any(start_ns <= sent_ns < end_ns for start_ns, end_ns in self.faults):
            return Outcome(Verdict.DOWN, self.cause, MAX_GAP_NS)
        return Outcome(Verdict.UP, None, MAX_GAP_NS)


@dataclass(frozen=True)
class Cloud:
    """A run: what is probed, when our link was down, and when the workers were restarted."""

    checks: Sequence[Probed]
    link: Sequence[Interval]
    restart_ns: int

    def write(self, path: str) -> None:
        """Write it as the journal of a run that goes on: what came last of each check is still open."""
        facts = Facts(states={one.state.target.id: one.state for one in self.checks})
        for one in self.checks:
            *ended, last = one.spans(self.link, self.restart_ns)
            facts.spans += [SpanFact(span, is_open=False) for span in ended]
            bare = structs.replace(last, last_sent_ns=last.first_sent_ns, probes=1, widest_ns=0)
            is_up = last.verdict is Verdict.UP
            facts.spans.append(SpanFact(bare if is_up else last, is_open=is_up))
            life = last.incarnation
            through_ns = UNTIL_NS + one.interval_ns
            facts.progress[life, one.check] = Progress(life, one.check, through_ns, SECOND_NS, SECOND_NS // 2)
        with contextlib.closing(JournalWriter(path, RUN, ships=False)) as writer:
            writer.apply(facts)


def _life(check: str, life: int) -> Incarnation:
    return Incarnation(f"{'icmp' if check == ICMP else 'api'}.{life}")


def _milliseconds(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most).map(lambda value: value * MILLISECOND_NS)


@st.composite
def faults(draw: st.DrawFn, lengths_ms: Sequence[int], most: int = 3) -> list[Interval]:
    """Draw times in which something is down, seconds apart."""
    at_ns, found = 10 * SECOND_NS, []
    for _ in range(draw(st.integers(0, most))):
        at_ns += draw(_milliseconds(1_000, 25_000))
        end_ns = at_ns + draw(st.sampled_from(lengths_ms)) * MILLISECOND_NS
        found.append((at_ns, end_ns))
        at_ns = end_ns
    return found


LENGTHS: Final = (50, 300, 1_500, 8_000)


@st.composite
def clouds(draw: st.DrawFn) -> Cloud:
    """Draw a run."""
    normal = {name: Baseline(latency_ns=ns(0.01)) for name in (ICMP, ANSWERS, WORKS)}

    def probed(state: TargetState, check: str, causes: Sequence[str], lengths: Sequence[int]) -> Probed:
        interval_ns = draw(st.sampled_from([200, 500])) * MILLISECOND_NS
        failing, cause = draw(faults(lengths)), draw(st.sampled_from(causes))
        return Probed(state, check, interval_ns, draw(_milliseconds(0, 199)), failing, cause)

    def known(state: TargetState) -> TargetState:
        return replace(state, baselines=normal) if draw(st.booleans()) else state

    checks = [
        probed(known(address(f"10.9.9.{i}", reference=True)), ICMP, ["no-reply"], (50, 50, 3_000))
        for i in range(draw(st.integers(0, 2)))
    ]
    for i in range(draw(st.integers(1, 5))):
        state = known(address(f"10.0.0.{i}"))
        if draw(st.sampled_from([False, False, False, True])):
            state = replace(state, listed_ns=ns(30), missing_ns=ns(60), retired_ns=ns(65))
        checks.append(probed(state, ICMP, ["no-reply", "unreachable"], LENGTHS))
    keystone = service("keystone")
    keystone = replace(keystone, target=replace(keystone.target, service_type="identity"))
    checks += [
        probed(known(keystone), ANSWERS, ["refused", "timeout-answer"], LENGTHS),
        probed(known(service("nova")), ANSWERS, ["refused", "timeout-answer"], LENGTHS),
    ]
    failing = checks[-2].faults if draw(st.booleans()) else draw(faults(LENGTHS))
    cause = draw(st.sampled_from(["http-401", "http-503-keystone", "timeout-answer", "http-500"]))
    checks.append(Probed(checks[-1].state, WORKS, SECOND_NS, draw(_milliseconds(0, 900)), failing, cause))
    return Cloud(checks, draw(faults((300, 1_500, 8_000), 2)), draw(st.sampled_from([UNTIL_NS, ns(47.3)])))


# --- with everything in memory ---


def whole(reader: JournalReader) -> list[TargetSummary]:
    """Return the figures of all targets but references, with all spans at hand."""
    states = {state.target.id: state for state in reader.targets()}
    spans: dict[TargetId, list[Span]] = {target: [] for target in states}
    for span in reader.spans():
        spans[span.target].append(span)
    blind = _find_blind(states, spans, reader.through_ns())
    event("blind" if blind else "never blind")
    known = {target: _without_link(states[target], theirs, blind) for target, theirs in spans.items()}
    failing = _find_failing(states, known, reader.through_ns())
    event("Keystone failed" if failing else "Keystone worked")
    found = []
    for target, state in states.items():
        theirs = known[target]
        if state.target.kind is Kind.SERVICE and state.target.service_type != "identity":
            theirs = list(impairment.attribute(theirs, failing))
        if not state.target.reference:
            found.append(summarize_any(state, theirs) if theirs else summarize(state, theirs))
    return found


def _find_blind(
    states: Mapping[TargetId, TargetState], spans: Mapping[TargetId, Sequence[Span]], until_ns: int
) -> list[Interval]:
    evidence: list[vantage.Evidence] = []
    for target, theirs in spans.items():
        tell = vantage.answers_of_reference if states[target].target.reference else vantage.evidence_of
        for check, of_check in groupby(theirs, key=_CHECK):
            evidence += tell(of_check, _normal_ns(states[target], check))
    references = [theirs for target, theirs in spans.items() if states[target].target.reference]
    return vantage.find_blind(references, lambda _: evidence, tuple, until_ns)


def _without_link(state: TargetState, spans: Sequence[Span], blind: Sequence[Interval]) -> list[Span]:
    return [
        span
        for check, of_check in groupby(spans, key=_CHECK)
        for span in vantage.attribute(of_check, blind, _normal_ns(state, check))
    ]


def _find_failing(
    states: Mapping[TargetId, TargetState], spans: Mapping[TargetId, Sequence[Span]], until_ns: int
) -> list[Interval]:
    checks: defaultdict[tuple[TargetId, str], list[Span]] = defaultdict(list)
    for target, theirs in spans.items():
        for span in theirs if states[target].target.service_type == "identity" else ():
            checks[target, span.check].append(span)
    return unite(impairment.find_failing(checks.values(), until_ns))


def _normal_ns(state: TargetState, check: str) -> int | None:
    baseline = state.baselines.get(check)
    return None if baseline is None else baseline.latency_ns


# --- both ---


@contextlib.contextmanager
def journal(cloud: Cloud) -> Iterator[JournalReader]:
    """Write a run, and open it."""
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "run.sqlite")
        cloud.write(path)
        with contextlib.closing(JournalReader(path)) as reader:
            yield reader


@given(clouds())
@settings(max_examples=150, deadline=None)
def test_figures_are_those_of_a_report_with_everything_in_memory(cloud: Cloud) -> None:
    with journal(cloud) as reader:
        streamed = sorted(
            build(reader).of_each(lambda summary: summary), key=lambda summary: summary.target.id
        )
        assert streamed == whole(reader)
