"""What is wrong with words that a command's usage pattern does not take. Pure; runs in the command."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from downtimer.errors import ConfigError
from downtimer.options import hint

_OPTION: Final = re.compile(r"(--[a-z-]+)(?:[ =]([A-Z]+))?")
_SHORT: Final = re.compile(r"(?m)^ +(-[a-z]) [A-Z]+, (--[a-z-]+) ")
_GROUP: Final = re.compile(r"\[(--?[^\[\]]*)\](\.\.\.)?")
_COMMAND: Final = "-- COMMAND"


def explain(name: str, usage: str, words: Sequence[str]) -> str:
    """Return what is wrong with arguments that docopt refused, in a line.

    Args:
        name: Of the command.
        usage: Its text.
        words: The arguments.
    """
    pattern = synopsis(usage)
    end = words.index("--") if "--" in words else len(words)
    try:
        given, others = _Options(usage).read(words[:end])
    except ConfigError as exc:
        return str(exc)
    wrong = [*_of_options(pattern, given), *_of_others(pattern, others, words[end:])]
    return wrong[0] if wrong else f"wrong usage: {' '.join([name, *words])}; it is {pattern}"


def synopsis(usage: str) -> str:
    """Return the usage pattern of a command, on one line."""
    pattern = re.search(r"Usage:\s*((?:.+\n?)+)", usage)
    return " ".join(pattern.group(1).split()) if pattern is not None else usage


class _Options:
    """The options of a command, by its usage."""

    def __init__(self, usage: str) -> None:
        self._short = dict(_SHORT.findall(usage))
        self._known: dict[str, str] = {}  # by option, what it takes; empty for a switch
        for option, takes in _OPTION.findall(usage):
            self._known[option] = self._known.get(option) or takes

    def read(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return which options are given, in full, and all other words.

        Raises:
            ConfigError: There is no such option, or its value lacks, or is one too many.
        """
        given, others = [], []
        rest = iter(words)
        for word in rest:
            if word == "-" or not word.startswith("-"):
                others.append(word)
                continue
            option, has_value = _parted(word)
            full = self._full(option)
            takes = self._known[full]
            if takes and not has_value and next(rest, None) is None:
                raise ConfigError(f"{option} needs a value ({takes})")
            if has_value and not takes:
                raise ConfigError(f"{option} takes no value")
            given.append(full)
        return given, others

    def _full(self, option: str) -> str:
        long = self._short.get(option, option)
        fitting = [one for one in self._known if one == long]
        if not fitting and option.startswith("--"):
            fitting = [one for one in self._known if one.startswith(option)]
        if not fitting:
            raise ConfigError(f"unknown option {option}{hint(option, self._known)}")
        if len(fitting) > 1:
            raise ConfigError(f"{option} may be {' or '.join(fitting)}")
        return fitting[0]


def _parted(word: str) -> tuple[str, bool]:
    """Return the option of a word, and whether its value is in it, too."""
    if not word.startswith("--"):
        return word[:2], len(word) > len("-c")
    option, equals, _ = word.partition("=")
    return option, bool(equals)


def _of_options(pattern: str, given: Sequence[str]) -> Iterator[str]:
    """Yield which options can't be given together, or not twice."""
    for group, repeated in _GROUP.findall(pattern):
        options = re.findall(r"--[a-z-]+", group)
        both = [option for option in options if option in given]
        if len(both) > 1:
            yield f"{' and '.join(both)} exclude each other"
        elif both and not repeated and given.count(both[0]) > 1:
            yield f"{both[0]} is given more than once"


def _of_others(pattern: str, others: Sequence[str], behind: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the words that are no options; `behind`: from a ``--`` on."""
    bare = _GROUP.sub("", pattern)
    if _COMMAND in bare:
        yield from _of_command(" ".join(bare.split()[:2]), others, behind)
        return
    needed = re.findall(r"(?<!\[)\b[A-Z]{2,}\b", bare)
    allowed = re.findall(r"\b[A-Z]{2,}\b", bare)
    if len(others) + len(behind[1:]) < len(needed):
        yield f"{needed[len(others)]} is lacking; it is {pattern}"
    if len(others) > len(allowed) and "..." not in bare:
        yield f"{others[len(allowed)]!r} is one word too many; it is {pattern}"


def _of_command(called: str, others: Sequence[str], behind: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a command that is to be run."""
    if not behind:
        yield f"no `--` before the command; it is {called} [OPTIONS] -- {' '.join(others) or 'COMMAND'}"
    elif others:
        yield f"{others[0]!r} is no option; the command comes behind the `--`"
    elif not behind[1:]:
        yield "no command behind the `--`"
