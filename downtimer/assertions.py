"""Promises about a run, as a user words them: ``service:nova <= 30s``, ``zero-downtime``.

Pure: what an assertion says, and how one is read from a command line. `downtimer.report.judging` holds them
against a run. Imported by the commands and by what makes reports.

The grammar is ``[SELECTOR] [MEASURE] OP LIMIT``, or the name of a promise that needs no more. It is about
each target that the selector fits; without a selector, about all.
"""

import enum
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NoReturn

from downtimer.errors import ConfigError
from downtimer.model import MILLISECOND_NS, SECOND_NS, Kind, Target
from downtimer.options import hint
from downtimer.printable import printable

LENGTH_MAX: Final = 500
"""An expression has no more characters."""


class Result(enum.StrEnum):
    """What came of an assertion."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    UNDECIDED = "undecided"  # what was measured allows both


@dataclass(frozen=True, slots=True)
class Case:
    """An assertion, held against one target.

    Attributes:
        target: How the report calls it, safe to print; None where the assertion fits no target.
        kind: Of the target; None likewise.
        result: What came of it.
        why: One line, safe to print.
    """

    target: str | None
    kind: Kind | None
    result: Result
    why: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """An assertion, held against a run.

    Attributes:
        assertion: As the user gave it, safe to print.
        result: A case that failed fails it; else one that is undecided leaves it undecided. It fails, too, if
            it is about no target.
        why: One line, safe to print. Of a failure it names the target, the second and the cause.
        cases: In the order of the report; at least one.
    """

    assertion: str
    result: Result
    why: str
    cases: tuple[Case, ...]


def holds(judgements: Iterable[Judgement], *, is_lenient: bool = False) -> bool:
    """Tell whether all of them pass; if lenient, whether none fails."""
    allowed = (Result.PASS, Result.UNDECIDED) if is_lenient else (Result.PASS,)
    return all(judgement.result in allowed for judgement in judgements)


class Measure(enum.StrEnum):
    """What is held against the limit."""

    DOWN = "down"  # downtime in ns; what an assertion is of that names nothing else
    SHARE = "share"  # of the observed time, 0-1
    LONGEST = "longest"  # episode, from edge to edge, in ns
    OUTAGES = "outages"  # episodes
    OBSERVED = "observed"  # share of the time in which there should have been probes, 0-1
    NO_FAILURE = "zero-downtime"  # of any probe of a service
    NO_FAILURES_IN_A_ROW = "accessible"  # two or more failed probes of an address


@dataclass(frozen=True, slots=True)
class Selector:
    """Which targets an assertion is about.

    Attributes:
        key: ``service``, ``address`` or ``project``; empty for all targets.
        pattern: What comes after the colon.
        fits: Tells it of a target and the name by which the report calls it.
    """

    key: str
    pattern: str
    fits: Callable[[Target, str], bool]

    def __str__(self) -> str:
        return f"{self.key}:{self.pattern}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What is asserted of a run.

    Attributes:
        text: As the user gave it, safe to print.
        selector: Which targets it is about.
        measure: What of them.
        limit: In the unit of the measure; nothing for the two that have a name.
        is_strict: The limit itself is a failure already (``<``, ``>``).
        limit_text: As the user gave it.
    """

    text: str
    selector: Selector
    measure: Measure
    limit: Fraction = Fraction(0)
    is_strict: bool = False
    limit_text: str = ""


def parse(text: str) -> Assertion:
    """Return the assertion that the text words.

    Raises:
        ConfigError: It is none. The one line says what is wrong with it and what would be right.
    """
    text = text.strip()
    if not text:
        raise ConfigError(f"an assertion is empty; one is, for example, {_EXAMPLE}")
    if len(text) > LENGTH_MAX:
        raise ConfigError(f"an assertion is longer than {LENGTH_MAX} characters")
    try:
        return _NAMED[text] if text in _NAMED else _parse(text)
    except ValueError as exc:
        raise ConfigError(f"assertion '{printable(text)}': {exc}") from exc


_EXAMPLE: Final = "'service:nova <= 30s'"

_COMPARISON: Final = re.compile(r"(?P<left>.*?)\s*(?P<op>[<>=!≤≥]+)\s*(?P<limit>[^<>=!≤≥]*)", re.DOTALL)

_OPS: Final[Mapping[str, bool]] = MappingProxyType({"<=": False, "<": True, ">=": False, ">": True})
"""The operators, and whether the limit itself is a failure."""

_MEANT: Final = MappingProxyType({"≤": "<=", "=<": "<=", "≥": ">=", "=>": ">="})

_UNITS_NS: Final[Mapping[str, int]] = MappingProxyType(
    {"ms": MILLISECOND_NS, "s": SECOND_NS, "min": 60 * SECOND_NS, "h": 3600 * SECOND_NS}
)

_LIMIT: Final = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[^0-9.,\s]*)")

_WORDS: Final = (Measure.DOWN, Measure.LONGEST, Measure.OUTAGES, Measure.OBSERVED)
"""The measures that an expression may name."""


def _parse(text: str) -> Assertion:
    comparison = _COMPARISON.fullmatch(text)
    if comparison is None:
        raise ValueError(f"it compares nothing{hint(text, _NAMED)}; one is, for example, {_EXAMPLE}")
    selector_text, measure = _split(comparison["left"])
    op = _op(comparison["op"], measure)
    limit, measure = _limit(comparison["limit"].strip(), measure)
    return Assertion(
        text=printable(text),
        selector=_selector(selector_text),
        measure=measure,
        limit=limit,
        is_strict=_OPS[op],
        limit_text=comparison["limit"].strip(),
    )


def _split(left: str) -> tuple[str, Measure]:
    """Part what is left of the operator into the selector and the measure."""
    before, _, last = left.rpartition(" ")
    if last in _WORDS:
        return before.strip(), Measure(last)
    if not left or (":" in left and not before):
        return left, Measure.DOWN
    guess = hint(last, _WORDS)
    if guess:
        raise ValueError(f"unknown measure '{printable(last)}'{guess}")
    return left, Measure.DOWN


def _op(op: str, measure: Measure) -> str:
    right = (">=", ">") if measure is Measure.OBSERVED else ("<=", "<")
    if op in right:
        return op
    meant = _MEANT.get(op, right[0])
    if op in _OPS:
        raise ValueError(f"'{measure}' is limited by {right[0]} or {right[1]}, not by {op}")
    raise ValueError(f"unknown operator '{op}'; did you mean {meant}?")


def _limit(text: str, measure: Measure) -> tuple[Fraction, Measure]:
    """Return the limit, and the measure that its unit makes of the one that was named."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f"the limit '{printable(text)}' is no number with a unit, as {_like(measure)}")
    number, unit = Fraction(match["number"]), match["unit"]
    if measure is Measure.OUTAGES:
        if unit or number.denominator != 1:
            raise ValueError(f"the limit of 'outages' is a whole number, as {_like(measure)}")
        return number, measure
    if unit == "%" and measure in (Measure.DOWN, Measure.OBSERVED):
        if number > 100:
            raise ValueError(f"{text} is more than all of the time")
        return number / 100, Measure.SHARE if measure is Measure.DOWN else measure
    if unit in _UNITS_NS and measure is not Measure.OBSERVED:
        return number * _UNITS_NS[unit], measure
    wrong = f"has the unit '{printable(unit)}'" if unit else "has no unit"
    raise ValueError(f"the limit '{printable(text)}' {wrong}; write it as {_like(measure)}")


def _like(measure: Measure) -> str:
    return {
        Measure.OUTAGES: "3",
        Measure.OBSERVED: "99%",
        Measure.LONGEST: "500ms, 30s, 2min or 1h",
    }.get(measure, "500ms, 30s, 2min, 1h or 1%")


def _selector(text: str) -> Selector:
    if not text:
        return _ALL
    key, colon, pattern = (part.strip() for part in text.partition(":"))
    if not colon:
        raise ValueError(f"'{printable(text)}' names no kind of target; write service:{printable(text)}")
    if key not in _SELECTORS:
        known = ", ".join(f"{known}:" for known in _SELECTORS)
        raise ValueError(
            f"a selector begins with one of {known}, not '{printable(key)}:'{hint(key, _SELECTORS)}"
        )
    if not pattern:
        raise ValueError(f"nothing comes after '{key}:'; write {key}:* for all")
    return Selector(key, pattern, _SELECTORS[key](pattern))


def _services(pattern: str) -> Callable[[Target, str], bool]:
    def fits(target: Target, name: str) -> bool:
        return target.kind is Kind.SERVICE and (
            fnmatchcase(name, pattern) or fnmatchcase(target.name, pattern) or pattern in (name, target.name)
        )

    return fits


def _addresses(pattern: str) -> Callable[[Target, str], bool]:
    """Return what fits an address, a CIDR block, or a glob on the address's text."""
    try:
        network = ipaddress.ip_network(pattern)
    except ValueError as exc:
        if "has host bits set" in str(exc):
            block = ipaddress.ip_network(pattern, strict=False)
            raise ValueError(f"{printable(pattern)} has host bits set; write {block}") from None
        if "/" in pattern or not re.fullmatch(r"[0-9A-Fa-f.:*?\[\]!-]+", pattern):
            _refuse_address(pattern)
        return lambda target, _: target.kind is Kind.ADDRESS and fnmatchcase(target.name, pattern)
    return lambda target, _: target.kind is Kind.ADDRESS and _is_within(network, target.name)


def _is_within(network: ipaddress.IPv4Network | ipaddress.IPv6Network, name: str) -> bool:
    try:
        return ipaddress.ip_address(name) in network
    except ValueError:
        return False


def _refuse_address(pattern: str) -> NoReturn:
    raise ValueError(f"'{printable(pattern)}' is no address, CIDR block or pattern such as 10.0.0.*")


def _projects(pattern: str) -> Callable[[Target, str], bool]:
    def fits(target: Target, _: str) -> bool:
        texts = (target.project, target.project_id)
        return target.kind is Kind.ADDRESS and any(text and fnmatchcase(text, pattern) for text in texts)

    return fits


_SELECTORS: Final[Mapping[str, Callable[[str], Callable[[Target, str], bool]]]] = MappingProxyType(
    {"service": _services, "address": _addresses, "project": _projects}
)

_ALL: Final = Selector("", "", lambda _target, _name: True)

_NAMED: Final[Mapping[str, Assertion]] = MappingProxyType(
    {
        measure.value: Assertion(
            text=measure.value,
            selector=Selector(key, "*", _SELECTORS[key]("*")),
            measure=measure,
        )
        for measure, key in ((Measure.NO_FAILURE, "service"), (Measure.NO_FAILURES_IN_A_ROW, "address"))
    }
)
"""The promises that have a name."""
