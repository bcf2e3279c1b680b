"""The JSON report; ``doc/report.schema.json`` is its contract.

Every field is always there; what is absent is null. Seconds are numbers, instants RFC 3339 UTC.
A line per target, so that a large report can be read, and compared, line by line.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from downtimer.assertions import Judgement
from downtimer.findings import CheckSummary, Episode, Impairment, Outage, PhaseFigures, TargetSummary
from downtimer.model import SECOND_NS, Event, Mark, Phase, Run
from downtimer.projects import Projects, ProjectSummary
from downtimer.report.summary import Summary
from downtimer.report.wording import rfc3339

VERSION = 1

_Object = dict[str, Any]  # what json.dumps takes


def render(summary: Summary) -> Iterator[str]:
    """Yield the report, a piece per target."""
    run = summary.run
    yield f'{{"version": {VERSION},\n"run": {json.dumps(_run(summary))},\n'
    judgements = [_judgement(judgement) for judgement in summary.judgements]
    phases = [_phase(phase, run) for phase in summary.phases]
    yield f'"assertions": {json.dumps(judgements)},\n"phases": {json.dumps(phases)},\n"targets": ['
    separator = "\n"
    projects = Projects()

    def tell(target: TargetSummary) -> tuple[str, ProjectSummary | None]:
        return json.dumps(_target(target, run)), ProjectSummary.of(target)

    for target, of_project in summary.of_each(tell):
        if of_project is not None:
            projects.add(of_project)
        yield f"{separator}{target}"
        separator = ",\n"
    agents = [_agent(agent, run) for agent in summary.agents]
    by_name = [_project(project) for project in projects.by_name()]
    yield f'],\n"projects": {json.dumps(by_name)},\n"agents": {json.dumps(agents)},\n'
    marks = [_mark(mark, run) for mark in summary.marks]
    events = [_event(event, run) for event in summary.events]
    # A source that lacks something must say so; the contract's place for that is an event.
    at = rfc3339(run.start_utc_ns + summary.through_ns)
    events += [{"at": at, "kind": "source", "text": note} for note in summary.notes]
    yield f'"marks": {json.dumps(marks)},\n"events": {json.dumps(events)}}}\n'


def _run(summary: Summary) -> _Object:
    run = summary.run
    return {
        "id": run.id,
        "label": run.label or None,
        "vantage": run.vantage,
        "start": rfc3339(run.start_utc_ns),
        "end": _instant(run.end_ns, run),
        "length_s": _seconds(summary.length_ns),
        "references": [
            {"name": name, "answered": has_answered} for name, has_answered in summary.references.items()
        ],
    }


def _judgement(judgement: Judgement) -> _Object:
    return {
        "assertion": judgement.assertion,
        "result": judgement.result.value,
        "why": judgement.why,
        "cases": [
            {
                "target": case.target,
                "kind": None if case.kind is None else case.kind.value,
                "result": case.result.value,
                "why": case.why,
            }
            for case in judgement.cases
        ],
    }


def _phase(phase: Phase, run: Run) -> _Object:
    return {
        "start": _instant(phase.start_ns, run),
        "end": _instant(phase.end_ns, run),
        "name": phase.name or None,
    }


def _target(summary: TargetSummary, run: Run) -> _Object:
    target, state = summary.target, summary.state
    return {
        "id": target.id,
        "kind": target.kind.value,
        "name": target.name,
        "region": target.region,
        "interface": target.interface,
        "url": target.url,
        "project_id": target.project_id,
        "project": target.project,
        "server_id": target.server_id,
        "server": target.server,
        "answered": summary.has_answered,
        "method": summary.method,
        "discovered": _instant(state.discovered_ns, run),
        "retired": _instant(summary.retired_ns, run),
        **_figures(summary),
        "probes": summary.probes,
        "checks": [_check(check) for check in summary.checks],
        "lacks": dict(state.lacks),
        "phases": [_figures_of_phase(figures) for figures in summary.phases],
        "episodes": [_episode(episode, run) for episode in summary.episodes],
        "impairments": [_impairment(impairment, run) for impairment in summary.impairments],
    }


def _figures_of_phase(figures: PhaseFigures) -> _Object:
    return {
        "down_s": _seconds(figures.down_ns),
        "down_min_s": _seconds(figures.down_min_ns),
        "down_max_s": _seconds(figures.down_max_ns),
        "observed_s": _seconds(figures.observed_ns),
    }


def _agent(summary: TargetSummary, run: Run) -> _Object:
    target = summary.target
    return {
        "id": target.id,
        "name": target.name,
        "host": target.host,
        "region": target.region,
        "service_type": target.service_type,
        **_figures(summary),
        "readings": summary.probes,
        "episodes": [_episode(episode, run) for episode in summary.episodes],
    }


def _project(project: ProjectSummary) -> _Object:
    return {
        "id": project.id,
        "name": project.name,
        "addresses": project.addresses,
        "never_answered": project.never_answered,
        "down": project.down,
        "down_s": _seconds(project.down_ns),
        "down_min_s": _seconds(project.down_min_ns),
        "down_max_s": _seconds(project.down_max_ns),
        "up_s": _seconds(project.up_ns),
        "longest_s": _seconds(project.longest_ns),
        "user_uptime": project.user_uptime,
    }


def _impairment(impairment: Impairment, run: Run) -> _Object:
    return {
        "start": _instant(impairment.start_ns, run),
        "end": _instant(impairment.end_ns, run),
        "probes": impairment.probes,
    }


def _figures(summary: TargetSummary) -> _Object:
    observed_ns = summary.observed_ns
    return {
        "window_s": _seconds(summary.window_ns),
        "up_s": _seconds(summary.up_ns),
        "slow_s": _seconds(summary.slow_ns),
        "down_s": _seconds(summary.down_ns),
        "down_min_s": _seconds(summary.down_min_ns),
        "down_max_s": _seconds(summary.down_max_ns),
        "unobserved_s": _seconds(summary.unobserved_ns),
        "observed_s": _seconds(observed_ns),
        "down_percent": 100 * summary.down_ns / observed_ns if observed_ns else 0.0,
        "longest_s": _seconds(summary.longest_ns),
        "resolution_s": _seconds_or_none(summary.resolution_ns),
        "unobserved": _by_cause(summary.unobserved),
    }


def _check(check: CheckSummary) -> _Object:
    return {
        "name": check.name,
        "interval_s": _seconds_or_none(check.interval_ns),
        "resolution_s": _seconds_or_none(check.resolution_ns),
        "probes": check.probes,
        "observed_s": _seconds(check.observed_ns),
        "down_s": _seconds(check.down_ns),
        "slow_s": _seconds(check.slow_ns),
        "unobserved": _by_cause(check.unobserved),
    }


def _episode(episode: Episode, run: Run) -> _Object:
    return _outage(episode, run) | {"outages": [_outage(outage, run) for outage in episode.outages]}


def _outage(outage: Outage, run: Run) -> _Object:
    censored = {"start": outage.is_start_censored, "end": outage.is_end_censored}
    return {
        "start": _instant(outage.start_ns, run),
        "end": None if outage.is_ongoing else _instant(outage.end_ns, run),
        "duration_s": _seconds(outage.duration_ns),
        "min_s": _seconds(outage.min_ns),
        "max_s": _seconds(outage.max_ns),
        "down_s": _seconds(outage.down_ns),
        "down_min_s": _seconds(outage.down_min_ns),
        "down_max_s": _seconds(outage.down_max_ns),
        "failed_share": outage.failed_share,
        "probes": outage.probes,
        "failed": outage.failed,
        "causes": dict(outage.causes),
        "checks": list(outage.checks),
        "ongoing": outage.is_ongoing,
        "censored": [edge for edge, is_censored in censored.items() if is_censored],
        "label": outage.label,
    }


def _mark(mark: Mark, run: Run) -> _Object:
    return {"at": _instant(mark.at_ns, run), "text": mark.text}


def _event(event: Event, run: Run) -> _Object:
    return {"at": _instant(event.at_ns, run), "kind": event.kind, "text": event.text}


def _instant(at_ns: int | None, run: Run) -> str | None:
    return None if at_ns is None else rfc3339(run.start_utc_ns + at_ns)


def _by_cause(causes: Mapping[str, int]) -> _Object:
    return {cause: _seconds(length_ns) for cause, length_ns in causes.items()}


def _seconds(length_ns: int) -> float:
    return length_ns / SECOND_NS


def _seconds_or_none(length_ns: int | None) -> float | None:
    return None if length_ns is None else _seconds(length_ns)
