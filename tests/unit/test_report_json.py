"""The JSON report keeps its contract, ``doc/report.schema.json``, whatever the run was like."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from downtimer.assertions import parse
from downtimer.errors import ConfigError
from downtimer.model import Event, Mark, Span, TargetState
from downtimer.report import FORMATS, render
from tests.unit.runs import RUN, MemoryReader, address, down, ns, service, slow, unknown, up

SCHEMA = json.loads((Path(__file__).parents[2] / "doc" / "report.schema.json").read_text(encoding="utf-8"))


def report(reader: MemoryReader, *assertions: str) -> dict[str, Any]:
    """Return the parsed report, which is valid by the schema."""
    text = "".join(render(reader, "json", [parse(assertion) for assertion in assertions]))
    parsed: dict[str, Any] = json.loads(text)
    Draft202012Validator(SCHEMA).validate(parsed)
    return parsed


def target(state: TargetState, *spans: Span) -> dict[str, Any]:
    """Return the only target of a report."""
    (only,) = report(MemoryReader(states=[state], the_spans=spans))["targets"]
    assert isinstance(only, dict)
    return only


def test_schema_itself_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_schema_requires_every_field_and_allows_no_other() -> None:
    objects = [SCHEMA, *(part for part in SCHEMA["$defs"].values() if part["type"] == "object")]
    assert len(objects) == 14
    for one in objects:
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])


def test_empty_run_is_a_valid_report() -> None:
    assert report(MemoryReader()) == {
        "version": 1,
        "run": {
            "id": "20261122T163705-1234",
            "label": None,
            "vantage": "deploy01",
            "start": "2026-11-22T16:37:05.123000Z",
            "end": "2026-11-22T16:38:45.123000Z",
            "length_s": 100.0,
            "references": [],
        },
        "assertions": [],
        "phases": [],
        "targets": [],
        "projects": [],
        "agents": [],
        "marks": [],
        "events": [],
    }


def test_run_in_progress_has_no_end() -> None:
    assert report(MemoryReader(the_run=replace(RUN, end_ns=None)))["run"]["end"] is None


def test_figures_of_a_service_are_in_seconds() -> None:
    nova = target(service("nova"), up(0, 10), down(10.5, 20), slow(20.5, 30), up(30.5, 60))
    expected: dict[str, object] = {
        "id": "service:nova",
        "kind": "service",
        "name": "nova",
        "region": "RegionOne",
        "interface": "public",
        "url": "http://172.29.236.10/nova/",
        "project_id": None,
        "project": None,
        "server_id": None,
        "server": None,
        "answered": True,
        "method": None,
        "discovered": "2026-11-22T16:37:05.123000Z",
        "retired": None,
        "window_s": 60.0,
        "up_s": 40.0,
        "slow_s": 10.0,
        "down_s": 10.0,
        "down_min_s": 9.5,
        "down_max_s": 10.5,
        "unobserved_s": 0.0,
        "observed_s": 60.0,
        "down_percent": pytest.approx(100 / 6),
        "longest_s": 10.0,
        "resolution_s": 0.5,
        "unobserved": {},
        "probes": 121,
    }
    assert {field: nova[field] for field in expected} == expected
    (check,) = nova["checks"]
    assert check == {
        "name": "answers",
        "interval_s": 0.5,
        "probes": 121,
        "observed_s": 60.0,
        "down_s": 10.0,
        "slow_s": 10.0,
        "resolution_s": 0.5,
        "unobserved": {},
    }


def test_episode_holds_its_outages_with_the_same_fields() -> None:
    nova = target(service("nova"), up(0, 9.5), down(10, 11), up(11.5, 14), down(14.5, 16), up(16.5, 60))
    (episode,) = nova["episodes"]
    outages = episode.pop("outages")
    assert [set(outage) for outage in outages] == [set(episode)] * 2
    assert episode == {
        "start": "2026-11-22T16:37:14.873000Z",
        "end": "2026-11-22T16:37:21.373000Z",
        "duration_s": 6.5,
        "min_s": 6.0,
        "max_s": 7.0,
        "down_s": 3.5,
        "down_min_s": 2.5,
        "down_max_s": 4.5,
        "failed_share": pytest.approx(3.5 / 6.5),
        "probes": 13,
        "failed": 7,
        "causes": {"refused": 7},
        "checks": ["answers"],
        "ongoing": False,
        "censored": [],
        "label": None,
    }


def test_ongoing_outage_has_no_end() -> None:
    (episode,) = target(service("nova"), up(0, 10), down(10.5, 30))["episodes"]
    assert episode["end"] is None
    assert episode["ongoing"] is True
    assert episode["duration_s"] == 19.75


def test_censored_edges_are_named() -> None:
    nova = target(
        service("nova"), up(0, 10), unknown(10.5, 11), down(11.5, 20), unknown(20.5, 21), up(21.5, 60)
    )
    assert nova["episodes"][0]["censored"] == ["start", "end"]
    assert nova["unobserved"] == {"send": 3.0}


def test_address_that_never_answered_says_so() -> None:
    silent = target(
        address("10.0.0.9"), down(0, 60, check="icmp", target="address:10.0.0.9", causes="no-reply")
    )
    assert (silent["answered"], silent["method"]) == (False, None)
    assert silent["down_percent"] == 100.0
    assert silent["resolution_s"] is None


def test_address_that_answered_names_its_method_project_and_retirement() -> None:
    gone = target(address("10.0.0.9", retired=30), up(0, 60, check="icmp", target="address:10.0.0.9"))
    assert (gone["answered"], gone["method"], gone["project"]) == (True, "icmp", "shop")
    assert gone["retired"] == "2026-11-22T16:37:35.123000Z"
    assert gone["window_s"] == 30.0


def test_target_without_probes_is_all_zero() -> None:
    unseen = target(service("nova"))
    assert unseen["window_s"] == unseen["down_percent"] == unseen["longest_s"] == 0.0
    assert unseen["checks"] == unseen["episodes"] == []


def test_marks_events_and_what_the_source_lacks_are_listed() -> None:
    parsed = report(
        MemoryReader(
            states=[service("nova")],
            the_spans=[up(0, 60)],
            the_marks=[Mark(at_ns=ns(1), text='nova\n"x"')],
            the_events=[Event(at_ns=ns(2), kind="restart", text="icmp was restarted")],
            the_notes=["12 points are not delivered yet"],
        )
    )
    assert parsed["marks"] == [{"at": "2026-11-22T16:37:06.123000Z", "text": 'nova\n"x"'}]
    assert [event["kind"] for event in parsed["events"]] == ["restart", "source"]
    assert parsed["events"][1]["at"] == "2026-11-22T16:38:05.123000Z"


def test_phases_are_in_the_run_and_their_figures_in_each_target() -> None:
    parsed = report(
        MemoryReader(
            states=[service("nova")],
            the_spans=[up(0, 10), down(10.5, 20), up(20.5, 60)],
            the_marks=[Mark(at_ns=ns(15), text="step")],
        )
    )
    assert parsed["phases"] == [
        {"start": "2026-11-22T16:37:05.123000Z", "end": "2026-11-22T16:37:20.123000Z", "name": None},
        {"start": "2026-11-22T16:37:20.123000Z", "end": "2026-11-22T16:38:45.123000Z", "name": "step"},
    ]
    assert parsed["targets"][0]["phases"] == [
        {"down_s": 4.75, "down_min_s": 4.5, "down_max_s": 5.0, "observed_s": 15.0},
        {"down_s": 5.25, "down_min_s": 5.0, "down_max_s": 5.5, "observed_s": 45.0},
    ]


def test_assertions_have_a_case_for_each_target() -> None:
    reader = MemoryReader(states=[service("nova")], the_spans=[up(0, 10), down(10.5, 20), up(20.5, 60)])
    passed, unfit = report(reader, "<= 30s", "address:* <= 1%")["assertions"]
    why = "nova was down 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20"
    assert passed == {
        "assertion": "<= 30s",
        "result": "pass",
        "why": why,
        "cases": [{"target": "nova", "kind": "service", "result": "pass", "why": why}],
    }
    assert (unfit["result"], unfit["cases"][0]["target"]) == ("fail", None)


def test_hostile_names_stay_valid_json() -> None:
    assert target(service('no"va\n\x1b[31m\udcff', id="service:nova"))["name"] == 'no"va\n\x1b[31m\udcff'


def test_unknown_format_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--format xml: there are text, json"):
        render(MemoryReader(), "xml")


def test_text_is_the_default_format() -> None:
    assert next(iter(FORMATS)) == "text"
