"""Outages of checks -> outages of a target -> episodes. Pure.

A target is down where any of its checks is: an outage of it is a maximal run of touching
outages of its checks. Its inner, estimated and outer times are the unions of theirs, and
their measures are the lower bound, the estimate and the upper bound of its downtime.

An episode is what a reader calls one outage: outages with less than `SETTLE_NS` of good answers
between them, and no unobserved stretch between them that is longer than `LONGEST_GAP_NS`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeVar

from downtimer.attribution import label
from downtimer.brackets import LONGEST_GAP_NS, CheckOutage, Edge
from downtimer.findings import Episode, Outage
from downtimer.intervals import Cover, measure, unite
from downtimer.model import SECOND_NS, Span, TargetState, Verdict

_Group = Sequence[CheckOutage]  # whose estimated times touch
_T = TypeVar("_T", bound=Outage)

SETTLE_NS: Final = 5 * SECOND_NS
"""So much time of good answers ends an episode."""


class ProbeCounter:
    """Counts the known probes of one target in stretches of time."""

    def __init__(self, series: Iterable[Sequence[Span]]) -> None:
        known = ([span for span in one if span.verdict is not Verdict.UNKNOWN] for one in series)
        self._series = [(spans, [span.last_sent_ns for span in spans]) for spans in known]

    def count(self, start_ns: int, end_ns: int) -> tuple[int, int, Mapping[str, int]]:
        """Count the probes sent from `start_ns` to `end_ns`, the good ones strictly between them.

        Of a span that reaches beyond (another check's good answers) the part counts that its
        length suggests.

        Returns:
            How many were good, how many failed, and these by cause, the most first.
        """
        good = failed = 0
        causes: dict[str, int] = {}
        for spans, last_sent in self._series:
            for i in range(bisect_left(last_sent, start_ns), len(spans)):
                span = spans[i]
                if span.first_sent_ns > end_ns:
                    break
                if span.verdict is Verdict.DOWN:
                    failed += span.probes
                    for cause, count in span.causes.items():
                        causes[cause] = causes.get(cause, 0) + count
                elif span.last_sent_ns > start_ns and span.first_sent_ns < end_ns:
                    good += _probes_within(span, start_ns, end_ns)
        return good, failed, most_first(causes)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else of the target is needed to judge an outage."""

    state: TargetState
    unobserved: Cover
    probes: ProbeCounter


def find_episodes(found: Sequence[CheckOutage], around: Surroundings) -> tuple[Episode, ...]:
    """Return the episodes of a target.

    Args:
        found: The outages of all its checks, in any order.
        around: Of the same target.
    """
    episodes = []
    for groups in _near(_touching(found), around.unobserved):
        if len(groups) == 1:
            episodes.append(_join(groups[0], around, Episode))
        else:
            several = tuple([_join(group, around, Outage) for group in groups])
            episodes.append(_join(list(chain(*groups)), around, Episode, several=several))
    return tuple(episodes)


def _near(groups: Sequence[_Group], unobserved: Cover) -> Iterator[list[_Group]]:
    """Yield outages between which the target did not settle, together."""
    near = [groups[0]]
    end_ns = max([member.end.at_ns for member in groups[0]])
    for group in groups[1:]:
        if _is_settled_between(end_ns, group[0].start.at_ns, unobserved):
            yield near
            near = []
        near.append(group)
        end_ns = max([member.end.at_ns for member in group])
    yield near


def _touching(found: Sequence[CheckOutage]) -> list[list[CheckOutage]]:
    """Group the outages whose estimated times touch."""
    groups: list[list[CheckOutage]] = []
    until_ns = 0
    for outage in sorted(found, key=lambda outage: (outage.start.at_ns, outage.end.at_ns)):
        if groups and outage.start.at_ns <= until_ns:
            groups[-1].append(outage)
            until_ns = max(until_ns, outage.end.at_ns)
        else:
            groups.append([outage])
            until_ns = outage.end.at_ns
    return groups


def _is_settled_between(start_ns: int, end_ns: int, unobserved: Cover) -> bool:
    good_ns = end_ns - start_ns - unobserved.measure_between(start_ns, end_ns)
    return good_ns >= SETTLE_NS or unobserved.longest_between(start_ns, end_ns) > LONGEST_GAP_NS


def _join(members: _Group, around: Surroundings, make: type[_T], **more: tuple[Outage, ...]) -> _T:
    """Return the outage, or the episode, that the members make up."""
    start, end = _edges(members)
    start_ns, end_ns = start.at_ns, end.at_ns
    unobserved, seen_ns = around.unobserved, end.after_ns - start.by_ns
    down_min_ns, down_ns, down_max_ns = _measures(members)
    good, failed, causes = around.probes.count(start_ns, end_ns)
    is_ongoing = any([member.is_ongoing for member in members])  # noqa: C419 - most have one member
    return make(
        start_ns=start_ns,
        end_ns=end_ns,
        earliest_ns=start.after_ns,
        latest_ns=end.by_ns,
        min_ns=max(seen_ns - unobserved.measure_between(start.by_ns, end.after_ns), 0),
        max_ns=end.by_ns - start.after_ns,
        down_ns=down_ns,
        down_min_ns=down_min_ns,
        down_max_ns=down_max_ns,
        unobserved_ns=unobserved.measure_between(start_ns, end_ns),
        probes=good + failed,
        failed=failed,
        causes=causes,
        checks=tuple(sorted({member.check for member in members})),
        is_ongoing=is_ongoing,
        is_start_censored=start.is_censored,
        is_end_censored=end.is_censored and not is_ongoing,
        label=label(around.state, start_ns, end_ns, is_ongoing=is_ongoing),
        **more,
    )


def _edges(members: _Group) -> tuple[Edge, Edge]:
    """Return where all of it began and ended."""
    if len(members) == 1:
        return members[0].start, members[0].end
    return (
        _utmost([member.start for member in members], min),
        _utmost([member.end for member in members], max),
    )


def _utmost(edges: Sequence[Edge], choose: Callable[[Iterable[int]], int]) -> Edge:
    """Return the first of several edges, or the last, and likewise the ends of the brackets."""
    at_ns = choose(edge.at_ns for edge in edges)
    return Edge(
        after_ns=choose(edge.after_ns for edge in edges),
        at_ns=at_ns,
        by_ns=choose(edge.by_ns for edge in edges),
        is_censored=any(edge.is_censored and edge.at_ns == at_ns for edge in edges),
    )


def _measures(members: _Group) -> tuple[int, int, int]:
    """Return the measures of the proven, the estimated and the outer times."""
    if len(members) == 1:
        return members[0].measures()
    return (
        measure(unite(part for member in members for part in member.proven())),
        measure(unite(part for member in members for part in member.estimated())),
        measure(unite(member.outer() for member in members)),
    )


def most_first(causes: Mapping[str, int]) -> Mapping[str, int]:
    """Return the causes of failed probes, the most frequent first."""
    if len(causes) < 2:
        return causes
    return dict(sorted(causes.items(), key=lambda item: (-item[1], item[0])))


def _probes_within(span: Span, start_ns: int, end_ns: int) -> int:
    length_ns = span.last_sent_ns - span.first_sent_ns
    within_ns = min(span.last_sent_ns, end_ns) - max(span.first_sent_ns, start_ns)
    if within_ns >= length_ns:
        return span.probes
    return span.probes * within_ns // length_ns
