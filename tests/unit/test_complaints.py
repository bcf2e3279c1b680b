"""What of the configuration fits nothing that the cloud lists, and why nothing is measured."""

import json

import pytest

from downtimer import complaints
from downtimer.account import Account
from downtimer.catalog import Catalog, read_catalog
from downtimer.model import Kind
from downtimer.selection import Selection
from tests.configured import account


def catalog(of: Account, *regions: str, interfaces: tuple[str, ...] = ("public",)) -> Catalog:
    """Return the part asked for of a catalog with a nova in these regions, on these interfaces."""
    endpoints = [
        {"interface": interface, "region_id": region, "url": f"http://{index}:8774/v2.1"}
        for index, region in enumerate(regions)
        for interface in interfaces
    ]
    services = [{"type": "compute", "name": "nova", "endpoints": endpoints}]
    body = json.dumps({"token": {"catalog": services}}).encode()
    return read_catalog(body, interface=of.interface, region=of.region)


def asking(options: str) -> Account:
    """Return an account with these options."""
    return account(f"[global]\nkeystone_endpoint=http://h\npassword=x\n{options}\n")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("", None),
        ("region=Two", None),
        ("region=Tow", "[global] region: the catalog has no public endpoint in 'Tow'; it has One, Two"),
        (
            "interface=admin",
            "[global] interface: the catalog has no endpoint on 'admin'; it has internal, public",
        ),
        (
            "interface=internal\nregion=two",
            "[global] region: the catalog has no internal endpoint in 'two'; it has One, Two",
        ),
    ],
)
def test_region_and_interface_that_the_catalog_lacks_are_told_with_what_there_is(
    options: str, line: str | None
) -> None:
    asked = asking(options)
    found = list(complaints.of_choice(asked, catalog(asked, "One", "Two", interfaces=("public", "internal"))))
    assert found == ([] if line is None else [line])


def test_names_of_regions_cannot_garble_the_line_and_are_not_without_end() -> None:
    asked = asking("region=Three")
    (line,) = complaints.of_choice(asked, catalog(asked, "\x1b[2J", ""))
    assert line.endswith("it has (one without a name), \\x1b[2J")
    (line,) = complaints.of_choice(asked, catalog(asked, *(f"R{number:03}" for number in range(300))))
    assert line.endswith(", R019")


def test_an_empty_catalog_says_nothing_of_regions() -> None:
    assert list(complaints.of_choice(asking("region=Two"), Catalog(()))) == []


def test_patterns_that_match_nothing_are_told_with_what_was_meant() -> None:
    selection = Selection(include=("nvoa", "10.0.0.0/8"), exclude=("region:Two",))
    found = catalog(asking(""), "One")
    for target in found.services():
        selection.wants(target)
    assert list(complaints.of_patterns(selection, Kind.SERVICE, found)) == [
        "[targets] include: 'nvoa' matches no service of the catalog; did you mean nova?",
        "[targets] exclude: 'region:Two' matches no service of the catalog",
    ]
    assert list(complaints.of_patterns(selection, Kind.ADDRESS, found)) == [
        "[targets] include: '10.0.0.0/8' matches no floating IP"
    ]


def test_why_there_is_nothing_to_measure() -> None:
    assert complaints.why_nothing(("a", "b"), 3, 0) == "nothing to measure: a; b"
    assert "leave nothing of 3 services and 2 floating IPs" in complaints.why_nothing((), 3, 2)
    assert "[global] project_name" in complaints.why_nothing((), 0, 0)
