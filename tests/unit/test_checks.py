"""Which call shows that a service works, by its type, its URL in the catalog, and the configuration."""

import pytest

from downtimer import checks, targets
from downtimer.checks import Plan
from downtimer.model import LOGIN, WORKS, Auth, Call, Target
from tests.configured import configured

CLOUD = "[global]\nkeystone_endpoint={}\npassword=x\n"


def service(service_type: str, url: str, root: str, name: str = "it") -> Target:
    """Return a service as the catalog lists it."""
    endpoint = targets.Endpoint(
        service=name, type=service_type, region="RegionOne", interface="public", url=url, root=root
    )
    return targets.service(endpoint)


KEYSTONE = service("identity", "https://h:5000/v3/", "https://h:5000/", "keystone")
NOVA = service("compute", "http://h:8774/v2.1", "http://h:8774/", "nova")
TOKENS = "https://h:5000/v3/auth/tokens?nocatalog"


def plan(text: str = "", keystone: str = "http://h:5000") -> Plan:
    """Return the plan of a configuration."""
    return Plan(configured(CLOUD.format(keystone) + text))


def planned(target: Target, text: str = "", keystone: str = "http://h:5000") -> Target:
    """Return a service, with its calls, of a catalog that has no other."""
    (found,) = plan(text, keystone).of([target])
    return found


@pytest.mark.parametrize(
    ("service_type", "url", "root", "asked"),
    [
        ("image", "http://h:9292", "http://h:9292/", "http://h:9292/v2/images?limit=1"),
        ("image", "http://h/image/v2/", "http://h/image/", "http://h/image/v2/images?limit=1"),
        ("compute", "http://h:8774/v2.1", "http://h:8774/", "http://h:8774/v2.1/servers?limit=1"),
        ("compute", "http://h:8774/v2.1/ab/", "http://h:8774/", "http://h:8774/v2.1/ab/servers?limit=1"),
        ("volumev3", "http://h:8776/v3/ab", "http://h:8776/", "http://h:8776/v3/ab/volumes?limit=1"),
        ("block-storage", "http://h:8776/v3/ab", "http://h:8776/", "http://h:8776/v3/ab/volumes?limit=1"),
        ("network", "http://h:9696", "http://h:9696/", "http://h:9696/v2.0/networks?limit=1"),
        ("object-store", "http://h/v1/AUTH_ab", "http://h/", "http://h/v1/AUTH_ab?limit=1"),
        ("orchestration", "http://h:8004/v1/ab", "http://h:8004/", "http://h:8004/v1/ab/stacks?limit=1"),
        ("placement", "http://h/placement", "http://h/placement/", None),
        ("sharev2", "http://h:8786/v2?x=1#y", "http://h:8786/", "http://h:8786/v2/shares?limit=1"),
    ],
)
def test_call_of_a_type(service_type: str, url: str, root: str, asked: str | None) -> None:
    (call,) = planned(service(service_type, url, root)).calls
    assert (call.check, call.auth) == (WORKS, Auth.TOKEN)
    assert call.url == (asked or "http://h/placement/resource_providers?name=downtimer")


@pytest.mark.parametrize(
    "service_type",
    [
        *("baremetal", "dns", "load-balancer", "key-manager", "container-infra", "share", "database"),
        *("volume", "volumev2", "bare-metal", "block-store", "shared-file-system"),
    ],
)
def test_every_type_of_the_table_and_every_alias_has_a_call(service_type: str) -> None:
    found = planned(service(service_type, "http://h:1/v1", "http://h:1/"))
    assert len(found.calls) == 1
    assert found.lacks == ()


def test_keystone_exchanges_the_token_and_signs_in() -> None:
    found = planned(KEYSTONE)
    root = "https://h:5000/"
    assert found.calls == (Call(WORKS, TOKENS, Auth.RESCOPE, root), Call(LOGIN, TOKENS, Auth.PASSWORD, root))


def test_type_without_a_known_call_is_said_to_lack_it() -> None:
    found = planned(service("cloudformation", "http://h:8000/v1", "http://h:8000/"))
    assert (found.calls, found.lacks) == (
        (),
        (("works", "no call is known for services of type cloudformation"),),
    )


@pytest.mark.parametrize("name", ["nova", "compute"])
def test_section_of_a_service_replaces_its_call_by_name_or_type(name: str) -> None:
    chosen = planned(NOVA, f"[check {name}]\npath = /v2.1/flavors?limit=1\n")
    assert chosen.calls == (Call(WORKS, "http://h:8774/v2.1/flavors?limit=1", Auth.TOKEN, "http://h:8774/"),)
    relative = planned(NOVA, f"[check {name}]\npath = flavors\n")
    assert relative.calls[0].url == "http://h:8774/v2.1/flavors"


def test_section_of_a_service_adds_a_call_where_none_is_known() -> None:
    cfn = service("cloudformation", "http://h:8000/v1", "http://h:8000/", "heat-cfn")
    assert planned(cfn, "[check heat-cfn]\npath = /v1?Action=ListStacks\n").calls == (
        Call(WORKS, "http://h:8000/v1?Action=ListStacks", Auth.TOKEN, "http://h:8000/"),
    )


def test_section_of_keystone_may_replace_the_exchange_by_a_call() -> None:
    works, login = planned(KEYSTONE, "[check keystone]\npath = /v3/services\n").calls
    assert works == Call(WORKS, "https://h:5000/v3/services", Auth.TOKEN, "https://h:5000/")
    assert login.auth is Auth.PASSWORD


@pytest.mark.parametrize("text", ["[check nova]\nworks = no\n", "[api]\nworks = no\n"])
def test_works_can_be_turned_off(text: str) -> None:
    found = planned(NOVA, text)
    assert (found.calls, found.lacks) == ((), (("works", "turned off (works = no)"),))


@pytest.mark.parametrize("text", ["[check identity]\nlogin = no\n", "[api]\nlogin = no\n"])
def test_login_can_be_turned_off(text: str) -> None:
    found = planned(KEYSTONE, text)
    assert [call.check for call in found.calls] == [WORKS]
    assert found.lacks == (("login", "turned off (login = no)"),)


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "Https"])
def test_password_does_not_travel_in_clear_where_the_configuration_has_https(scheme: str) -> None:
    """Even if the catalog says so."""
    clear = service("identity", "http://h:5000/v3/", "http://h:5000/", "keystone")
    found = planned(clear, keystone=f"{scheme}://h:5000")
    assert [call.check for call in found.calls] == [WORKS]
    assert found.lacks[0][0] == "login"


def test_scheme_of_the_catalog_may_be_in_capitals() -> None:
    shouted = service("identity", "HTTPS://h:5000/v3/", "HTTPS://h:5000/", "keystone")
    assert [call.check for call in planned(shouted, keystone="https://h:5000").calls] == [WORKS, LOGIN]


def test_section_that_names_no_service_is_told_with_what_may_be_meant() -> None:
    text = "".join(f"[check {name}]\nworks = no\n" for name in ("nvoa", "compute", "heat"))
    assert list(plan(text).strangers([NOVA])) == [
        "[check heat]: the catalog has no service of that name or type",
        "[check nvoa]: the catalog has no service of that name or type; did you mean nova?",
    ]


def test_login_is_keystones_alone() -> None:
    text = "".join(f"[check {name}]\nlogin = no\n" for name in ("nova", "identity"))
    assert list(plan(text).strangers([NOVA, KEYSTONE])) == [
        "[check nova] login: only Keystone has that check"
    ]


def test_official_type_of_none_is_none() -> None:
    assert checks.official_type(None) == ""
    assert not checks.is_identity(NOVA)


def test_versions_of_a_service_at_one_root_are_asked_as_the_newest_is() -> None:
    """They are one program, with the same few workers."""
    old = service("volumev2", "http://h:8776/v2/ab", "http://h:8776/", "cinderv2")
    new = service("volumev3", "http://h:8776/v3/ab", "http://h:8776/", "cinder")
    first, second = plan().of([old, new])
    assert (first.name, second.name) == ("cinderv2", "cinder")
    assert first.calls == second.calls
    assert first.calls[0].url == "http://h:8776/v3/ab/volumes?limit=1"


@pytest.mark.parametrize(
    ("name", "calls"),
    [("cinderv2", [0, 1]), ("volumev2", [0, 1]), ("volumev3", [0, 0]), ("block-storage", [0, 0])],
)
def test_section_of_an_old_version_is_for_that_one_alone(name: str, calls: list[int]) -> None:
    """That of the newest is for all, as its call is, and that of the type which they have in common."""
    old = service("volumev2", "http://h:8776/v2/ab", "http://h:8776/", "cinderv2")
    new = service("volumev3", "http://h:8776/v3/ab", "http://h:8776/", "cinder")
    found = plan(f"[check {name}]\nworks = no\n").of([old, new])
    assert [len(target.calls) for target in found] == calls


def test_services_of_no_known_type_are_a_program_each() -> None:
    one = service("rating", "http://h:1/", "http://h:1/", "cloudkitty")
    other = service("billing", "http://h:1/", "http://h:1/", "other")
    found = list(plan("[check other]\npath = /v1\n").of([one, other]))
    assert [len(target.calls) for target in found] == [0, 1]


@pytest.mark.parametrize(
    ("way", "login"),
    [
        (
            "application_credential_id = a\napplication_credential_secret = s",
            Call(LOGIN, TOKENS, Auth.PASSWORD, "https://h:5000/"),
        ),
        ("token = t", "signed in by a token"),
    ],
)
def test_keystone_is_asked_for_what_a_delegated_token_may_have(way: str, login: Call | str) -> None:
    found = next(
        iter(Plan(configured(f"[global]\nkeystone_endpoint=https://h:5000\n{way}\n")).of([KEYSTONE]))
    )
    works = Call(WORKS, "https://h:5000/v3/regions", Auth.TOKEN, "https://h:5000/")
    assert found.calls == (works, login) if isinstance(login, Call) else (works,)
    assert found.lacks == (() if isinstance(login, Call) else ((LOGIN, login),))
