"""Accounts as OpenStack's own loaders find them: an entry of clouds.yaml, or the ``OS_`` variables.

clouds.yaml, with secure.yaml and profiles of vendors, is read by openstacksdk, which is optional; the
variables by keystoneauth1, which knows what each way to sign in needs. Runs in the command: a daemon's
environment is cleaned of ``OS_``. What is found here is raw; `downtimer.accounts` makes an account of it.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keystoneauth1 import loading

from downtimer import options
from downtimer.account import Origin, Source, Trust
from downtimer.errors import ConfigError

if TYPE_CHECKING:
    from openstack.config import OpenStackConfig

ENVIRONMENT: Final = "OS_AUTH_URL"
"""The variable without which the others name no cloud."""

AUTH_TYPE: Final = "OS_AUTH_TYPE"

_PLACES: Final = "in this folder, in ~/.config/openstack and in /etc/openstack, or by OS_CLIENT_CONFIG_FILE"
_FAULTS: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What openstacksdk raises where an entry is of another shape than it takes for granted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was found, before anything is made of it.

    Attributes:
        auth_type: How to sign in; None: it is not said.
        auth: What that needs, by OpenStack's names; it has secrets, and values of any type.
        region: None: it is not said, or there are several.
        interface: None: it is not said.
        trust: Of connections.
        origin: Where it was found.
    """

    auth_type: str | None
    auth: Mapping[str, object]
    region: object
    interface: object
    trust: Trust
    origin: Origin

    def __repr__(self) -> str:
        """Return it without secrets."""
        return f"Entry({self.origin})"


def of_clouds(name: str) -> Entry:
    """Return an entry of clouds.yaml.

    Args:
        name: Its own.

    Raises:
        ConfigError: There is none, or openstacksdk is not installed.
    """
    with _complaints() as complaints:
        found = _read()
        if name not in found.get_cloud_names():
            raise ConfigError(f"cloud {name!r}: {_why_unknown(name, found, complaints.all)}")
        if complaints.faults:  # it may have the secret, or stand before the file that was taken
            raise ConfigError(f"cloud {name!r}: {'; '.join(complaints.faults)}")
        origin = Origin(source=Source.CLOUD, place=found.config_filename or "", name=name)
        try:
            return _entry(found, name, origin)
        except _faults() as exc:
            raise ConfigError(f"cloud {name!r} in {origin.place}: cannot be used: {_said_by(exc)}") from None


def _entry(found: "OpenStackConfig", name: str, origin: Origin) -> Entry:
    given = found.cloud_config["clouds"][name] or {}
    region = os.environ.get("OS_REGION_NAME") or None
    made = found.get_one(cloud=name, region_name=region, validate=False)
    verify, cert = made.get_requests_verify_args()
    own, key = cert if isinstance(cert, tuple) else (cert, None)
    auth = dict(made.config["auth"])
    if "token" in given.get("auth", {}):  # up to 4.4 openstacksdk makes None of it
        auth["token"] = given["auth"]["token"]
    return Entry(
        auth_type=made.config.get("auth_type"),
        auth=auth,
        # Of several, get_one takes the first.
        region=None if region is None and "regions" in given else made.region_name,
        interface=made.config.get("interface"),
        trust=Trust(
            cacert=_path(verify) if isinstance(verify, str) else None,
            insecure=not verify,
            cert=_path(own),
            key=_path(key),
        ),
        origin=origin,
    )


def _read() -> "OpenStackConfig":
    try:
        from openstack.config import OpenStackConfig  # noqa: PLC0415 - optional, and half a second
    except ImportError:
        raise ConfigError(
            "clouds.yaml is read by openstacksdk, which is not installed; "
            f"`{sys.executable} -m pip install openstacksdk` mends that"
        ) from None
    try:
        return OpenStackConfig()
    except _faults() as exc:
        mark = getattr(exc, "problem_mark", None)  # older ones do not pass over what is no YAML
        where = "clouds.yaml: cannot be used" if mark is None else mark.name
        raise ConfigError(f"{where}: {_said_by(exc)}") from None


def _faults() -> tuple[type[Exception], ...]:
    import yaml  # noqa: PLC0415 - as above
    from openstack.exceptions import SDKException  # noqa: PLC0415

    return (SDKException, OSError, yaml.YAMLError, *_FAULTS)


def _said_by(error: object) -> str:
    """Return in a line what is wrong; of what is no YAML only where, for its parser quotes: ``*secret``."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        place = f"line {mark.line + 1}, column {mark.column + 1}"
        return f"no YAML at {place}; a value with such characters has to be in quotes"
    return " ".join(str(error).split())


def _why_unknown(name: str, found: "OpenStackConfig", complaints: list[str]) -> str:
    """Return why there is no such entry, and what to do."""
    if complaints:
        return f"it was not found: {'; '.join(complaints)}"
    if found.config_filename is None:
        return f"there is no clouds.yaml that can be read; it is looked for {_PLACES}"
    known = [known for known in found.get_cloud_names() if known != found.envvar_key]
    hint = options.hint(name, known) or f"; there are {', '.join(known) or 'none'}"
    return f"{found.config_filename} has no entry of that name{hint}"


class _Complaints(NamedTuple):
    """What openstacksdk would log, and which of that is about a file that it skips."""

    all: list[str]
    faults: list[str]


@contextmanager
def _complaints() -> Iterator[_Complaints]:
    """Have what openstacksdk would log, such as that it skips a file that is no YAML, in lists instead."""
    told = _Complaints([], [])

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            given = record.args if isinstance(record.args, tuple) else ()
            is_fault = any(isinstance(one, Exception) for one in given)
            if is_fault:
                record.args = tuple(_said_by(one) if isinstance(one, Exception) else one for one in given)
            line = " ".join(record.getMessage().split())
            for lines in (told.all, told.faults) if is_fault else (told.all,):
                if line not in lines:  # it reads a file more than once
                    lines.append(line)

    log, handler = logging.getLogger("openstack"), Handler(logging.WARNING)
    log.addHandler(handler)
    propagate, log.propagate = log.propagate, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield told
    finally:
        log.propagate = propagate
        log.removeHandler(handler)


def of_environment() -> Entry | None:
    """Return what the ``OS_`` variables say; None if they name no cloud.

    Raises:
        ConfigError: They can't be used.
    """
    if not os.environ.get(ENVIRONMENT):
        return None
    kind = os.environ.get(AUTH_TYPE)
    loaders = [kind] if kind else ["password", "v3applicationcredential", "token"]
    auth: dict[str, Any] = {}
    for loader in loaders:
        auth |= {option.dest: option.argparse_default for option in _options(loader)}
    cacert = os.environ.get("OS_CACERT")
    try:
        insecure = options.boolean(os.environ.get("OS_INSECURE") or "no", options.Context(folder=""))
    except ValueError as exc:
        raise ConfigError(f"OS_INSECURE: {exc}") from exc
    return Entry(
        auth_type=kind or None,
        auth=auth,
        region=os.environ.get("OS_REGION_NAME"),
        interface=os.environ.get("OS_INTERFACE") or os.environ.get("OS_ENDPOINT_TYPE"),
        trust=Trust(
            cacert=None if insecure else _path(cacert),
            insecure=insecure,
            cert=_path(os.environ.get("OS_CERT")),
            key=_path(os.environ.get("OS_KEY")),
        ),
        origin=Origin(source=Source.ENVIRONMENT),
    )


def _options(kind: str) -> list[Any]:
    """Return what a way to sign in needs; nothing of one that does not exist."""
    if kind not in loading.get_available_plugin_names():
        return []
    found: list[Any] = loading.get_plugin_loader(kind).get_options()
    return found


def _path(given: object) -> str | None:
    """Return the absolute path of a file, for the daemon is in another folder."""
    return os.path.abspath(os.path.expanduser(str(given))) if given else None  # noqa: PTH100, PTH111 - keeps symlinks
