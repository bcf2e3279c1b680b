"""The patterns of [targets]: what they match, and what is no pattern."""

import ipaddress
from pathlib import Path

import pytest

from downtimer import config, targets
from downtimer.errors import ConfigError
from downtimer.model import Kind, Target
from downtimer.selection import Selection, parse
from downtimer.targets import Endpoint

NOVA = targets.service(
    Endpoint(
        service="nova",
        type="compute",
        region="RegionOne",
        interface="public",
        url="https://api.example.com/compute/v2.1",
        root="https://api.example.com/compute/",
    )
)
PLAIN = targets.address(ipaddress.ip_address("172.16.1.5"))
OWNED = targets.address(
    ipaddress.ip_address("172.16.1.6"), project_id="cafe", project="my shop", server_id="s", server="nova"
)
V6 = targets.address(ipaddress.ip_address("2001:db8::5"))
ALL = (NOVA, PLAIN, OWNED, V6)


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("nova", {NOVA}),
        ("n*", {NOVA}),
        ("*", {NOVA}),
        ("[mn]ov?", {NOVA}),
        ("Nova", set()),
        ("nov", set()),
        ("region:RegionOne", {NOVA}),
        ("region:*", {NOVA}),
        ("region: Region*", {NOVA}),
        ("region:RegionTwo", set()),
        ("url:*/compute/*", {NOVA}),
        ("url:https://api.example.com/compute/", {NOVA}),
        ("url:https://api.example.com/compute/v2.1", {NOVA}),
        ("project:my shop", {OWNED}),
        ("project:ca*", {OWNED}),
        ("project:*", {OWNED}),
        ("172.16.1.5", {PLAIN}),
        ("172.16.0.0/16", {PLAIN, OWNED}),
        ("0.0.0.0/0", {PLAIN, OWNED}),
        ("2001:db8::/32", {V6}),
        ("2001:0db8::0:5", {V6}),
        ("::/0", {V6}),
    ],
)
def test_pattern_matches(pattern: str, matched: set[Target]) -> None:
    assert {target for target in ALL if parse(pattern).matches(target)} == matched


def test_without_patterns_everything_is_wanted() -> None:
    assert all(Selection().wants(target) for target in ALL)


def test_include_admits_only_what_matches_one_of_its_items() -> None:
    selection = Selection(include=("nova", "172.16.1.6"))
    assert [target for target in ALL if selection.wants(target)] == [NOVA, OWNED]


def test_exclude_wins_over_include() -> None:
    selection = Selection(include=("*", "172.16.0.0/16"), exclude=("project:my shop", "region:RegionOne"))
    assert [target for target in ALL if selection.wants(target)] == [PLAIN]


def test_patterns_are_idle_until_something_has_matched_them() -> None:
    selection = Selection(include=("nvoa", "n*", "10.0.0.0/8"), exclude=("project:my shop", "url:ftp:*"))
    assert list(selection.idle(Kind.SERVICE)) == [
        ("include", "nvoa"),
        ("include", "n*"),
        ("exclude", "url:ftp:*"),
    ]
    for target in ALL:
        selection.wants(target)
    assert list(selection.idle(Kind.SERVICE)) == [("include", "nvoa"), ("exclude", "url:ftp:*")]
    assert list(selection.idle(Kind.ADDRESS)) == [("include", "10.0.0.0/8")]
    selection.wants(targets.address(ipaddress.ip_address("10.1.2.3")))
    assert list(selection.idle(Kind.ADDRESS)) == []


BAD = [
    ("zone:one", "unknown key"),
    ("Region:one", "unknown key"),
    ("region:", "nothing after the colon"),
    ("project: ", "nothing after the colon"),
    ("172.16.1.5/16", "write 172.16.0.0/16"),
    ("2001:db8::5/32", "write 2001:db8::/32"),
    ("172.16.1", "neither an address"),
    ("172.16.1.300", "neither an address"),
    ("172.16.0.0/33", "neither an address"),
    ("2001:db8::g", "unknown key|neither"),
    ("http://h/", "write url:GLOB"),
]


@pytest.mark.parametrize(("pattern", "problem"), BAD)
def test_what_is_no_pattern_is_refused(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(pattern)


@pytest.mark.parametrize(("pattern", "problem"), BAD)
@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_bad_pattern_is_found_when_the_configuration_is_read(
    option: str, pattern: str, problem: str, tmp_path: Path
) -> None:
    text = f"[static]\nips=127.0.0.1\n[targets]\n{option} = nova, {pattern}\n"
    with pytest.raises(ConfigError, match=rf"\[targets\] {option}: .*({problem})"):
        config.parse(text, str(tmp_path / "conf.ini"))
