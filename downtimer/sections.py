"""The options of conf.ini: each stands here once, with its parser, its default and its description.

The loader (`downtimer.config`), the sample file and the documentation are made from these.
"""

import dataclasses
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from downtimer import options
from downtimer.options import Context

FILE: Final = "_file"

_OPTION: Final = "downtimer-option"


@dataclass(frozen=True, slots=True)
class Option:
    """How one option is read, and what is said of it.

    Attributes:
        parse: Text → value; raises ValueError with a text that completes "… : ".
        default: The text that stands for it when absent, or how to find that; None: the value is None.
        help: One or two sentences for the user.
        is_secret: Never shown to anybody. An option of its name and `FILE` names the file in which it stands.
    """

    parse: Callable[[str, Context], Any]
    default: str | Callable[[Context], str] | None
    help: str
    is_secret: bool = False

    def value(self, text: str | None, context: Context) -> Any:  # noqa: ANN401 - as `parse` has it
        """Return the value of the text given, or of the default."""
        if text is None:
            text = self.default(context) if callable(self.default) else self.default
        return None if text is None else self.parse(text, context)


def _option(
    parse: Callable[[str, Context], Any],
    default: str | Callable[[Context], str] | None,
    text: str,
    *,
    secret: bool = False,
) -> Any:  # noqa: ANN401 - dataclasses.field() is typed as its default's type
    return dataclasses.field(metadata={_OPTION: Option(parse, default, text, secret)}, repr=not secret)


def option_of(field: "dataclasses.Field[Any]") -> Option:
    """Return the option that a field of a section stands for."""
    option = field.metadata[_OPTION]
    assert isinstance(option, Option)  # noqa: S101 - for the type checker; only we make such fields
    return option


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalSection:
    """``[global]``: the cloud, its credentials, and where things stand on this machine."""

    cloud: str | None = _option(
        options.text,
        None,
        "Entry of OpenStack's clouds.yaml that says where the cloud is and as whom to sign in, instead of "
        "keystone_endpoint and what is about users and projects. `none`: no cloud, whatever the environment "
        "says. Where the file gives neither this nor keystone_endpoint, OS_CLOUD counts, else OS_AUTH_URL "
        "and the other OS_ variables.",
    )
    keystone_endpoint: str | None = _option(options.url, None, "Keystone's URL, with or without /v3.")
    user: str = _option(options.text, "admin", "Name of the user to sign in as.")
    password: str | None = _option(
        options.text,
        None,
        "The user's password. Where the file gives nothing to sign in with, `start` takes OS_PASSWORD.",
        secret=True,
    )
    password_file: str | None = _option(
        options.path, None, "File whose first line is the password; instead of password."
    )
    project_name: str = _option(options.text, "admin", "Project to sign in to.")
    user_domain_name: str = _option(options.text, "default", "Domain of the user: its name or id.")
    project_domain_name: str = _option(options.text, "default", "Domain of the project: its name or id.")
    application_credential_id: str | None = _option(
        options.text, None, "Application credential to sign in with, instead of password; it has its project."
    )
    application_credential_name: str | None = _option(
        options.text, None, "The same by its name; it is one of the user's."
    )
    application_credential_secret: str | None = _option(options.text, None, "Its secret.", secret=True)
    application_credential_secret_file: str | None = _option(
        options.path, None, "File whose first line is that; instead of application_credential_secret."
    )
    token: str | None = _option(
        options.token,
        None,
        "Token to use instead of signing in; it has its project. What is asked after its end is unknown.",
        secret=True,
    )
    token_file: str | None = _option(options.path, None, "File whose first line is that; instead of token.")
    region: str | None = _option(
        options.text, None, "Measure this region only. Default: the cloud's entry has it, or every region."
    )
    interface: str | None = _option(
        options.choice("public", "internal", "admin"),
        None,
        "Which of the catalog's interfaces: public, internal or admin. Default: the cloud's entry has it, or "
        "public.",
    )
    cacert: str | None = _option(options.path, None, "File of CA certificates for https.")
    cert: str | None = _option(options.path, None, "File of a certificate that we show, if the cloud asks.")
    key: str | None = _option(options.path, None, "File of its key, where that stands in one of its own.")
    insecure: bool | None = _option(
        options.boolean,
        None,
        "Do not verify certificates of the cloud. Default: the cloud's entry has it, or no.",
    )
    report_file: str = _option(
        options.path, options.default_report, "The report; replaced at every stop and report."
    )
    log_file: str = _option(
        options.path, options.default_log, "The log of all processes; folders that it lacks are made."
    )
    log_level: str = _option(
        options.choice("debug", "info", "warning", "error"), "info", "How much the log says."
    )
    state_dir: str = _option(options.path, options.default_state, "Where the runs are kept.")
    runtime_dir: str = _option(options.path, options.default_runtime, "Where sockets and the lock are.")
    control_group: int | None = _option(
        options.group, None, "Group, by name or number, whose members may command the daemon, too."
    )
    keep_runs: int = _option(options.count(1, 1_000_000), "50", "Runs kept; the oldest go at a start.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DbSection:
    """``[db]``: InfluxDB. Without this section the journal is all there is."""

    host: str = _option(options.host, "localhost", "InfluxDB's host: its name or address.")
    port: int = _option(options.count(1, 65535), "8086", "InfluxDB's port.")
    name: str = _option(options.text, "downtimer", "Database; created if it is missing.")
    user: str | None = _option(options.text, None, "User, where InfluxDB asks for one.")
    password: str | None = _option(options.text, None, "Its password.", secret=True)
    password_file: str | None = _option(
        options.path, None, "File whose first line is that; instead of password."
    )
    token: str | None = _option(
        options.token,
        None,
        "Token of InfluxDB 2.x or 3.x, instead of user and password (as which it may be given, too).",
        secret=True,
    )
    token_file: str | None = _option(options.path, None, "File whose first line is that; instead of token.")
    ssl: bool = _option(options.boolean, "no", "Speak https.")
    cacert: str | None = _option(options.path, None, "File of CA certificates for that.")
    verify_ssl: bool = _option(options.boolean, "yes", "Verify InfluxDB's certificate.")
    address_window: float | None = _option(
        options.window,
        "auto",
        "Seconds of which InfluxDB gets one point for each address; `none`: no points of addresses, their "
        "outages only; `auto`: 10 up to 1,000 addresses, 60 up to 20,000, none beyond.",
    )


# What both kinds of probes have.
_FAST_INTERVAL: Final = "Seconds between probes of what fails, while it fails fast."
_FAST_FOR: Final = "For so many seconds of an episode; after that, `long_interval`."
_LONG_INTERVAL: Final = "Seconds between probes in the rest of an episode."
_UNANSWERED: Final = "Most unanswered probes of one check at a time while it does not answer."


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSection:
    """``[api]``: probes of services."""

    interval: float = _option(options.seconds(0.05, 60), "0.5", "Seconds between probes of a URL that is up.")
    timeout: float = _option(options.seconds(0.05, 60), "2", "A user's patience, in seconds.")
    budget: int = _option(options.count(1, 100_000), "500", "Most requests a second, all URLs together.")
    fast_interval: float = _option(options.seconds(0.01, 60), "0.05", _FAST_INTERVAL)
    fast_for: float = _option(options.seconds(0, 3600), "60", _FAST_FOR)
    long_interval: float = _option(options.seconds(0.05, 60), "0.5", _LONG_INTERVAL)
    unanswered: int = _option(options.count(1, 100), "4", _UNANSWERED)
    sentinel: bool = _option(
        options.boolean,
        "yes",
        "Keep the connection of an answered probe open until the next has been answered: its end shows at "
        "once that the process behind it has died.",
    )
    works: bool = _option(
        options.boolean,
        "yes",
        "Ask services also for something that needs a token and their database; who only answers does not "
        "work yet.",
    )
    works_interval: float = _option(
        options.seconds(0.5, 3600), "2", "Seconds between such calls to a service that works."
    )
    login: bool = _option(options.boolean, "yes", "Sign in to Keystone with the password now and then.")
    login_interval: float = _option(
        options.seconds(1, 3600),
        "15",
        "Seconds between attempts to sign in; each costs Keystone 0.1 to 0.2 s of CPU.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpSection:
    """``[icmp]``: probes of addresses."""

    interval: float = _option(
        options.seconds(0.01, 60), "0.2", "Seconds between echoes to an address that is up."
    )
    timeout: float = _option(options.seconds(0.05, 60), "1", "Seconds after which no reply is down.")
    budget: int = _option(
        options.count(1, 1_000_000), "20000", "Most echoes a second, all addresses together."
    )
    fast_interval: float = _option(options.seconds(0.01, 60), "0.05", _FAST_INTERVAL)
    fast_for: float = _option(options.seconds(0, 3600), "60", _FAST_FOR)
    long_interval: float = _option(options.seconds(0.05, 60), "0.5", _LONG_INTERVAL)
    unanswered: int = _option(options.count(1, 100), "10", _UNANSWERED)
    tcp_fallback: tuple[int, ...] = _option(
        options.ports,
        "22,80,443",
        "Ports by which an address is tried that answered no echo in its first 10 s; empty: none. It touches "
        "the hosts of the cloud's users.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageSection:
    """``[vantage]``: where probes come from."""

    name: str = _option(options.text, lambda _: socket.gethostname(), "Name of this vantage point.")
    reference: tuple[str, ...] = _option(
        options.references,
        "gateway",
        "Addresses whose answers prove that our own link works: `gateway` (the default route's, once it "
        "has answered), addresses, or `none`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsSection:
    """``[targets]``: which of what the cloud lists is measured. Does not apply to ``[static]``."""

    include: tuple[str, ...] = _option(
        options.patterns,
        "",
        "Measure only what matches one of these: a glob on a service's name, `region:GLOB`, `url:GLOB`, "
        "`project:GLOB` (a floating IP's project, name or id), an address or a CIDR block.",
    )
    exclude: tuple[str, ...] = _option(options.patterns, "", "Never measure what matches one of these.")
    source: str | None = _option(options.source, None, "Address or interface that probes leave from.")
    agents: bool = _option(
        options.boolean,
        "yes",
        "Read every 10 s what Nova, Neutron, Cinder and Heat report of their agents and engines, where the "
        "user may.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSection:
    """``[static]``: targets outside any catalog."""

    ips: tuple[str, ...] = _option(
        options.networks,
        "",
        "Addresses, CIDR blocks (every address in them) and @FILE (such a list, one or more a line, # for "
        "comments); at most 131,072 addresses.",
    )
    urls: tuple[tuple[str, str], ...] = _option(options.named_urls, "", "name=URL, each probed as it stands.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSection:
    """``[check NAME]``: how the service of that name or type in the catalog is asked whether it works."""

    works: bool = _option(options.boolean, "yes", "Ask it for something that needs a token.")
    login: bool = _option(options.boolean, "yes", "Keystone's only: sign in with the password.")
    path: str | None = _option(
        options.call_path,
        None,
        "What to ask it for, instead of the built-in call; from its root if it begins with /, else from its "
        "URL in the catalog. The answer must be 2xx.",
    )


SECTIONS: Final[Mapping[str, type[Any]]] = {
    "global": GlobalSection,
    "db": DbSection,
    "api": ApiSection,
    "icmp": IcmpSection,
    "vantage": VantageSection,
    "targets": TargetsSection,
    "static": StaticSection,
}
WAYS: Final = ("password", "application_credential_secret", "token")
"""Options of ``[global]`` that are secret, with one of which we sign in."""

CREDENTIAL_NAMES: Final = ("application_credential_id", "application_credential_name")
"""Options of ``[global]`` that tell which application credential it is."""

ABOUT_ACCOUNT: Final = (
    "keystone_endpoint",
    "user",
    "project_name",
    "user_domain_name",
    "project_domain_name",
    *CREDENTIAL_NAMES,
    *WAYS,
    *(f"{way}{FILE}" for way in WAYS),
)
"""Options of ``[global]`` that an entry of clouds.yaml has in their place."""
