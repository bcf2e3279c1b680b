"""Results of Rally become runs, and their episodes are what the rule makes of their iterations."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downtimer.errors import ExchangeError
from downtimer.exchange.rally import RallyRun, read_rally
from downtimer.exchange.rally_errors import cause_of
from downtimer.findings import TargetSummary
from downtimer.messages import SpanFact
from downtimer.model import SECOND_NS
from downtimer.outages import summarize

DATA: Final = Path(__file__).parent.parent / "data" / "rally"
SETTLE_NS: Final = 5 * SECOND_NS

_Probe = tuple[int, bool]
"""When it was sent, and whether it failed."""


def read(results: object) -> list[RallyRun]:
    """Return the runs of results, given as an object or as text."""
    text = results if isinstance(results, str) else json.dumps(results)
    return read_rally(io.BytesIO(text.encode()), "FILE")


def summary(found: RallyRun) -> TargetSummary:
    """Return the figures of a run's only target."""
    (state,) = found.facts.states.values()
    spans = [fact.span for fact in found.facts.spans if isinstance(fact, SpanFact)]
    return summarize(state, spans)


# --- real files ---


def test_each_entry_of_the_list_is_a_run_with_its_scenario_its_hooks_and_its_promises() -> None:
    first, second = read((DATA / "3.4-results.json").read_text())
    assert (first.run.label, second.run.label) == (
        "Dummy.dummy_exception_probability: fails by chance",
        "Dummy.dummy_timed_atomic_actions: Run some sleepy atomic actions for SLA atomic action tests.",
    )
    assert first.told == "Dummy.dummy_exception_probability, 12 iterations, 5 failed, 2 marks"
    assert [mark.text for mark in first.facts.marks] == ["step one", "step one"]
    assert [mark.at_ns for mark in first.facts.marks] == [12_453_000, 13_040_300]
    assert first.run.start_utc_ns == 1_795_721_385_819_963_500
    (event,) = first.facts.events
    assert (event.kind, event.at_ns) == ("sla", first.run.end_ns)
    assert event.text == "failure_rate: Failure rate criteria 0.00% <= 41.67% <= 0.00% - Failed"
    assert (second.facts.marks, second.facts.events) == ([], [])
    assert (summary(first).probes, summary(second).probes) == (12, 6)


def test_the_same_task_in_its_later_form_gives_the_same_runs() -> None:
    assert read((DATA / "3.4-report.json").read_text()) == read((DATA / "3.4-results.json").read_text())


@pytest.mark.parametrize(
    ("name", "mark", "published"),
    [
        ("0.7-restart-keystone.json", "fault_injection", "0.88 ±0.75"),
        (
            "0.8-restart-keystone.json",
            "fault_injection: restart keystone service on one node",
            "0.317 ±0.013",
        ),
    ],
)
def test_published_results_have_the_downtime_that_was_published(name: str, mark: str, published: str) -> None:
    (found,) = read((DATA / name).read_text())
    assert [one.text for one in found.facts.marks] == [mark]
    figures = summary(found)
    (episode,) = figures.episodes
    assert episode.causes.keys() == {"http-502"}
    digits = len(published.partition(" ")[0]) - 2
    half_ns = (episode.max_ns - episode.min_ns) / 2
    assert f"{episode.duration_ns / SECOND_NS:.{digits}f} ±{half_ns / SECOND_NS:.{digits}f}" == published
    assert_as_reckoned(
        figures, probes_of(json.loads((DATA / name).read_text(), parse_float=Decimal)[0]["result"])
    )


def probes_of(iterations: Iterable[dict[str, Any]]) -> list[_Probe]:
    """Return iterations as probes, in order."""
    return sorted((int(one["timestamp"] * SECOND_NS), bool(one["error"])) for one in iterations)


# --- reckoned independently, probe by probe ---


def reckon(probes: Sequence[_Probe]) -> list[tuple[int, int, int, int, int]]:
    """Return the episodes that DESIGN's rule makes of probes: start, end, downtime, bounds; since the first.

    Down from the middle between the last good probe and the first failed one to the middle between the last
    failed one and the next good one. At the rim it is the failed probe itself.
    """
    origin = probes[0][0]
    outages = []
    for i, (at_ns, has_failed) in enumerate(probes):
        if has_failed and (i == 0 or not probes[i - 1][1]):
            after = at_ns if i == 0 else probes[i - 1][0]
            j = i
            while j + 1 < len(probes) and probes[j + 1][1]:
                j += 1
            last = probes[j][0]
            by = last if j + 1 == len(probes) else probes[j + 1][0]
            start = at_ns if i == 0 else (after + at_ns) // 2
            end = last if j + 1 == len(probes) else (last + by) // 2
            outages.append((start - origin, end - origin, last - at_ns, by - after))
    episodes: list[list[tuple[int, int, int, int]]] = []
    for outage in outages:
        if episodes and outage[0] - episodes[-1][-1][1] < SETTLE_NS:
            episodes[-1].append(outage)
        else:
            episodes.append([outage])
    return [
        (
            several[0][0],
            several[-1][1],
            sum(end - start for start, end, _, _ in several),
            sum(least for _, _, least, _ in several),
            sum(most for _, _, _, most in several),
        )
        for several in episodes
    ]


def assert_as_reckoned(figures: TargetSummary, probes: Sequence[_Probe]) -> None:
    """Compare episodes with those that are reckoned from the probes alone."""
    found = [
        (one.start_ns, one.end_ns, one.down_ns, one.down_min_ns, one.down_max_ns) for one in figures.episodes
    ]
    first_ns = figures.start_ns or 0  # a hook may have begun the run
    assert found == [
        (start + first_ns, end + first_ns, down, least, most)
        for start, end, down, least, most in reckon(probes)
    ]
    assert figures.down_ns == sum(down for _, _, down, _, _ in reckon(probes))
    assert figures.window_ns == probes[-1][0] - probes[0][0]
    assert not figures.unobserved


_STEPS = st.one_of(st.integers(1, 400), st.integers(3000, 8000), st.integers(50_000, 200_000))


@given(st.lists(st.tuples(_STEPS, st.booleans()), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_episodes_are_what_the_rule_makes_of_any_iterations(
    steps: list[tuple[int, bool]], chance: Random
) -> None:
    at_ms, iterations = 1_795_721_385_000, []
    for step_ms, has_failed in steps:
        at_ms += step_ms
        error = ["Error", "HTTP 503", "…"] if has_failed else []
        iterations.append({"timestamp": at_ms / 1000, "duration": 0.01, "error": error})
    probes = probes_of(json.loads(json.dumps(iterations), parse_float=Decimal))
    chance.shuffle(iterations)
    (found,) = read([{"key": {"name": "Any.scenario"}, "result": iterations}])
    assert_as_reckoned(summary(found), probes)


# --- odd ones ---


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("InternalServerError: Internal Server Error (HTTP 500)", "http-500"),
        ("ClientException: Unknown Error (HTTP 502)", "http-502"),
        (
            "GetResourceFailure: Failed to get the resource <Server: s>: HTTP/1.1 503 Service Unavailable",
            "http-503",
        ),
        ("RequestTimeout: Request timed out (HTTP 408)", "http-408"),
        ("ConnectFailure: … NewConnectionError('…: [Errno 111] Connection refused')", "refused"),
        (
            "ConnectFailure: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
            "reset",
        ),
        ("ConnectFailure: ('Connection aborted.', RemoteDisconnected('Remote end closed …'))", "closed"),
        ("ConnectFailure: Unable to establish connection to http://10.43.0.2:5000/v2.0", "failed"),
        ("ConnectFailure: [Errno 113] No route to host", "unreachable"),
        ("ConnectTimeout: Request to http://10.43.0.2:5000 timed out", "timeout-connect"),
        (
            "TimeoutException: Rally tired waiting 300.00 seconds for Server s_rally to become ('ACTIVE')",
            "timeout-answer",
        ),
        ("SSLFailure: SSL exception connecting to https://…: certificate verify failed", "tls"),
        ("GetResourceErrorStatus: Resource <Server: s> has ERROR status. Fault: {'code': 500}", "failed"),
        ("AssertionError: 5000 is not 503", "failed"),
        ("Boom: Expected status code 200, got status 503", "http-503"),
        ("Boom: Expected status code 200", "failed"),
    ],
)
def test_error_has_the_cause_that_it_names(error: str, cause: str) -> None:
    assert cause_of(error.split(": ", 1)) == cause


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ("", "not results of a Rally task: "),
        ("[", "not results of a Rally task: "),
        ("{}", "Object missing required field `tasks`"),
        ("[]", "no iteration is in these results"),
        ('{"tasks": []}', "no iteration is in these results"),
        ([{"key": {"name": "a"}}], "Object missing required field `result` - at `$[0]`"),
        ([{"key": {"name": "a"}, "result": [{}]}], "required field `timestamp` - at `$[0].result[0]`"),
        ([{"key": {"name": "a"}, "result": [{"timestamp": "now"}]}], "at `$[0].result[0].timestamp`"),
        ([{"key": {"name": ""}, "result": [{"timestamp": 5}]}], "an entry does not name its scenario"),
        ([{"key": {"name": "a"}, "result": [{"timestamp": -5}]}], "-5 is no time"),
        ([{"key": {"name": "a"}, "result": [{"timestamp": 5, "duration": -1}]}], "-1 is no duration"),
        ('[{"key": {"name": "a"}, "result": [{"timestamp": NaN}]}]', "JSON is malformed"),
        ('[{"key": {"name": "a"}, "result": [{"timestamp": 1e999999999}]}]', "1E+999999999 is no time"),
        ('[{"key": {"name": "a"}, "result": [{"timestamp": "NaN"}]}]', "is no time"),
        ([{"key": {"name": "a"}, "result": [{"timestamp": 5}], "hooks": [5]}], "at `$[0].hooks[0]`"),
        ("[" * 100_000, "not results of a Rally task: "),
    ],
)
def test_what_is_no_result_of_rally_is_one_line(results: object, why: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        read(results)
    assert str(caught.value).startswith("FILE: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_entries_that_are_alike_are_runs_of_their_own() -> None:
    entry = {"key": {"name": "a"}, "result": [{"timestamp": 5, "duration": 1}]}
    names = [found.run.id for found in read([entry, entry, entry])]
    assert names == [names[0], f"{names[0]}-2", f"{names[0]}-3"]


def test_hook_before_the_first_iteration_begins_the_run_and_one_that_never_began_is_no_mark() -> None:
    hooks = [
        {"hook": "sys_call", "started_at": 90.5, "description": "n/a", "status": "failed"},
        {
            "config": {"action": {"sys_call": "reboot"}},
            "results": [{"started_at": 0.0}, {"started_at": 101.0}],
        },
    ]
    iterations = [{"timestamp": at, "duration": 0.5} for at in (102.25, 100)]
    (found,) = read([{"key": {"name": "a"}, "result": iterations, "hooks": hooks}])
    assert [(one.at_ns, one.text) for one in found.facts.marks] == [
        (0, "sys_call (failed)"),
        (10_500_000_000, "sys_call: reboot"),
    ]
    assert (found.run.start_utc_ns, found.run.end_ns) == (90_500_000_000, 12_250_000_000)
    assert summary(found).window_ns == 2_250_000_000


ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    0,
    5,
    1e-9,
    1e308,
    10**400,
    "",
    "x\x00\u2028",
    "NaN",
    [],
    {},
    [[]],
    {"a": 1},
)


def places(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    """Yield the way to each part of a JSON value."""
    yield where
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*where, key))


def put_at(value: Any, where: tuple[Any, ...], odd: object) -> Any:  # noqa: ANN401 - as above
    """Return a JSON value in which one part is another."""
    if not where:
        return odd
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[where[0]] = put_at(value[where[0]], where[1:], odd)
    return changed


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["3.4-results.json", "3.4-report.json", "0.7-restart-keystone.json"]), st.data())
def test_results_in_which_anything_is_odd_are_refused_or_read(name: str, data: st.DataObject) -> None:
    results = json.loads((DATA / name).read_text())
    where = data.draw(st.sampled_from(list(places(results))))
    odd = put_at(results, where, data.draw(st.sampled_from(ODD)))
    try:
        found = read(odd)
    except ExchangeError as exc:
        assert_one_line(str(exc))
    else:
        assert all(summary(one).probes >= 1 for one in found)


def assert_one_line(text: str) -> None:
    """Check that an error is that."""
    assert "\n" not in text
