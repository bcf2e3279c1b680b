"""Who we are, to which cloud, and where that was found, for whoever has to mend it. Pure.

A command resolves it (`downtimer.accounts`); then it travels with the configuration to those that sign in.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


class Method(enum.StrEnum):
    """How we sign in."""

    PASSWORD = "password"  # noqa: S105 - its name
    APPLICATION_CREDENTIAL = "application credential"
    TOKEN = "token"  # noqa: S105 - its name


class Source(enum.StrEnum):
    """What an account was found in."""

    FILE = "file"  # conf.ini itself
    CLOUD = "cloud"  # an entry of clouds.yaml
    ENVIRONMENT = "environment"


_IN_FILE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "auth_url": "keystone_endpoint",
        "username": "user",
        "region_name": "region",
        "verify": "insecure",
    }
)
"""What conf.ini calls otherwise than OpenStack's clients do."""

_BESIDE_AUTH: Final = frozenset({"auth_type", "cacert", "verify", "cert", "key", "region_name", "interface"})
"""What stands in an entry of clouds.yaml itself, and not in its ``auth``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an account was found.

    Attributes:
        source: In what.
        place: The file; empty for the environment.
        name: Of the entry in it; empty for others.
    """

    source: Source
    place: str = ""
    name: str = ""

    def where(self, *options: str) -> str:
        """Return what options, by their names in OpenStack's clients, are called there."""
        match self.source:
            case Source.FILE:
                return f"[global] {', '.join(_IN_FILE.get(option, option) for option in options)}"
            case Source.CLOUD:
                inside = (option if option in _BESIDE_AUTH else f"auth.{option}" for option in options)
                return f"{', '.join(inside)} of cloud {self.name!r}"
            case Source.ENVIRONMENT:
                return ", ".join(
                    f"OS_{'INSECURE' if option == 'verify' else option.upper()}" for option in options
                )

    def place_of(self, *options: str) -> str:
        """Return the same with the file that they stand in."""
        return f"{self.where(*options)} in {self.place or 'the environment'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A user or a project as Keystone takes it: by its id, or by its name and its domain's name or id."""

    id: str | None = None
    name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None

    def __str__(self) -> str:
        """Return it for a reader."""
        if self.id is not None:
            return f"{self.id!r}"
        return f"{self.name!r} of domain {self.domain_id or self.domain_name!r}"

    def body(self) -> dict[str, object]:
        """Return it in the words of Keystone's API."""
        if self.id is not None:
            return {"id": self.id}
        domain = {"id": self.domain_id} if self.domain_id is not None else {"name": self.domain_name}
        return {"name": self.name, "domain": domain}

    def options(self, kind: str, name: str) -> dict[str, str]:
        """Return it as keystoneauth1's plugins take it.

        Args:
            kind: ``user`` or ``project``.
            name: The option that has its name.
        """
        given = {
            f"{kind}_id": self.id,
            name: self.name,
            f"{kind}_domain_id": self.domain_id,
            f"{kind}_domain_name": self.domain_name,
        }
        return {option: value for option, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom to believe that he is the cloud, and how to show that it is us.

    Attributes:
        cacert: File of CA certificates; None: the system's.
        insecure: Believe anybody.
        cert: File of a certificate of ours; None: we show none.
        key: File of its key; None: it is in `cert`.
    """

    cacert: str | None = None
    insecure: bool = False
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where Keystone is, and as whom we sign in to it.

    Attributes:
        url: Keystone's, as it was written.
        method: How we sign in.
        secret: The password, the application credential's secret, or the token.
        user: None where `method` does not need one.
        credential_id: Of the application credential.
        credential_name: The same by its name, which needs the user.
        project: None: Keystone chooses, or the application credential or the token has one.
        region: Measure this region only; None: every region.
        interface: Which of the catalog's.
        trust: Of connections to the cloud.
        origin: Where it was found.
    """

    url: str
    method: Method
    secret: str = field(repr=False)
    user: Party | None = None
    credential_id: str | None = None
    credential_name: str | None = None
    project: Party | None = None
    region: str | None = None
    interface: str = "public"
    trust: Trust = Trust()
    origin: Origin

    @property
    def who(self) -> str:
        """As whom we sign in, for a reader: such as ``user 'admin' of domain 'default'``."""
        if self.method is Method.APPLICATION_CREDENTIAL:
            return f"application credential {self.credential}"
        return "a token" if self.method is Method.TOKEN else f"user {self.user}"

    @property
    def credential(self) -> str:
        """The application credential, for a reader."""
        if self.credential_id is not None:
            return f"{self.credential_id!r}"
        return f"{self.credential_name!r} of user {self.user}"
