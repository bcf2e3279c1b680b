"""conf.ini → frozen dataclasses. Every error is one line that names file, section and option.

Each option stands once, as a field with its parser, default and description; the loader, the sample
file's check and the documentation are made from these. Interpolation is off: a ``%`` is a ``%``.
"""

import configparser
import dataclasses
import errno
import os
import socket
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from downtimer import options
from downtimer.errors import ConfigError
from downtimer.options import Context

DEFAULT_PATH: Final = "/etc/downtimer/conf.ini"
CONTROL_SOCKET: Final = "control.sock"
FILE: Final = "_file"
SIZE_MAX: Final = 16 << 20
SOCKET_PATH_MAX: Final = 107  # bytes; sun_path of unix(7) less its terminating NUL

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

    keystone_endpoint: str | None = _option(
        options.url, None, "Keystone's URL, with or without /v3. Without it only [static] is measured."
    )
    user: str = _option(options.text, "admin", "Name of the user to sign in as.")
    password: str | None = _option(
        options.text,
        None,
        "The user's password. Where neither it nor password_file is given, `start` takes OS_PASSWORD for it.",
        secret=True,
    )
    password_file: str | None = _option(
        options.path, None, "File whose first line is the password; instead of password."
    )
    project_name: str = _option(options.text, "admin", "Project to sign in to.")
    user_domain_name: str = _option(options.text, "default", "Domain of the user: its name or id.")
    project_domain_name: str = _option(options.text, "default", "Domain of the project: its name or id.")
    region: str | None = _option(options.text, None, "Measure this region only. Default: every region.")
    interface: str = _option(
        options.choice("public", "internal", "admin"), "public", "Which of the catalog's interfaces."
    )
    cacert: str | None = _option(options.path, None, "File of CA certificates for https.")
    insecure: bool = _option(options.boolean, "no", "Do not verify certificates of the cloud.")
    report_file: str = _option(
        options.path, options.default_report, "The report; replaced at every stop and report."
    )
    log_file: str = _option(options.path, options.default_log, "The log of all processes.")
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

    host: str = _option(options.text, "localhost", "InfluxDB's host.")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration.

    Attributes:
        path: The file that it came from.
        db: None without a ``[db]`` section.
        checks: The ``[check NAME]`` sections by name.
    """

    path: str
    global_: GlobalSection
    db: DbSection | None
    api: ApiSection
    icmp: IcmpSection
    vantage: VantageSection
    targets: TargetsSection
    static: StaticSection
    checks: Mapping[str, CheckSection]

    @property
    def control_socket(self) -> str:
        """Path of the control socket."""
        return str(Path(self.global_.runtime_dir) / CONTROL_SOCKET)


SECTIONS: Final[Mapping[str, type[Any]]] = {
    "global": GlobalSection,
    "db": DbSection,
    "api": ApiSection,
    "icmp": IcmpSection,
    "vantage": VantageSection,
    "targets": TargetsSection,
    "static": StaticSection,
}
PLACES: Final = ("state_dir", "runtime_dir", "report_file", "log_file")
"""Options of ``[global]`` that say where things are on this machine."""

CHECK: Final = "check "
"""With what the names of sections begin that stand for one service."""


def load(path: str | None = None, *, may_wait: bool = True) -> Config:
    """Read the configuration file; not the files that secrets stand in, see `secrecy.complete`.

    Args:
        path: The file; None for ``DOWNTIMER_CONFIG``, else ``/etc/downtimer/conf.ini``.
        may_wait: Read a pipe, too, and wait for what comes out of it.

    Raises:
        ConfigError: Anything about it is wrong; one line that says what and where.
    """
    path, text = _read(path, may_wait=may_wait)
    return parse(text, path)


def _read(path: str | None, *, may_wait: bool = True) -> tuple[str, str]:
    """Return the absolute path of the file, and its text."""
    path = os.path.abspath(path or os.environ.get("DOWNTIMER_CONFIG") or DEFAULT_PATH)  # noqa: PTH100 - keeps symlinks
    try:
        path.encode()
        return path, _text_of(path, may_wait=may_wait)
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{path}: the name of the configuration is not UTF-8 text") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot read the configuration: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text (byte {exc.start})") from exc


def _text_of(path: str, *, may_wait: bool) -> str:
    """Return what is in a file, unless it is larger than any configuration.

    Raises:
        OSError: It can't be read, or is too large.
        UnicodeDecodeError: It is no text.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if may_wait else os.O_NONBLOCK))
    with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if stat.S_ISFIFO(os.fstat(fd).st_mode) and not may_wait:
            raise OSError(errno.EINVAL, "it is a pipe")
        content = file.read(SIZE_MAX + 1)
    if len(content) > SIZE_MAX:
        raise OSError(errno.EFBIG, f"larger than {SIZE_MAX >> 20} MiB")
    return content.decode("utf-8").replace("\r\n", "\n")


def parse(text: str, path: str) -> Config:
    """Read a configuration from `text`; `path` names it in errors and anchors relative paths.

    Raises:
        ConfigError: See `load`.
    """
    config = _make(_read_ini(text, path), path)
    _check_whole(config)
    return config


def load_places(path: str | None = None) -> Config:
    """Read of a configuration that is wrong only where things are: for commands to a daemon that runs.

    Args:
        path: See `load`.

    Raises:
        ConfigError: Not even that can be read.
    """
    path, text = _read(path)
    parser = _parser(strict=False)
    try:
        parser.read_string(text, source=path)
    except configparser.Error as exc:
        raise ConfigError(f"{path}: {exc.message.splitlines()[0]}") from exc
    given = dict(parser.items("global")) if parser.has_section("global") else {}
    return _make({"global": {name: given[name] for name in PLACES if name in given}}, path)


def _make(given: Mapping[str, dict[str, str]], path: str) -> Config:
    context = Context(folder=str(Path(path).parent))
    made: dict[str, Any] = {}
    for name, section in SECTIONS.items():
        present = name in given
        made[name] = _section(section, given.get(name, {}), (path, name), context)
        if name == "db" and not present:
            made[name] = None
    checks = {
        check: _section(CheckSection, options_given, (path, name), context)
        for name, options_given in given.items()
        if (check := _check_name(name))
    }
    return Config(path=path, global_=made.pop("global"), checks=checks, **made)


def _parser(*, strict: bool) -> configparser.RawConfigParser:
    return configparser.RawConfigParser(strict=strict, default_section="\0none", comment_prefixes=("#", ";"))


def _read_ini(text: str, path: str) -> dict[str, dict[str, str]]:
    parser = _parser(strict=True)
    try:
        parser.read_string(text, source=path)
    except configparser.DuplicateOptionError as exc:
        raise ConfigError(f"{path}: [{exc.section}] {exc.option}: given twice (line {exc.lineno})") from exc
    except configparser.DuplicateSectionError as exc:
        raise ConfigError(f"{path}: [{exc.section}]: given twice (line {exc.lineno})") from exc
    except configparser.MissingSectionHeaderError as exc:
        raise ConfigError(f"{path}: line {exc.lineno} stands before any [section]") from exc
    except configparser.ParsingError as exc:
        line = exc.errors[0][0] if exc.errors else 0
        raise ConfigError(f"{path}: line {line} is neither [section] nor option = value") from exc
    for name in parser.sections():
        if name not in SECTIONS and not _check_name(name):
            known = ", ".join(f"[{known}]" for known in (*SECTIONS, "check NAME"))
            raise ConfigError(f"{path}: [{name}]: unknown section; there are {known}")
    checks = Counter(filter(None, map(_check_name, parser.sections())))
    for name, count in checks.items():
        if count > 1:
            raise ConfigError(f"{path}: [{CHECK}{name}]: given twice")
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _check_name(section: str) -> str:
    """Return the NAME of a ``[check NAME]``; empty if it is another section."""
    return section.removeprefix(CHECK).strip() if section.startswith(CHECK) else ""


def _section(section: type[Any], given: dict[str, str], where: tuple[str, str], context: Context) -> Any:  # noqa: ANN401 - one of SECTIONS
    path, name = where
    fields = {field.name: option_of(field) for field in dataclasses.fields(section)}
    for unknown in given.keys() - fields.keys():
        hint = options.hint(unknown, fields) or f"; there are {', '.join(fields)}"
        raise ConfigError(f"{path}: [{name}] {unknown}: unknown option{hint}")
    values = {}
    for option_name, option in fields.items():
        if option.is_secret and {option_name, other := f"{option_name}{FILE}"} <= given.keys():
            raise ConfigError(f"{path}: [{name}] {other}: given beside {option_name}; remove one of them")
        try:
            values[option_name] = option.value(given.get(option_name), context)
        except (ValueError, RuntimeError) as exc:  # pathlib's, where a user has no home
            raise ConfigError(f"{path}: [{name}] {option_name}: {exc}") from exc
    return section(**values)


def _check_whole(config: Config) -> None:
    """Check what concerns more than one option."""
    path, section = config.path, config.global_
    if len(os.fsencode(config.control_socket)) > SOCKET_PATH_MAX:
        raise ConfigError(
            f"{path}: [global] runtime_dir: {config.control_socket} is longer than the {SOCKET_PATH_MAX} "
            "bytes that a socket's path may have; choose a shorter folder"
        )
    if section.keystone_endpoint is None and not (config.static.ips or config.static.urls):
        raise ConfigError(
            f"{path}: [global] keystone_endpoint: missing, and [static] names no targets either"
        )
    db = config.db
    if db is not None and db.user is not None and (db.token or db.token_file) is not None:
        raise ConfigError(
            f"{path}: [db] token: given beside user; remove one of them, or give it as password"
        )
    for name, _ in config.static.urls:
        if name in config.checks:
            raise ConfigError(
                f"{path}: [{CHECK}{name}]: {name} is one of [static] urls, which are probed as they stand"
            )
