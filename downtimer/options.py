"""How the text of one option becomes a value: parsers, and defaults that depend on the user.

A parser raises ValueError with a text that says what is wrong and how to mend it; `config` puts file,
section and option before it.
"""

import difflib
import grp
import ipaddress
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from downtimer import selection
from downtimer.printable import printable

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

STATIC_MAX: Final = 131_072
"""Most static addresses: what a /15 holds."""

_LINE_MAX: Final = 4096  # bytes

_GID_MAX: Final = 2**32 - 2  # one more stands for "as it is" in chown(2)

_SOURCE_INTERFACE = re.compile(r"[^\s/:]{1,15}")  # IFNAMSIZ of netdevice(7)


@dataclass(frozen=True, slots=True)
class Context:
    """What parsers may depend on: `folder`, that of the configuration, for relative paths."""

    folder: str


def default_state(_: Context) -> str:
    """Return where runs are kept by default."""
    if os.geteuid() == 0:
        return "/var/lib/downtimer"
    return str(Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "downtimer")


def default_runtime(_: Context) -> str:
    """Return where sockets are by default."""
    if os.geteuid() == 0:
        return "/run/downtimer"
    base = os.environ.get("XDG_RUNTIME_DIR")
    return str(Path(base) / "downtimer") if base else f"/tmp/downtimer-{os.geteuid()}"  # noqa: S108 - checked


def default_log(context: Context) -> str:
    """Return the log file's default."""
    return "/var/log/downtimer.log" if os.geteuid() == 0 else f"{default_state(context)}/downtimer.log"


def default_report(context: Context) -> str:
    """Return the report file's default."""
    return "/var/log/downtimer.report" if os.geteuid() == 0 else f"{default_state(context)}/downtimer.report"


def text(value: str, _: Context) -> str:
    """Accept any text but none."""
    if not value:
        raise ValueError("is empty")
    return value


def host(value: str, _: Context) -> str:
    """Accept the name or the address of a host, and nothing of a URL around it."""
    if "://" in value or "/" in value:
        raise ValueError(
            f"{value!r} is no host: it is the name alone, without http:// (https is `ssl = yes`)"
        )
    try:
        ipaddress.IPv6Address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        if not value or re.search(r"[\s:@?#\\\[\]\x00-\x1f]", value):
            raise ValueError(f"{value!r} is no host; a port is an option of its own") from None
    return value


def token(value: str, _: Context) -> str:
    """Accept what a header can bear: printable ASCII without blanks."""
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("is no token: those have neither blanks nor letters beyond ASCII")
    return value


def boolean(value: str, _: Context) -> bool:
    """Accept yes/no in configparser's spellings."""
    known = {"yes": True, "true": True, "on": True, "1": True}
    known |= {"no": False, "false": False, "off": False, "0": False}
    try:
        return known[value.lower()]
    except KeyError:
        raise ValueError(f"{value!r} is neither yes nor no") from None


def choice(*allowed: str) -> Callable[[str, Context], str]:
    """Accept one of a few words."""

    def parse(value: str, _: Context) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
        return value

    return parse


def count(least: int, most: int) -> Callable[[str, Context], int]:
    """Accept a whole number within limits."""

    def parse(value: str, _: Context) -> int:
        if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
            raise ValueError(f"{value!r} is no whole number from {least} to {most}")
        return int(value)

    return parse


def seconds(least: float, most: float) -> Callable[[str, Context], float]:
    """Accept a number of seconds within limits."""

    def parse(value: str, _: Context) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise ValueError(f"{value!r} is no number of seconds from {least:g} to {most:g}")
        return number

    return parse


def window(value: str, context: Context) -> float | None:
    """Accept ``auto``, ``none``, or a number of seconds; return None for the former, 0 for the latter."""
    if value in ("auto", "none"):
        return None if value == "auto" else 0.0
    try:
        return seconds(10, 3600)(value, context)
    except ValueError as exc:
        raise ValueError(f"{exc}; write that, `auto` or `none`") from None


def call_path(value: str, _: Context) -> str:
    """Accept the path of a call, with a query or without, from a service's root or its URL."""
    if not value or "://" in value or re.search(r"[\s\x00-\x20\x7f\\<>\"#]", value) or not value.isascii():
        raise ValueError(f"{value!r} is no path of a URL; write for example /v2/things?limit=1")
    if ".." in value.partition("?")[0].split("/"):
        raise ValueError(f"{value!r} has dots for a path segment")
    return value


def ports(value: str, context: Context) -> tuple[int, ...]:
    """Accept TCP ports, each once; there may be none."""
    parse = count(1, 65535)
    return tuple(dict.fromkeys(parse(word, context) for word in _words(value)))


def path(value: str, context: Context) -> str:
    """Accept a path; a relative one starts at the configuration's folder."""
    if not value or "\0" in value:
        raise ValueError("is no path")
    return os.path.abspath(Path(context.folder) / Path(value).expanduser())  # noqa: PTH100 - keeps symlinks


def first_line(file: str) -> str:
    """Return the first line of a file, without its end: a secret, which may begin and end with blanks.

    Raises:
        ValueError: There is none; the text does not hold any of it.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not hold us up
        with open(descriptor, "rb") as content:  # noqa: PTH123 - no path
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            line = content.readline(_LINE_MAX + 1) if is_file else b""
        text = line.decode()
    except OSError as exc:
        raise ValueError(f"cannot read {file}: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise ValueError(f"the first line of {file} is not UTF-8 text") from None
    if not is_file:
        raise ValueError(f"{file} is no regular file")
    if len(line) > _LINE_MAX:
        raise ValueError(f"the first line of {file} is longer than {_LINE_MAX} bytes")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"the first line of {file} is empty")
    return text


def group(value: str, _: Context) -> int:
    """Accept the name of a group, or its number, which need not be known."""
    try:
        return grp.getgrnam(value).gr_gid
    except (KeyError, ValueError):  # also with a NUL
        if re.fullmatch(r"[0-9]{1,10}", value) and int(value) <= _GID_MAX:
            return int(value)
        raise ValueError(f"there is no group {value!r}") from None


def url(value: str, _: Context) -> str:
    """Accept an http or https URL with a host."""
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or re.search(r"[\s\x00-\x1f]", value):
        shown = "what is given" if "@" in value else repr(value)  # it may hold a password
        raise ValueError(f"{shown} is no http:// or https:// URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has credentials in the URL; they belong in user and password")
    return value


def address(value: str) -> str:
    """Return an IP address in its canonical text.

    Raises:
        ValueError: It is none.
    """
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{value!r} is no IP address") from None
    if parsed.version == 6 and parsed.scope_id is not None:
        raise ValueError(f"{value!r} has a scope; link-local addresses cannot be targets")
    return str(parsed)


def references(value: str, _: Context) -> tuple[str, ...]:
    """Accept ``gateway``, ``none``, or addresses. ``none`` is the empty tuple."""
    words = _words(value)
    if words == ["none"]:
        return ()
    if not words:
        raise ValueError("is empty; write `none` to have no reference")
    return tuple(map(_reference, words))


def _reference(word: str) -> str:
    try:
        return word if word == "gateway" else address(word)
    except ValueError as exc:
        raise ValueError(f"{exc}; write addresses, `gateway`, or `none` alone") from None


def patterns(value: str, _: Context) -> tuple[str, ...]:
    """Accept a list of patterns, divided by commas or lines (project names may hold blanks)."""
    found = tuple(item.strip() for item in re.split(r"[,\n]", value) if item.strip())
    for item in found:
        selection.parse(item)
    return found


def source(value: str, _: Context) -> str:
    """Accept an address of this host or the name of an interface."""
    try:
        return address(value)
    except ValueError:
        if _SOURCE_INTERFACE.fullmatch(value):
            return value
        raise ValueError(f"{value!r} is neither an IP address nor an interface") from None


def networks(value: str, context: Context) -> tuple[str, ...]:
    """Accept addresses, CIDR blocks and @FILE; return blocks without overlap, IPv4 first."""
    found = {_network(word) for word in _expand_files(_words(value), context)}
    v4 = [block for block in found if isinstance(block, ipaddress.IPv4Network)]
    v6 = [block for block in found if isinstance(block, ipaddress.IPv6Network)]
    blocks: list[_Network] = []
    blocks += ipaddress.collapse_addresses(v4)
    blocks += ipaddress.collapse_addresses(v6)
    total = sum(block.num_addresses for block in blocks)
    if total > STATIC_MAX:
        raise ValueError(f"{total} addresses are more than {STATIC_MAX}")
    return tuple(str(block) for block in blocks)


def named_urls(value: str, context: Context) -> tuple[tuple[str, str], ...]:
    """Accept ``name=URL`` pairs; return them in the order given."""
    found: dict[str, str] = {}
    for word in _words(value):
        name, equals, target = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{word!r} is not name=URL")
        if name in found:
            raise ValueError(f"the name {name!r} is given twice")
        found[name] = url(target, context)
    return tuple(found.items())


_NEAR: Final = 0.7
"""So alike are words of which one was meant for the other: a letter more, less, or two in another order."""


def hint(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about `word`: what was probably meant; empty if nothing is near."""
    near = next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=_NEAR)), None)
    return f"; did you mean {printable(near)}?" if near else ""


def _words(value: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", value) if word]


def _expand_files(words: Iterable[str], context: Context) -> Iterator[str]:
    for word in words:
        if not word.startswith("@"):
            yield word
            continue
        file = path(word[1:], context)
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except OSError as exc:
            raise ValueError(f"cannot read {file}: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ValueError(f"{file} is not UTF-8 text") from exc
        for number, line in enumerate(lines, 1):
            for item in _words(line.partition("#")[0]):
                try:
                    _network(item)
                except ValueError as exc:
                    raise ValueError(f"{file}, line {number}: {exc}") from None
                yield item


def _network(word: str) -> _Network:
    try:
        return ipaddress.ip_network(word)
    except ValueError as exc:
        if "has host bits set" in str(exc):
            block = ipaddress.ip_network(word, strict=False)
            raise ValueError(f"{word!r} has host bits set; write {block}") from None
        raise ValueError(f"{word!r} is neither an IP address nor a CIDR block") from None
