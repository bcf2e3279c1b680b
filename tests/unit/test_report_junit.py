"""The JUnit report is valid by the schema that Jenkins publishes, and what others' readers make of it."""

from pathlib import Path

import pytest
from junitparser import Failure, JUnitXml, Skipped, TestSuite
from xmlschema import XMLSchema

from downtimer.assertions import parse
from downtimer.report import build, write
from tests.unit import hostile
from tests.unit.runs import MemoryReader, down, ns, service, up
from tests.unit.test_judging import of

SCHEMA = XMLSchema(Path(__file__).with_name("junit-10.xsd"))

NOVA_AND_HEAT = MemoryReader(
    states=[service("nova"), service("heat")],
    the_spans=[
        *(up(0, 10), down(10.5, 20), up(20.5, 100)),
        of(up(0, 100), "service:heat"),
    ],
)
WHY = "nova was down 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20"


def junit(reader: MemoryReader, *assertions: str, is_lenient: bool = False) -> list[TestSuite]:
    """Return the suites of a valid report."""
    summary = build(reader, [parse(one) for one in assertions], is_lenient=is_lenient)
    text = "".join(write(summary, "junit"))
    SCHEMA.validate(text)
    return list(JUnitXml.fromstring(text.encode()))


def test_each_assertion_is_a_suite_with_a_case_for_each_target() -> None:
    failed, passed = junit(NOVA_AND_HEAT, "service:* <= 5s", "service:* <= 30s")
    assert (failed.name, failed.tests, failed.failures, failed.errors, failed.skipped) == (
        *("service:* <= 5s", 2, 1, 0, 0),
    )
    assert [(case.classname, case.name, case.is_passed) for case in failed] == [
        ("downtimer.service", "service:* <= 5s [heat]", True),
        ("downtimer.service", "service:* <= 5s [nova]", False),
    ]
    (result,) = list(failed)[1].result
    assert isinstance(result, Failure)
    assert (result.type, result.message, result.text) == ("fail", WHY, WHY)
    assert (passed.failures, [case.is_passed for case in passed]) == (0, [True, True])
    assert list(passed)[1].system_out == WHY


def test_suite_tells_of_its_run() -> None:
    (suite,) = junit(NOVA_AND_HEAT, "zero-downtime")
    assert (suite.time, suite.timestamp, suite.hostname) == (100.0, "2026-11-22T16:37:05", "deploy01")
    assert {each.name: each.value for each in suite.properties()} == {  # type: ignore[no-untyped-call]
        "run": "20261122T163705-1234",
        "label": "",
        "vantage": "deploy01",
    }


@pytest.mark.parametrize(("is_lenient", "kind"), [(False, Failure), (True, Skipped)])
def test_undecided_is_a_failure_or_for_the_lenient_skipped(is_lenient: bool, kind: type[object]) -> None:  # noqa: FBT001
    (suite,) = junit(NOVA_AND_HEAT, "service:nova <= 10s", is_lenient=is_lenient)
    ((result,),) = [case.result for case in suite]
    assert isinstance(result, kind)
    assert result.message == f"{WHY}; the limit of 10s lies between the bounds"
    assert (suite.failures, suite.skipped) == ((0, 1) if is_lenient else (1, 0))


def test_assertion_that_fits_no_target_is_a_case_of_its_own() -> None:
    (suite,) = junit(NOVA_AND_HEAT, "address:* <= 1%")
    (case,) = suite
    assert (case.classname, case.name, case.is_passed) == ("downtimer", "address:* <= 1%", False)


def test_without_assertions_every_target_passes_and_tells_its_figures() -> None:
    (suite,) = junit(NOVA_AND_HEAT)
    heat, nova = suite
    assert (suite.tests, suite.failures) == (2, 0)
    assert heat.is_passed
    assert nova.is_passed
    assert "Service heat: not down" in heat.system_out
    assert "Service nova: down 10.0 s (9.5–10.5) in 1 episode" in nova.system_out
    assert "2026-11-22 16:37:15.373 – 16:37:25.373" in nova.system_out


def test_empty_run_is_a_valid_report() -> None:
    (suite,) = junit(MemoryReader())
    assert suite.tests == 0
    (judged,) = junit(MemoryReader(), "outages <= 0")
    assert judged.failures == 1


def test_hostile_names_are_text_and_nothing_else() -> None:
    suites = junit(hostile.reader(), "service:* <= 5s", "address:* <= 1%")
    assert [suite.tests for suite in suites] == [len(hostile.NAMES), 1]
    assert "service:* <= 5s []]></system-out><x/>]" in [case.name for case in suites[0]]
    (plain,) = junit(hostile.reader())
    assert plain.tests == len(hostile.NAMES) + 1
    assert any("<script>alert(1)</script>" in case.system_out for case in plain)
    assert plain.hostname == hostile.NAMES[1]


def test_counts_are_those_of_the_cases() -> None:
    reader = MemoryReader(
        states=[service(f"s{number}") for number in range(30)],
        the_spans=[
            of(one, f"service:s{number}")
            for number in range(30)
            for one in (up(0, 10), down(10.5, 10.5 + number), up(11 + number, 100))
        ],
    )
    (suite,) = junit(reader, f"service:* <= {ns(12) // 10**9}s")
    results = [case.result for case in suite]
    assert suite.tests == len(results)
    assert suite.failures == sum(1 for result in results if result)
