"""Addresses by project: what is summed, and what is left out."""

from dataclasses import replace

import pytest

from downtimer.findings import TargetSummary
from downtimer.model import SECOND_NS, Span
from downtimer.outages import summarize
from downtimer.projects import by_project
from tests.unit.runs import address, down, ns, service, slow, up


def floating(name: str, *spans: Span, project: str | None = "shop") -> TargetSummary:
    """Return the figures of an address of a project, whose id is its name in capitals."""
    state = address(name)
    target = replace(state.target, project=project, project_id=project and project.upper())
    return summarize(replace(state, target=target), [replace(one, check="icmp") for one in spans])


def test_figures_are_sums_over_the_addresses_of_a_project() -> None:
    (shop,) = by_project(
        [
            floating("10.0.0.1", up(0, 10), down(10.5, 19.5), up(20, 100)),
            floating("10.0.0.2", up(0, 50), slow(50.5, 100)),
            summarize(service("nova"), [down(0, 100)]),
        ]
    )
    assert (shop.id, shop.name, shop.addresses, shop.down) == ("SHOP", "shop", 2, 1)
    assert (shop.down_ns, shop.down_min_ns, shop.down_max_ns) == (ns(9.5), ns(9), ns(10))
    assert shop.longest_ns == ns(9.5)
    assert shop.user_uptime == pytest.approx(1 - 9.5 / 200)


def test_user_uptime_weighs_each_address_by_how_long_it_was_measured() -> None:
    """One that was associated for 10 s of an hour, and down for all of them, is not half of the project."""
    (shop,) = by_project(
        [floating("10.0.0.1", up(0, 3590)), floating("10.0.0.2", up(0, 0), down(0.5, 10, every=0.5))]
    )
    assert shop.user_uptime == pytest.approx(3590.25 / 3600, abs=1e-6)


def test_address_that_never_answered_is_counted_and_in_no_figure() -> None:
    (shop,) = by_project([floating("10.0.0.1", up(0, 100)), floating("10.0.0.2", down(0, 100))])
    assert (shop.addresses, shop.never_answered, shop.down, shop.down_ns) == (1, 1, 0, 0)
    assert shop.user_uptime == 1


def test_projects_come_by_name_and_addresses_without_one_last() -> None:
    found = by_project(
        [
            floating("10.0.0.1", up(0, 1), project=None),
            floating("10.0.0.2", up(0, 1), project="web"),
            floating("10.0.0.3", up(0, 1), project="admin"),
        ]
    )
    assert [project.name for project in found] == ["admin", "web", None]


def test_nothing_without_projects() -> None:
    assert by_project([floating("10.0.0.1", up(0, 1), project=None)]) == []
    assert by_project([]) == []


def test_nothing_observed_has_no_uptime() -> None:
    (shop,) = by_project([floating("10.0.0.1")])
    assert shop.user_uptime is None
    assert shop.up_ns < SECOND_NS
