"""The demo's table."""

from typing import Any

from downtimer.demo.verdict import compare, format_table


def reported(name: str, down_s: float, low: float, high: float) -> dict[str, Any]:
    return {"name": name, "down_s": down_s, "down_min_s": low, "down_max_s": high}


def test_truth_within_the_bounds_holds() -> None:
    [row] = compare({"nova": (4.9, 5.0)}, {"targets": [reported("nova", 5.1, 4.8, 5.4)]})
    assert row.holds


def test_truth_outside_the_bounds_does_not_hold() -> None:
    [row] = compare({"nova": (4.5, 4.6)}, {"targets": [reported("nova", 5.1, 4.8, 5.4)]})
    assert not row.holds


def test_missed_outage_does_not_hold_though_zero_is_its_lower_bound() -> None:
    [row] = compare({"nova": (0.5, 0.6)}, {"targets": [reported("nova", 0.0, 0.0, 1.0)]})
    assert not row.holds


def test_invented_downtime_does_not_hold() -> None:
    rows = compare({"nova": (0.0, 0.0)}, {"targets": [reported("nova", 0.1, 0.0, 0.2)]})
    assert [row.holds for row in rows] == [False]


def test_target_missing_in_the_report_does_not_hold_and_is_named() -> None:
    rows = compare({"nova": (0.0, 0.0)}, {"targets": []})
    assert [row.holds for row in rows] == [False]
    assert "not in the report" in format_table(rows)


def test_target_that_is_only_in_the_report_must_be_without_downtime() -> None:
    rows = compare({}, {"targets": [reported("stray", 1.0, 0.5, 1.5), reported("quiet", 0.0, 0.0, 0.0)]})
    assert [row.holds for row in rows] == [False, True]


def test_table_has_a_line_for_what_happened_and_one_for_all_the_rest() -> None:
    injected = {"nova": (5.0, 5.0), "heat": (0.0, 0.0), "glance": (0.0, 0.0)}
    targets = [
        reported("nova", 5.1, 4.8, 5.4),
        reported("heat", 0.0, 0.0, 0.0),
        reported("glance", 0.0, 0.0, 0.0),
    ]
    lines = format_table(compare(injected, {"targets": targets})).splitlines()
    assert lines == [
        "  target    injected  reported (bounds)   within bounds?",
        "  nova        5.00 s  5.10 s (4.80–5.40)  yes",
        "  2 others    0.00 s  0.00 s              yes",
    ]
