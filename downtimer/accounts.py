"""Which cloud is measured, and as whom we sign in.

Runs in the commands that begin to measure. What counts is, in this order, and whole, never a mixture of two:
``--os-cloud``; conf.ini, if it has ``cloud`` or ``keystone_endpoint``; ``OS_CLOUD``; ``OS_AUTH_URL`` with the
other ``OS_`` variables. A lacking password alone may be ``OS_PASSWORD``. Region, interface and what is about
certificates may be given in conf.ini beside an entry of clouds.yaml or the environment, and win there.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from downtimer import clouds, credentials, endpoints, options, secrecy
from downtimer.account import Account, Method, Origin, Party, Source
from downtimer.clouds import Entry
from downtimer.config import HOW_TO_BEGIN, Config
from downtimer.errors import ConfigError
from downtimer.given import check_text

PASSWORD: Final = "OS_PASSWORD"  # noqa: S105 - its name
CLOUD: Final = "OS_CLOUD"
NONE: Final = "none"
"""What ``[global] cloud`` is for none."""

_INTERFACES: Final = ("public", "internal", "admin")
_METHODS: Final[Mapping[str, Method]] = {
    "password": Method.PASSWORD,
    "v3password": Method.PASSWORD,
    "v3applicationcredential": Method.APPLICATION_CREDENTIAL,
    "token": Method.TOKEN,
    "v3token": Method.TOKEN,
}
_SECRETS: Final[Mapping[Method, str]] = {
    Method.PASSWORD: "password",
    Method.APPLICATION_CREDENTIAL: "application_credential_secret",
    Method.TOKEN: "token",
}
_OTHER_SCOPES: Final = ("system_scope", "domain_id", "domain_name", "trust_id")
_DEFAULT_DOMAIN: Final = "default"
"""Whose id OpenStack's client takes where none is named."""


def resolve(config: Config, asked: str | None) -> Config:
    """Return the same with its secrets and the account in place.

    Args:
        config: As it was read.
        asked: The cloud that the command line names; None if it does not.

    Raises:
        ConfigError: The account can't be used, or there is neither a cloud nor anything else to measure.
    """
    config = secrecy.complete(config)
    config = replace(config, account=choose(config, asked))
    check_targets(config)
    return config


def check_targets(config: Config) -> None:
    """Refuse a configuration that has nothing to measure.

    Raises:
        ConfigError: It is one.
    """
    if config.account is None and not (config.static.ips or config.static.urls):
        raise ConfigError(
            f"{config.path}: [global] keystone_endpoint: missing, and [static] names no targets either; "
            f"{HOW_TO_BEGIN if not os.path.exists(config.path) else f'write one of them, or set {CLOUD}'}"  # noqa: PTH110 - a text
        )


def is_of_file(config: Config, asked: str | None) -> bool:
    """Tell whether the configuration itself says who we are, or that there is no cloud."""
    return asked is None and (config.global_.keystone_endpoint is not None or config.global_.cloud == NONE)


def of_file(config: Config, password: str | None) -> Account | None:
    """Return the account that stands in the configuration itself; None if there is none.

    Args:
        config: With its secrets.
        password: What stands for one that the file does not give.

    Raises:
        ConfigError: There is no password.
    """
    section = config.global_
    if section.keystone_endpoint is None:
        return None
    secret, method = _secret_of_file(config, password)
    is_by_id = section.application_credential_id is not None
    return _checked(
        Account(
            url=section.keystone_endpoint,
            method=method,
            secret=secret,
            user=None
            if method is Method.TOKEN or is_by_id
            else credentials.in_domain(section.user, section.user_domain_name),
            credential_id=section.application_credential_id,
            credential_name=section.application_credential_name,
            project=credentials.in_domain(section.project_name, section.project_domain_name)
            if method is Method.PASSWORD
            else None,
            region=section.region,
            interface=section.interface or _INTERFACES[0],
            trust=config.trust,
            origin=Origin(source=Source.FILE, place=config.path),
        )
    )


def password_of_environment(config: Config) -> str | None:
    """Return what the environment has for a password that the file does not give; None without one.

    Raises:
        ConfigError: It is no text.
    """
    password = os.environ.get(PASSWORD)
    if not password or not secrecy.wants_password(config):
        return None
    check_text(PASSWORD, password)
    return password


def choose(config: Config, asked: str | None) -> Account | None:
    """Return the account that counts; None if there is none.

    Args:
        config: With its secrets, if `is_of_file`.
        asked: See `resolve`.

    Raises:
        ConfigError: It can't be used.
    """
    named = asked if asked is not None else config.global_.cloud
    if named == "":
        raise ConfigError("--os-cloud: is empty")
    if is_of_file(config, asked):
        return of_file(config, password_of_environment(config))
    named = named or os.environ.get(CLOUD)
    try:
        entry = clouds.of_clouds(named) if named else clouds.of_environment()
    except ConfigError as exc:
        raise ConfigError(f"{_who_asks(config, asked)}{exc}") from exc
    if entry is None:
        return None
    found = of_entry(entry)
    return found if config.global_.keystone_endpoint is not None else _with_section(found, config)


def _who_asks(config: Config, asked: str | None) -> str:
    """Return with what a line about a cloud begins: who has named it."""
    if asked is not None:
        return "--os-cloud: "
    if config.global_.cloud is not None:
        return f"{config.path}: [global] cloud: "
    return f"{CLOUD}: " if os.environ.get(CLOUD) else ""


def _with_section(account: Account, config: Config) -> Account:
    """Return the account with what the file says of regions and certificates."""
    section, trust = config.global_, account.trust
    insecure = trust.insecure if section.insecure is None else section.insecure
    own = (section.cert, section.key) if section.cert is not None else (trust.cert, trust.key)
    trust = replace(trust, cacert=section.cacert or trust.cacert, insecure=insecure, cert=own[0], key=own[1])
    return replace(
        account,
        region=section.region or account.region,
        interface=section.interface or account.interface,
        trust=trust,
    )


def _secret_of_file(config: Config, password: str | None) -> tuple[str, Method]:
    section = config.global_
    if section.token is not None:
        return section.token, Method.TOKEN
    if section.application_credential_secret is not None:
        return section.application_credential_secret, Method.APPLICATION_CREDENTIAL
    if section.password or password:
        return section.password or password or "", Method.PASSWORD
    other = f"; {CLOUD} does not count beside keystone_endpoint" if os.environ.get(CLOUD) else ""
    raise ConfigError(
        f"{config.path}: [global] password: missing; write it or password_file, or start with "
        f"{PASSWORD}{other}"
    )


# --- what the loaders of OpenStack have found -----------------------------------------------------


def of_entry(entry: Entry) -> Account:
    """Return the account that an entry of clouds.yaml, or the environment, stands for.

    Raises:
        ConfigError: It is incomplete, or of a kind that can't be used here; one line.
    """
    auth = {option: _text(entry, option, value) for option, value in entry.auth.items() if value}
    method = _method(entry, auth)
    user = _party(auth, "user", "username") if method is not Method.TOKEN else None
    account = Account(
        url=_needed(entry, auth, "auth_url"),
        method=method,
        secret=_secret(entry, auth, method),
        user=user,
        credential_id=auth.get("application_credential_id"),
        credential_name=auth.get("application_credential_name"),
        project=None if method is Method.APPLICATION_CREDENTIAL else _party(auth, "project", "project_name"),
        region=_text(entry, "region_name", entry.region) if entry.region else None,
        interface=_interface(entry),
        trust=entry.trust,
        origin=entry.origin,
    )
    _check_scope(entry, auth, account)
    _check_who(entry, account)
    return _checked(account)


def _text(entry: Entry, option: str, value: object) -> str:
    """Return a value of YAML, to which ``yes`` is none, or of the environment as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{entry.origin.place_of(option)}: is no text; put it in quotes")
    check_text(entry.origin.where(option), str(value))
    return str(value)


def _method(entry: Entry, auth: Mapping[str, str]) -> Method:
    """Return how to sign in; where nothing or only the default is said, by the secret that there is."""
    kind = entry.auth_type or "password"
    if not isinstance(kind, str) or kind not in _METHODS:
        raise ConfigError(
            f"{entry.origin.place_of('auth_type')}: {kind!r} is no way in which downtimer can sign in; those "
            "are v3password, v3applicationcredential and v3token"
        )
    method = _METHODS[kind]
    if method is Method.PASSWORD and not auth.get("password"):
        given = (other for other, option in _SECRETS.items() if auth.get(option))
        method = next(given, method)
    return method


def _needed(entry: Entry, auth: Mapping[str, str], option: str) -> str:
    if option not in auth:
        raise ConfigError(f"{entry.origin.place_of(option)}: missing")
    return auth[option]


def _secret(entry: Entry, auth: Mapping[str, str], method: Method) -> str:
    option = _SECRETS[method]
    if option not in auth and method is Method.PASSWORD and (password := os.environ.get(PASSWORD)):
        check_text(PASSWORD, password)
        return password
    return _needed(entry, auth, option)


def _party(auth: Mapping[str, str], kind: str, name: str) -> Party | None:
    """Return a user or a project; None if there is none."""
    if (known := auth.get(f"{kind}_id")) is not None:
        return Party(id=known)
    if name not in auth:
        return None
    prefixes = (f"{kind}_domain", "default_domain", "domain")
    domain_id = next(filter(None, (auth.get(f"{prefix}_id") for prefix in prefixes)), None)
    domain_name = next(filter(None, (auth.get(f"{prefix}_name") for prefix in prefixes)), None)
    if auth.get(f"{kind}_domain_name") or domain_id is None:
        domain_id = auth.get(f"{kind}_domain_id") or (None if domain_name else _DEFAULT_DOMAIN)
    return Party(name=auth[name], domain_id=domain_id, domain_name=None if domain_id else domain_name)


def _interface(entry: Entry) -> str:
    given = entry.interface[0] if isinstance(entry.interface, list) and entry.interface else entry.interface
    found = str(given or _INTERFACES[0]).partition(",")[0].removesuffix("URL")
    if found not in _INTERFACES:
        raise ConfigError(
            f"{entry.origin.place_of('interface')}: {found!r} is none of {', '.join(_INTERFACES)}"
        )
    return found


def _check_scope(entry: Entry, auth: Mapping[str, str], account: Account) -> None:
    """Refuse what is for no project: most services have nothing to show then."""
    if account.project is not None or account.method is Method.APPLICATION_CREDENTIAL:
        return
    for option in _OTHER_SCOPES:
        if option in auth:
            raise ConfigError(
                f"{entry.origin.place_of(option)}: downtimer measures what a user of a project has; "
                f"name one instead, by {entry.origin.where('project_name')}"
            )


def _check_who(entry: Entry, account: Account) -> None:
    """Refuse what does not say who signs in."""
    if account.method is Method.APPLICATION_CREDENTIAL:
        if account.credential_id is None and account.credential_name is None:
            raise ConfigError(f"{entry.origin.place_of('application_credential_id')}: missing")
        if account.credential_id is not None or account.user is not None:
            return
    if account.method is not Method.TOKEN and account.user is None:
        raise ConfigError(f"{entry.origin.place_of('username')}: missing")


def _checked(account: Account) -> Account:
    """Return an account whose URL and token can be sent.

    Raises:
        ConfigError: They can't.
    """
    context = options.Context(folder="")
    for option, parse, value in (
        ("auth_url", options.url, account.url),
        ("token", options.token, account.secret if account.method is Method.TOKEN else "x"),
    ):
        try:
            parse(value, context)
        except ValueError as exc:
            raise ConfigError(f"{account.origin.place_of(option)}: {exc}") from exc
    try:
        endpoints.identity_base(account.url)
    except ValueError as exc:
        raise ConfigError(f"{account.origin.place_of('auth_url')}: {exc}") from exc
    return account
