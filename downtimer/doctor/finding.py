"""What doctor has to say: one finding of one check, and how findings are shown. Pure."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from downtimer.printable import printable

VERSION = 1


class Level(enum.StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARN = "warn"  # a run begins, and is worth less than it could be
    OPEN = "open"  # nobody can know yet, for something else has failed
    FAIL = "fail"  # no run begins, or something that is configured will not work


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Attributes:
        check: Its name.
        level: How grave it is.
        text: What was found, one line.
        remedy: How to mend it; empty if nothing is to be mended, or the text says it.
    """

    check: str
    level: Level
    text: str
    remedy: str = ""


def ok(check: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(check, Level.OK, text)


def warn(check: str, text: str, remedy: str = "") -> Finding:
    """Return that a run will be worth less than it could be."""
    return Finding(check, Level.WARN, text, remedy)


def unknown(check: str, text: str) -> Finding:
    """Return that it can't be known before something else is mended."""
    return Finding(check, Level.OPEN, text)


def fail(check: str, text: str, remedy: str = "") -> Finding:
    """Return that something does not work."""
    return Finding(check, Level.FAIL, text, remedy)


def line_of(finding: Finding) -> str:
    """Return the line that shows a finding."""
    level = finding.level.upper() if finding.level is Level.FAIL else finding.level
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return f"{level:<6}{finding.check:<15}{printable(f'{finding.text}{remedy}')}\n"


def conclusion(findings: Iterable[Finding]) -> str:
    """Return the line that sums all up."""
    levels = [finding.level for finding in findings]
    failed, warned = levels.count(Level.FAIL), levels.count(Level.WARN)
    if failed:
        return f"\n{failed} of {len(levels)} checks failed; worth a look: {warned} more.\n"
    if warned:
        return f"\nA run can begin; worth a look: {warned} of {len(levels)} checks.\n"
    return "\nAll is ready.\n"


def json_of(findings: Sequence[Finding]) -> str:
    """Return all as JSON."""
    found = [
        {"check": one.check, "level": one.level.value, "text": one.text, "remedy": one.remedy or None}
        for one in findings
    ]
    failed = sum(one.level is Level.FAIL for one in findings)
    text = msgspec.json.encode({"version": VERSION, "failed": failed, "findings": found})
    return f"{msgspec.json.format(text, indent=2).decode()}\n"
