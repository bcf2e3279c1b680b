"""What shows that a service works: one cheap call for each type of service, and who it is asked as. Pure.

Each call needs a token, asks for at most one item, and touches the service's own database. A path that
begins with ``/`` starts at the service's root, which *answers* probes; any other at its URL in the catalog,
which for some services has a version and the project in it. ``[check NAME]`` of the configuration has paths
of the same kind.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from downtimer import endpoints, options
from downtimer.account import Method
from downtimer.config import Config
from downtimer.model import LOGIN, WORKS, Auth, Call, Target
from downtimer.sections import CheckSection

IDENTITY: Final = "identity"

_BUILT_IN: Final = CheckSection(works=True, login=True, path=None)
_TOKENS: Final = "/v3/auth/tokens?nocatalog"
_REGIONS: Final = "/v3/regions"
"""What Keystone reads from its database, past its cache, for whoever has a token."""

_CALLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "baremetal": "/v1/nodes?limit=1",
        "block-storage": "volumes?limit=1",
        "compute": "servers?limit=1",
        "container-infrastructure-management": "/v1/clusters?limit=1",
        "database": "instances?limit=1",
        "dns": "/v2/zones?limit=1",
        IDENTITY: _TOKENS,
        "image": "/v2/images?limit=1",
        "key-manager": "/v1/secrets?limit=1",
        "load-balancer": "/v2/lbaas/loadbalancers?limit=1",
        "network": "/v2.0/networks?limit=1",
        "object-store": "?limit=1",
        "orchestration": "stacks?limit=1",
        "placement": "/resource_providers?name=downtimer",  # none is named so: it has no limit
        "shared-file-system": "shares?limit=1",
    }
)
"""By official type, what is asked. Keystone is asked to exchange our token for another one."""

_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bare-metal": "baremetal",
        "block-store": "block-storage",
        "volume": "block-storage",
        "volumev2": "block-storage",
        "volumev3": "block-storage",
        "container-infra": "container-infrastructure-management",
        "container-infrastructure": "container-infrastructure-management",
        "share": "shared-file-system",
        "sharev2": "shared-file-system",
    }
)
"""Types that catalogs have instead of the official ones (OpenStack's service-types-authority)."""


def official_type(service_type: str | None) -> str:
    """Return the official type that one of a catalog stands for; its own if it is none of OpenStack's."""
    return _ALIASES.get(service_type or "", service_type or "")


def newness(target: Target) -> tuple[bool, str]:
    """Rank services of one official type: ``volumev3`` above ``volumev2``, and that type itself above all."""
    kind = target.service_type or ""
    return kind == official_type(kind), kind


def is_identity(target: Target) -> bool:
    """Tell whether a target is a Keystone."""
    return official_type(target.service_type) == IDENTITY


class Plan:
    """Which checks the services of the catalog have, by the configuration."""

    def __init__(self, config: Config) -> None:
        self._section = config.api
        self._checks = config.checks
        self._account = config.account
        self._is_private = config.account is not None and _is_https(config.account.url)

    def of(self, services: Iterable[Target]) -> Iterator[Target]:
        """Yield the services of the catalog with their calls, and with why they lack others.

        Services of one official type at one root (``volumev2``, ``volumev3``) are one program, and the call
        of the newest is made for all of them, but for those that the configuration names, by their name or
        the catalog's type.
        """
        listed = list(services)
        newest = {_program(target): target for target in sorted(listed, key=newness)}
        for target in listed:
            is_named = not self._checks.keys().isdisjoint(_own_names(target))
            asked = target if is_named else newest[_program(target)]
            each = list(self._each(asked))
            yield replace(
                target,
                calls=tuple(found for _, found in each if isinstance(found, Call)),
                lacks=tuple((check, found) for check, found in each if isinstance(found, str)),
            )

    def strangers(self, services: Iterable[Target]) -> Iterator[str]:
        """Yield a line for each ``[check NAME]`` that fits none of the catalog's services, or not wholly."""
        known: dict[str, bool] = {}  # names, and whether any of those services is a Keystone
        for target in services:
            for name in filter(None, _names(target)):
                known[name] = known.get(name, False) or is_identity(target)
        for name, section in sorted(self._checks.items()):
            if name not in known:
                hint = options.hint(name, known)
                yield f"[check {name}]: the catalog has no service of that name or type{hint}"
            elif not section.login and not known[name]:
                yield f"[check {name}] login: only Keystone has that check"

    def _each(self, target: Target) -> Iterator[tuple[str, Call | str]]:
        """Yield each check beyond *answers*, with what it asks, or with why it is not made."""
        chosen = next((self._checks[name] for name in _names(target) if name in self._checks), _BUILT_IN)
        yield WORKS, self._works(target, chosen)
        if is_identity(target):
            yield LOGIN, self._login(target, chosen)

    def _works(self, target: Target, chosen: CheckSection) -> Call | str:
        if not (self._section.works and chosen.works):
            return "turned off (works = no)"
        path = chosen.path or _CALLS.get(official_type(target.service_type))
        if path is None:
            return f"no call is known for services of type {target.service_type}"
        is_exchange = is_identity(target) and chosen.path is None
        if is_exchange and not self._may_exchange():
            is_exchange, path = False, _REGIONS
        auth = Auth.RESCOPE if is_exchange else Auth.TOKEN
        return Call(WORKS, url_of(target, path), auth, target.url or "")

    def _may_exchange(self) -> bool:
        """Tell whether Keystone gives another token for ours; for a delegated one it does not."""
        return self._account is None or self._account.method is Method.PASSWORD

    def _login(self, target: Target, chosen: CheckSection) -> Call | str:
        if not (self._section.login and chosen.login):
            return "turned off (login = no)"
        if self._account is not None and self._account.method is Method.TOKEN:
            return "signed in by a token"
        url = url_of(target, _TOKENS)
        if self._is_private and not _is_https(url):
            return "its URL in the catalog is not https, as the one is at which we sign in"
        return Call(LOGIN, url, Auth.PASSWORD, target.url or "")


def _program(target: Target) -> tuple[str, str, str | None]:
    """Tell programs apart: one of no known type is one for each service."""
    kind = official_type(target.service_type)
    return (kind if kind in _CALLS else target.id), target.url or "", target.region


def _own_names(target: Target) -> tuple[str, str]:
    """Return what ``[check NAME]`` may call a service that is not meant for another version of it."""
    return target.name, target.service_type or ""


def _names(target: Target) -> tuple[str, str, str]:
    """Return what ``[check NAME]`` may call a service: its name, or its type, as it is or officially."""
    return *_own_names(target), official_type(target.service_type)


def _is_https(url: str) -> bool:
    """Tell whether what is sent there is kept from others; a scheme may be in capitals."""
    return urlsplit(url).scheme == "https"


def url_of(target: Target, path: str) -> str:
    """Return where a service of the catalog has what is at `path`, see above."""
    root, url = target.url or "", target.endpoint or ""
    if path.startswith("/"):
        return endpoints.join(root, path)
    parts = urlsplit(url)
    return endpoints.join(parts._replace(query="", fragment="").geturl(), path)
