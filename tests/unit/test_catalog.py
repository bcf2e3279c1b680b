"""What Keystone, Neutron and Nova list, decoded: the good entries, and the odd ones beside them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from downtimer import catalog
from downtimer.catalog import (
    FLOATING,
    PROJECTS,
    SERVERS,
    Catalog,
    read_catalog,
    read_floating,
    read_names,
    read_server,
)
from downtimer.listing import Owner
from downtimer.model import Power
from downtimer.paging import Item, Kind, Malformed
from downtimer.targets import pack, unpack


def endpoint(url: str, **fields: object) -> dict[str, object]:
    """Return an endpoint as Keystone gives it."""
    given = {"id": "e", "interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": url}
    return {**given, **fields}


def service(name: object, kind: object, *endpoints: object) -> dict[str, object]:
    """Return a service as Keystone gives it."""
    return {"id": "s", "name": name, "type": kind, "endpoints": list(endpoints)}


def read(*services: object, interface: str = "public", region: str | None = None) -> Catalog:
    """Read a catalog of these."""
    body = json.dumps({"token": {"catalog": services, "user": {}}}).encode()
    return read_catalog(body, interface=interface, region=region)


T = TypeVar("T", bound=Item)


def page(kind: Kind[T], *items: Any) -> Sequence[T | Malformed]:  # noqa: ANN401 - any JSON
    """Return items as they come in a page."""
    return list(kind.decode(json.dumps(items).encode())[1])


def test_services_bear_the_catalogs_names() -> None:
    found = read(
        service("nova", "compute", endpoint("http://h:8774/v2.1")),
        service("heat-cfn", "cloudformation", endpoint("http://h:8000/v1")),
    )
    assert [(target.name, target.url, target.endpoint) for target in found.services()] == [
        ("heat-cfn", "http://h:8000/", "http://h:8000/v1"),
        ("nova", "http://h:8774/", "http://h:8774/v2.1"),
    ]
    assert found.oddities == ()


def test_interface_and_region_choose() -> None:
    nova = service(
        "nova",
        "compute",
        endpoint("http://one:1"),
        endpoint("http://two:1", region="Two", region_id="Two"),
        endpoint("http://in:1", interface="internal"),
        endpoint("http://old:1", interface="publicURL", region="Old", region_id=None),
    )
    assert [item.url for item in read(nova).endpoints] == ["http://one:1", "http://two:1", "http://old:1"]
    assert [item.url for item in read(nova, region="Two").endpoints] == ["http://two:1"]
    assert [item.url for item in read(nova, region="Old").endpoints] == ["http://old:1"]
    assert [item.url for item in read(nova, interface="internal").endpoints] == ["http://in:1"]


@pytest.mark.parametrize("name", ["", None])
def test_a_service_without_a_name_bears_its_type(name: str | None) -> None:
    (target,) = read(service(name, "sharev2", endpoint("http://h:8786/v2"))).services()
    assert target.name == target.service_type == "sharev2"


def test_duplicates_are_one_target_whatever_the_order() -> None:
    services = [
        service("cinder", kind, endpoint(f"http://h:8776/{version}/%(project_id)s"))
        for kind, version in (("volume", "v1"), ("volumev2", "v2"), ("volumev3", "v3"))
    ]
    forwards, backwards = read(*services).services(), read(*services[::-1]).services()
    assert forwards == backwards
    (target,) = forwards
    assert target.service_type == "volumev3"


def test_two_services_with_one_root_are_two_targets() -> None:
    found = read(
        service("cinder", "volumev3", endpoint("http://h:8776/v3/p")),
        service("cinderv2", "volumev2", endpoint("http://h:8776/v2/p")),
    ).services()
    assert len({target.id for target in found}) == 2
    assert {target.url for target in found} == {"http://h:8776/"}


def test_ids_differ_where_names_hold_separators() -> None:
    found = read(
        service("a/b", "x", endpoint("http://h/", region="c", region_id="c")),
        service("a", "x", endpoint("http://h/", region="b/c", region_id="b/c")),
    ).services()
    assert len({target.id for target in found}) == 2


ODD_SERVICES: list[object] = [
    None,
    5,
    "nova",
    [],
    {},
    {"name": "nova"},
    {"type": "compute", "endpoints": None},
    service("nova", 5, endpoint("http://h/")),
    service(["nova"], "compute", endpoint("http://h/")),
    service("nova", "compute", None),
    service("nova", "compute", {"interface": "public"}),
    service("nova", "compute", endpoint("http://h/", interface=None)),
    service("nova", "compute", {"interface": "public", "url": 5}),
    service("nova", "compute", endpoint("/v2.1")),
    service("nova", "compute", endpoint("ws://h:1/")),
    service("nova", "compute", endpoint("http://h/\x1b]0;title\x07")),
    service("nova\n", "compute", endpoint("http://h:0")),
    service("n" * 256, "compute", endpoint("http://h/")),
    service("nova", "c" * 256, endpoint("http://h/")),
    service("nova", "compute", endpoint("http://h/", region="r" * 256)),
    service("nova", "compute", endpoint("http://h/", region_id="r" * 256)),
    service("nova", "compute", endpoint("http://h/" + "a" * 100_000)),
    service("nova", "compute", endpoint("http://a..b:8774/")),
    service("", "", endpoint("http://h/")),
]


@pytest.mark.parametrize("odd", ODD_SERVICES, ids=lambda odd: ascii(odd)[:40])
def test_an_odd_entry_is_named_and_spoils_no_other(odd: object) -> None:
    good = service("glance", "image", endpoint("http://h:9292"))
    found = read(good, odd, good)
    assert [target.name for target in found.services()] == ["glance"]
    (text,) = found.oddities
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 400


@pytest.mark.parametrize(
    "url",
    ["http://me:hush@h/v3", "http://hush@h?x@y", "//me:hush@h", "http://a@hush@h/", "http://me:hush@[::1"],
)
def test_no_password_of_a_url_is_shown(url: str) -> None:
    (text,) = read(service("nova", "compute", endpoint(url))).oddities
    assert "hush" not in text
    assert "…@h" in text or "…@[" in text or "\\u2026@h" in text or "\\u2026@[" in text


def test_a_catalog_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "ENDPOINTS_MAX", 3)
    found = read(*(service(f"s{number}", "x", endpoint("http://h/")) for number in range(5)))
    assert [target.name for target in found.services()] == ["s0", "s1", "s2"]
    assert set(found.oddities) == {"the catalog has more than 3 endpoints; the others are not measured"}


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"<html>", b'{"token": 5}', b'{"token": {"catalog": 5}}', b"\xff", b"[" * 200_000],
)
def test_what_is_no_token_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="no token"):
        read_catalog(body, interface="public", region=None)


def test_a_token_without_a_catalog_has_no_services() -> None:
    assert read_catalog(b'{"token": {}}', interface="public", region=None).services() == ()


def test_urls_of_a_type_by_region() -> None:
    found = read(
        service("neutron", "network", endpoint("http://h:9696"), endpoint("http://h:9697")),
        service("neutron", "network", endpoint("http://t:9696", region="Two", region_id="Two")),
        service("neutron", "network", endpoint("http://h:9696", region="Shared", region_id="Shared")),
    )
    assert found.of_type("network") == {"RegionOne": "http://h:9696", "Two": "http://t:9696"}
    assert found.of_type("compute") == {}


def floating(address: str, **fields: object) -> dict[str, object]:
    """Return a floating IP as Neutron gives it."""
    port = {"device_id": "server-1", "device_owner": "compute:nova", "name": ""}
    given = {
        "id": address,
        "floating_ip_address": address,
        "port_id": "p",
        "project_id": "q",
        "port_details": port,
    }
    return {**given, **fields}


def test_associated_floating_ips_with_project_and_server() -> None:
    found, odd = read_floating(page(FLOATING, floating("172.16.1.5"), floating("172.16.1.6", port_id=None)))
    assert found == {pack("172.16.1.5"): Owner("q", "server-1")}
    assert odd == []


def test_old_neutrons_say_tenant_and_give_no_port_details() -> None:
    old = floating("172.16.1.5", tenant_id="t")
    del old["project_id"], old["port_details"]
    assert read_floating(page(FLOATING, old))[0] == {pack("172.16.1.5"): Owner("t", None)}


@pytest.mark.parametrize("owner", ["network:router_gateway", "Octavia", "", None])
def test_a_port_that_is_no_servers_names_no_server(owner: str | None) -> None:
    port = {"device_id": "lb-1", "device_owner": owner}
    found, _ = read_floating(page(FLOATING, floating("172.16.1.5", port_details=port)))
    assert found == {pack("172.16.1.5"): Owner("q", None)}


def test_addresses_are_normalised_and_stand_once() -> None:
    found, odd = read_floating(
        page(FLOATING, floating("2001:DB8:0:0::5"), floating("2001:db8::5", project_id="other"))
    )
    assert {str(unpack(packed)): owner.project_id for packed, owner in found.items()} == {"2001:db8::5": "q"}
    assert odd == []


@pytest.mark.parametrize(
    "item",
    [
        None,
        5,
        [],
        {},
        floating("nonsense"),
        floating("172.16.1.256"),
        floating("172.16.1.0/24"),
        floating("0.0.0.0"),  # noqa: S104 - nothing is bound
        floating("224.0.0.1"),
        floating("ff02::1"),
        floating("::"),
        floating("172.016.1.5"),
        floating("172.16.5"),
        floating("\0"),
        floating("fe80::1%eth0"),
        floating("\x1b[2J"),
        {**floating("172.16.1.9"), "floating_ip_address": 5},
        {**floating("172.16.1.9"), "port_details": "x"},
        floating("172.16.1.9", project_id="x" * 256),
        floating("172.16.1.9", port_details={"device_id": "x" * 256, "device_owner": "compute:nova"}),
        floating("9" * 100_000),
    ],
    ids=lambda item: ascii(item)[:40],
)
def test_an_odd_floating_ip_is_named_and_spoils_no_other(item: object) -> None:
    found, odd = read_floating(page(FLOATING, floating("172.16.1.5"), item, floating("172.16.1.6")))
    assert list(found) == [pack("172.16.1.5"), pack("172.16.1.6")]
    (text,) = odd
    assert text.isascii()
    assert text.isprintable()


def test_names_by_id() -> None:
    items = page(
        PROJECTS,
        {"id": "1", "name": "one", "status": "ACTIVE"},
        {"id": "2"},
        None,
        {"id": "3", "name": "zwölf"},
    )
    assert read_names(items) == {"1": "one", "3": "zwölf"}


@pytest.mark.parametrize(
    ("status", "task", "power"),
    [
        ("ACTIVE", None, Power.RUNNING),
        ("ACTIVE", "powering-off", Power.STOPPED),
        ("ACTIVE", "shelving_image_uploading", Power.STOPPED),
        ("ACTIVE", "deleting", Power.DELETED),
        ("SHUTOFF", None, Power.STOPPED),
        ("SHUTOFF", "powering-on", Power.STOPPED),
        ("SHELVED_OFFLOADED", None, Power.STOPPED),
        ("PAUSED", "soft-deleting", Power.DELETED),
        ("SOFT_DELETED", None, Power.DELETED),
        ("DELETED", None, Power.DELETED),
        ("REBOOT", "rebooting", Power.RUNNING),
        ("ERROR", None, Power.RUNNING),
        ("", None, Power.RUNNING),
    ],
)
def test_what_the_owner_has_done_to_a_server(status: str, task: str | None, power: Power) -> None:
    item = {"id": "1", "name": "one", "status": status, "OS-EXT-STS:task_state": task}
    server = read_server(page(SERVERS, item)[0])
    assert server is not None
    assert (server.power, server.updated) == (power, None)


def test_when_a_server_has_changed() -> None:
    at = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
    for text in ("2026-11-24T01:02:03Z", "2026-11-24T01:02:03", "2026-11-24T02:02:03+01:00"):
        server = read_server(page(SERVERS, {"id": "1", "updated": text})[0])
        assert server is not None
        assert server.updated == at


@pytest.mark.parametrize(
    "text",
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1970-01-01T00:00:00"],
)
def test_a_server_cannot_have_changed_in_another_age(text: str) -> None:
    """Arithmetic with such an instant fails, and what has changed since the year 9999 is nothing."""
    server = read_server(page(SERVERS, {"id": "1", "updated": text})[0])
    assert server is not None
    assert server.updated is None


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        {"name": "x"},
        {"id": 5},
        {"id": "1", "updated": "yesterday"},
        {"id": "1" * 256},
        {"id": "1", "name": "x" * 256},
    ],
)
def test_a_malformed_server_is_none(item: object) -> None:
    assert read_server(page(SERVERS, item)[0]) is None
