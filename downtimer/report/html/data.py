"""Targets as the page's script gets them: JSON with short keys, instants in ms since the run's start. Pure.

Figures are worded here, as in every other report; the script draws and sorts by the numbers beside them.
What is empty is left out, since most targets of a large run have nothing to tell.

==== ==========================================================================================
key  value
==== ==========================================================================================
n    how it is called
k    kind: ``service``, ``agent``; none for an address
s    server of an address
w    window: start, end
d    downtime, ms; D: in words, unless its only episode says the same; p: in percent, unless that is 0.0
e    episodes: start, length, earliest and latest (ms before and after), duration, failed share unless
     that is all, causes, checks, remarks, whether it is ongoing, and its outages if they are several:
     start, length, earliest, latest, duration, causes
o    slow: start, length; O: in words
u    not observed: start, length, cause; U: in words
r    resolution in words
a    1 if it never answered
f    facts: title and text
c    checks, of what has several: name, probes, down, slow, not observed
h    downtime in each phase, in words
i    its number among those with latencies
==== ==========================================================================================
"""

from collections.abc import Iterator
from typing import Any

from downtimer.findings import CheckSummary, Episode, Outage, PhaseFigures, TargetSummary
from downtimer.model import MILLISECOND_NS, Kind
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.outage_text import remarks_on
from downtimer.report.summary import Summary
from downtimer.report.titles import moment_of, period_of
from downtimer.timeline import Timeline

_Object = dict[str, Any]  # what json.dumps takes


class Milliseconds:
    """Instants of a run in ms since its start, rounded as `wording.moment` rounds them.

    Args:
        summary: Of the run.
    """

    def __init__(self, summary: Summary) -> None:
        self._start_ns = summary.run.start_utc_ns
        self.origin = wording.halves_up(self._start_ns, MILLISECOND_NS)

    def at(self, at_ns: int) -> int:
        """Return an instant."""
        return wording.halves_up(self._start_ns + at_ns, MILLISECOND_NS) - self.origin

    def stretch(self, start_ns: int, end_ns: int) -> list[int]:
        """Return an interval as its start and its length."""
        start = self.at(start_ns)
        return [start, self.at(end_ns) - start]


class Describer:
    """Describes the targets of a run to the script.

    Args:
        summary: Of the run.
    """

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._ms = Milliseconds(summary)

    def describe(self, title: str, target: TargetSummary, timeline: Timeline) -> _Object:
        """Return what the script gets of a target; `title` is how it is called."""
        described: _Object = {"n": title} | self._facts(target)
        if target.target.kind is not Kind.ADDRESS:
            described["k"] = target.target.kind.value
        if target.start_ns is not None and target.end_ns is not None:
            described["w"] = [self._ms.at(target.start_ns), self._ms.at(target.end_ns)]
        if target.episodes:
            described |= self._downtime(target)
        if timeline.slow:
            share = wording.percent(target.slow_ns, target.observed_ns)
            described["o"] = [self._ms.stretch(*interval) for interval in timeline.slow]
            described["O"] = f"{wording.seconds(target.slow_ns)}, {share} %"
        if timeline.unobserved:
            described["u"] = [
                [*self._ms.stretch(start_ns, end_ns), printable(", ".join(causes))]
                for start_ns, end_ns, causes in timeline.unobserved
            ]
        if target.unobserved:
            described["U"] = wording.unobserved(target.unobserved)
        return described

    def _downtime(self, target: TargetSummary) -> _Object:
        downtime, share = wording.downtime(target), wording.percent(target.down_ns, target.observed_ns)
        episodes = [self._episode(target, episode) for episode in target.episodes]
        described: _Object = {"d": target.down_ns // MILLISECOND_NS, "e": episodes}
        if len(episodes) > 1 or downtime != wording.duration(target.episodes[0]):
            described["D"] = downtime
        if target.phases:
            described["h"] = [_in_phase(figures) for figures in target.phases]
        if share != "0.0":
            described["p"] = share
        return described

    def _episode(self, target: TargetSummary, episode: Episode) -> list[Any]:
        several = [
            [*self._edges(outage), wording.duration(outage), wording.causes(outage.causes)]
            for outage in episode.several
        ]
        has_checks = len(target.checks) > 1
        values = [
            *self._edges(episode),
            wording.duration(episode),
            wording.share(episode.failed_share) if episode.failed_share < 1 else "",
            wording.causes(episode.causes),
            printable(", ".join(episode.checks)) if has_checks else "",
            "; ".join(remarks_on(self._summary, episode, target)),
            int(episode.is_ongoing),
            several,
        ]
        while not values[-1]:
            del values[-1]
        return values

    def _edges(self, outage: Outage) -> list[int]:
        start, end = self._ms.at(outage.start_ns), self._ms.at(outage.end_ns)
        return [
            start,
            end - start,
            start - self._ms.at(outage.earliest_ns),
            self._ms.at(outage.latest_ns) - end,
        ]

    def _facts(self, target: TargetSummary) -> _Object:
        the, facts = target.target, dict(self._details(target))
        described: _Object = {
            "s": printable(the.server or the.server_id or ""),
            "r": "" if target.resolution_ns is None else wording.seconds(target.resolution_ns),
            "a": 0 if target.has_answered or not target.probes else 1,
            "f": [[title, printable(fact)] for title, fact in facts.items() if fact],
            "c": [_check(check) for check in target.checks] if len(target.checks) > 1 else [],
        }
        return {key: value for key, value in described.items() if value}

    def _details(self, target: TargetSummary) -> Iterator[tuple[str, str]]:
        the, state = target.target, target.state
        if the.kind is Kind.SERVICE:
            yield "URL", the.url or ""
            yield "Region", the.region or ""
            yield "Interface", the.interface or ""
        if target.method not in (None, "icmp"):
            yield "Measured by", target.method or ""
        if not target.observed_ns:
            yield "Nothing was observed", "no probe gave a verdict" if target.probes else "not probed"
        if the.kind is Kind.SERVICE:
            yield "Not checked", "; ".join(f"{check}: {reason}" for check, reason in state.lacks.items())
        if target.impairments:
            calls = sum(impairment.probes for impairment in target.impairments)
            first, last = target.impairments[0], target.impairments[-1]
            times = period_of(self._summary, first.start_ns, last.end_ns)
            yield "Impaired by Keystone", f"{wording.plural(calls, 'call')}, {times}; in no downtime"
        if target.retired_ns is not None:
            yield "Retired", f"no longer listed; measured until {moment_of(self._summary, target.retired_ns)}"


def _in_phase(figures: PhaseFigures) -> str:
    down_ns, down_min_ns, down_max_ns, _ = figures
    return wording.bounded(down_ns, down_min_ns, down_max_ns) if down_max_ns else ""


def _check(check: CheckSummary) -> list[Any]:
    return [
        printable(check.name),
        wording.number(check.probes),
        wording.seconds(check.down_ns),
        wording.seconds(check.slow_ns),
        wording.seconds(sum(check.unobserved.values())),
    ]
