"""Which of what the cloud lists is measured: the patterns of ``[targets]``.

Pure: no I/O. A pattern is a glob on a service's name, ``region:GLOB``, ``url:GLOB`` (either of the
catalog's URL and the root probed), ``project:GLOB`` (an address's project, by name or id), an address,
or a CIDR block. Globs are case-sensitive and match the whole text.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from downtimer.model import Kind, Target

_KEYED = re.compile(r"(?P<key>[A-Za-z_]+)\s*:\s*(?P<glob>.*)", re.DOTALL)
_LIKE_ADDRESS = re.compile(r"[0-9.]+|.*/.*|.*:.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a target may match.

    Attributes:
        text: As it was written.
        kind: Of targets that it is about; no other matches.
        fits: Tells whether a target of that kind matches.
    """

    text: str
    kind: Kind
    fits: Callable[[Target], bool]

    def matches(self, target: Target) -> bool:
        """Tell whether the target matches."""
        return target.kind is self.kind and self.fits(target)


class Selection:
    """Tells what is wanted, and remembers which patterns have matched anything so far.

    Args:
        include: If there are any, only what matches one of these is wanted.
        exclude: What matches one of these is never wanted.

    Raises:
        ValueError: A pattern is none.
    """

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self._include = [parse(pattern) for pattern in include]
        self._exclude = [parse(pattern) for pattern in exclude]
        self._idle = [("include", pattern) for pattern in self._include]
        self._idle += [("exclude", pattern) for pattern in self._exclude]

    @property
    def is_particular(self) -> bool:
        """Whether there is anything that it may not want."""
        return bool(self._include or self._exclude)

    def wants(self, target: Target) -> bool:
        """Tell whether the target is to be measured."""
        if any(pattern.matches(target) for _, pattern in self._idle):
            self._idle = [item for item in self._idle if not item[1].matches(target)]
        if any(pattern.matches(target) for pattern in self._exclude):
            return False
        return not self._include or any(pattern.matches(target) for pattern in self._include)

    def idle(self, kind: Kind) -> Iterator[tuple[str, str]]:
        """Yield each pattern for this kind of target that has matched none yet: its option, and its text."""
        return ((option, pattern.text) for option, pattern in self._idle if pattern.kind is kind)


def parse(pattern: str) -> Pattern:
    """Return the pattern that stands in a text.

    Raises:
        ValueError: It is none; the text says why.
    """
    try:
        network = ipaddress.ip_network(pattern)
    except ValueError as exc:
        if "has host bits set" in str(exc):
            block = ipaddress.ip_network(pattern, strict=False)
            raise ValueError(f"{pattern!r} has host bits set; write {block}") from None
    else:
        return Pattern(pattern, Kind.ADDRESS, _within(network))
    keyed = _KEYED.fullmatch(pattern)
    if keyed and not pattern.startswith(("http:", "https:")):
        return _keyed(keyed["key"], keyed["glob"], pattern)
    if _LIKE_ADDRESS.fullmatch(pattern):
        raise ValueError(
            f"{pattern!r} is neither an address, nor a CIDR block, nor a service's name; "
            "for URLs write url:GLOB"
        )
    return Pattern(pattern, Kind.SERVICE, lambda target: fnmatchcase(target.name, pattern))


def _keyed(key: str, glob: str, pattern: str) -> Pattern:
    if key not in _TEXTS:
        known = ", ".join(f"{known}:" for known in _TEXTS)
        raise ValueError(f"{pattern!r} begins with an unknown key; there are {known}")
    if not glob:
        raise ValueError(f"{pattern!r} has nothing after the colon")
    kind, texts = _TEXTS[key]
    return Pattern(
        pattern,
        kind,
        lambda target: any(text is not None and fnmatchcase(text, glob) for text in texts(target)),
    )


def _within(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Callable[[Target], bool]:
    return lambda target: ipaddress.ip_address(target.name) in network


_TEXTS: Final[dict[str, tuple[Kind, Callable[[Target], tuple[str | None, ...]]]]] = {
    "region": (Kind.SERVICE, lambda target: (target.region,)),
    "url": (Kind.SERVICE, lambda target: (target.endpoint, target.url)),
    "project": (Kind.ADDRESS, lambda target: (target.project, target.project_id)),
}
"""What the keys of patterns look at, and of which targets."""
