"""conf.ini → frozen dataclasses. Every error is one line that names file, section and option.

What the options are stands in `downtimer.sections`. Interpolation is off: a ``%`` is a ``%``.
"""

import configparser
import dataclasses
import errno
import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from downtimer import options
from downtimer.account import Account, Trust
from downtimer.errors import ConfigError
from downtimer.options import Context
from downtimer.sections import (
    ABOUT_ACCOUNT,
    CREDENTIAL_NAMES,
    FILE,
    SECTIONS,
    WAYS,
    ApiSection,
    CheckSection,
    DbSection,
    GlobalSection,
    IcmpSection,
    StaticSection,
    TargetsSection,
    VantageSection,
    option_of,
)

__all__ = ("SECTIONS", "option_of")  # what the options are is asked for here, beside what is defined here

DEFAULT_PATH: Final = "/etc/downtimer/conf.ini"
CONTROL_SOCKET: Final = "control.sock"
SIZE_MAX: Final = 16 << 20
VARIABLE: Final = "DOWNTIMER_CONFIG"

HOW_TO_BEGIN: Final = (
    "copy etc/conf.ini.sample there, name another file by --config, or set OS_CLOUD and go without"
)
"""What to do where there is no configuration."""

SOCKET_PATH_MAX: Final = 107  # bytes; sun_path of unix(7) less its terminating NUL


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration.

    Attributes:
        path: The file that it came from; it need not exist if it is the default one.
        db: None without a ``[db]`` section.
        checks: The ``[check NAME]`` sections by name.
        account: Where the cloud is and who we are, as `downtimer.accounts` has resolved it; None: no cloud.
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
    account: Account | None = None

    @property
    def trust(self) -> Trust:
        """Whom to believe that he is the cloud, or one of the static services."""
        if self.account is not None:
            return self.account.trust
        section = self.global_
        return Trust(
            cacert=section.cacert, insecure=bool(section.insecure), cert=section.cert, key=section.key
        )

    @property
    def control_socket(self) -> str:
        """Path of the control socket."""
        return str(Path(self.global_.runtime_dir) / CONTROL_SOCKET)


PLACES: Final = ("state_dir", "runtime_dir", "report_file", "log_file")
"""Options of ``[global]`` that say where things are on this machine."""

CHECK: Final = "check "
"""With what the names of sections begin that stand for one service."""


def load(path: str | None = None, *, may_wait: bool = True) -> Config:
    """Read the configuration file; not the files that secrets stand in, see `secrecy.complete`.

    The default file need not be there: all it could say has a default, and the environment may name a cloud.

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
    named = "" if path or not os.environ.get(VARIABLE) else f" that {VARIABLE} names"
    path = os.path.abspath(path or os.environ.get(VARIABLE) or DEFAULT_PATH)  # noqa: PTH100 - keeps symlinks
    try:
        path.encode()
        return path, _text_of(path, may_wait=may_wait)
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{path}: the name of the configuration is not UTF-8 text") from exc
    except FileNotFoundError as exc:
        if path == DEFAULT_PATH:
            return path, ""
        why = f"cannot read the configuration{named}: {exc.strerror}; {HOW_TO_BEGIN}"
        raise ConfigError(f"{path}: {why}") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot read the configuration{named}: {exc.strerror}") from exc
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
    given = _read_ini(text, path)
    config = _make(given, path)
    _check_account(given.get("global", {}), path)
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


def _check_account(given: Mapping[str, str], path: str) -> None:
    """Check what of ``[global]`` is about the cloud: there is one account, and one way to sign in."""
    if "cloud" in given:
        for option in ABOUT_ACCOUNT:
            if option in given:
                raise ConfigError(f"{path}: [global] {option}: given beside cloud; remove one of them")
    ways = [way for way in WAYS if {way, f"{way}{FILE}"} & given.keys()]
    if len(ways) > 1:
        raise ConfigError(f"{path}: [global] {ways[1]}: given beside {ways[0]}; remove one of them")
    named = [name for name in CREDENTIAL_NAMES if name in given]
    if len(named) > 1:
        raise ConfigError(f"{path}: [global] {named[1]}: given beside {named[0]}; remove one of them")
    is_by_credential = WAYS[1] in ways
    if named and not is_by_credential:
        raise ConfigError(
            f"{path}: [global] {WAYS[1]}: missing beside {named[0]}; write it, or {WAYS[1]}{FILE}"
        )
    if is_by_credential and not named:
        raise ConfigError(f"{path}: [global] {CREDENTIAL_NAMES[0]}: missing beside {WAYS[1]}")
    if "key" in given and "cert" not in given:
        raise ConfigError(f"{path}: [global] cert: missing beside key")


def _check_whole(config: Config) -> None:
    """Check what concerns more than one option."""
    path = config.path
    if len(os.fsencode(config.control_socket)) > SOCKET_PATH_MAX:
        raise ConfigError(
            f"{path}: [global] runtime_dir: {config.control_socket} is longer than the {SOCKET_PATH_MAX} "
            "bytes that a socket's path may have; choose a shorter folder"
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
