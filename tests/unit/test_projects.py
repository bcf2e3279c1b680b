"""Addresses by project: what is summed, and what is left out."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from msgspec import structs

from downtimer.findings import TargetSummary
from downtimer.model import SECOND_NS, Span
from downtimer.outages import summarize
from downtimer.projects import Projects, ProjectSummary
from tests.unit.runs import address, down, ns, service, slow, up


def floating(
    name: str,
    *spans: Span,
    project: str | None = "shop",
    project_id: str | None = "SHOP",
    discovered_ns: int = 0,
) -> TargetSummary:
    """Return the figures of an address of a project."""
    state = address(name)
    target = replace(state.target, project=project, project_id=project_id)
    state = replace(state, target=target, discovered_ns=discovered_ns)
    return summarize(state, [structs.replace(one, check="icmp") for one in spans])


def by_project(targets: Iterable[TargetSummary]) -> list[ProjectSummary]:
    """Return the figures of the projects that targets belong to."""
    projects = Projects()
    for target in targets:
        part = ProjectSummary.of(target)
        if part is not None:
            projects.add(part)
    return projects.by_name()


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
            floating("10.0.0.1", up(0, 1), project=None, project_id=None),
            floating("10.0.0.2", up(0, 1), project="web", project_id="1"),
            floating("10.0.0.3", up(0, 1), project="admin", project_id="2"),
        ]
    )
    assert [project.name for project in found] == ["admin", "web", None]


def test_project_that_was_renamed_is_one_with_its_newest_name() -> None:
    """An address whose project's name could not be had knows its id all the same."""
    (shop,) = by_project(
        floating(f"10.0.0.{at}", up(0, 100), project=name, project_id="7", discovered_ns=at)
        for at, name in ((20, "shop"), (10, "store"), (30, None))
    )
    assert (shop.id, shop.name, shop.addresses) == ("7", "shop", 3)


def test_projects_without_ids_are_told_apart_by_name() -> None:
    found = by_project(
        floating(f"10.0.0.{at}", up(0, 1), project=name, project_id=None) for at, name in enumerate("aab")
    )
    assert [(project.name, project.addresses) for project in found] == [("a", 2), ("b", 1)]


def test_nothing_without_projects() -> None:
    assert by_project([floating("10.0.0.1", up(0, 1), project=None, project_id=None)]) == []
    assert by_project([]) == []


def test_nothing_observed_has_no_uptime() -> None:
    (shop,) = by_project([floating("10.0.0.1")])
    assert shop.user_uptime is None
    assert shop.up_ns < SECOND_NS
