"""The default route's gateway in the kernel's tables, of both families."""

import ipaddress
import struct
from pathlib import Path

import pytest

from downtimer.workers import gateway
from downtimer.workers.gateway import parse_routes, parse_routes_6, references

ANY = "0.0.0.0"  # noqa: S104 - nothing is bound
HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def as_kernel(address: str) -> str:
    """Return an IPv4 address as the kernel prints it on this machine."""
    (number,) = struct.unpack("=I", ipaddress.IPv4Address(address).packed)
    return f"{number:08X}"


def route(address: str, *, flags: int = 3, metric: int = 0, destination: str = ANY, mask: str = ANY) -> str:
    """Return a line of /proc/net/route."""
    numbers = (as_kernel(destination), as_kernel(address), f"{flags:04X}", 0, 0, metric, as_kernel(mask))
    return "\t".join(map(str, ("eth0", *numbers, 0, 0, 0))) + "\n"


def route_6(address: str, *, flags: int = 3, metric: int = 1024, length: int = 0) -> str:
    """Return a line of /proc/net/ipv6_route."""
    gateway_ = ipaddress.IPv6Address(address).packed.hex()
    return (
        f"{'0' * 32} {length:02x} {'0' * 32} 00 {gateway_} {metric:08x} 00000001 00000000 {flags:08x} eth0\n"
    )


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("", None),
        (HEAD, None),
        (HEAD + route("10.1.2.3"), "10.1.2.3"),
        (HEAD + route("10.1.2.3", metric=600) + route("10.9.9.9", metric=100), "10.9.9.9"),
        (HEAD + route("0.0.0.0", flags=1), None),  # noqa: S104 - a link without a gateway, such as ppp
        (HEAD + route("10.1.2.3", flags=2), None),
        (HEAD + route("10.1.2.3", destination="10.5.0.0", mask="255.255.0.0"), None),
        (HEAD + route("10.1.2.3", mask="128.0.0.0"), None),
        (HEAD + "garbage\n", None),
    ],
)
def test_the_best_default_route_of_ipv4(table: str, found: str | None) -> None:
    assert parse_routes(table) == (None if found is None else ipaddress.ip_address(found))


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("", None),
        (route_6("2001:db8::1"), "2001:db8::1"),
        (route_6("2001:db8::1") + route_6("2001:db8::2", metric=1), "2001:db8::2"),
        (route_6("fe80::1"), None),
        (route_6("2001:db8::1", flags=1), None),
        (route_6("2001:db8::1", length=64), None),
        (route_6("::", flags=0x200, metric=0xFFFFFFFF), None),
        ("garbage\n", None),
    ],
)
def test_the_best_default_route_of_ipv6(table: str, found: str | None) -> None:
    assert parse_routes_6(table) == (None if found is None else ipaddress.ip_address(found))


def test_configured_addresses_are_references() -> None:
    found = list(references(["127.0.0.1", "2001:db8::1"]))
    assert [target.id for target in found] == ["reference/127.0.0.1", "reference/2001:db8::1"]
    assert all(target.reference for target in found)


def test_the_gateway_is_a_reference_and_without_one_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_ROUTES", tmp_path / "route")
    monkeypatch.setattr(gateway, "_ROUTES_6", tmp_path / "absent")
    assert list(references(["gateway"])) == []
    (tmp_path / "route").write_text(HEAD + route("10.1.2.3"))
    assert [target.id for target in references(["gateway"])] == ["reference/10.1.2.3"]
    assert list(references([])) == []
