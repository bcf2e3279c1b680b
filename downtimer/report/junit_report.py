"""The JUnit report, which Jenkins, GitLab, Zuul and others read as the results of tests.

A suite for each assertion, with a case for each target that it is about. Without assertions nothing can fail:
there is one suite, with a case for each target, whose output tells the figures.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from downtimer.assertions import Case, Judgement, Result
from downtimer.findings import TargetSummary
from downtimer.model import SECOND_NS, Kind
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.outage_text import tell_of_outages
from downtimer.report.summary import Summary
from downtimer.report.titles import name_of, title_of

_NO_XML: Final = re.compile("[\ufffe\uffff]")
"""What no XML may have, of the characters that can be printed."""


def render(summary: Summary) -> Iterator[str]:
    """Yield the report, piece by piece."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="downtimer">\n'
    if summary.judgements:
        for judgement in summary.judgements:
            yield from _suite_of(judgement, summary)
    else:
        yield from _figures(summary)
    yield "</testsuites>\n"


def _suite_of(judgement: Judgement, summary: Summary) -> Iterator[str]:
    results = Counter(case.result for case in judgement.cases)
    skipped = results[Result.UNDECIDED] if summary.is_lenient else 0
    failures = len(judgement.cases) - results[Result.PASS] - skipped
    yield _begin(judgement.assertion, summary, tests=len(judgement.cases), failures=failures, skipped=skipped)
    for case in judgement.cases:
        yield _case(judgement.assertion, case, is_lenient=summary.is_lenient)
    yield _output("  ", judgement.why) + "</testsuite>\n"


def _case(assertion: str, case: Case, *, is_lenient: bool) -> str:
    name = assertion if case.target is None else f"{assertion} [{case.target}]"
    if case.result is Result.PASS:
        came_of_it = _output("    ", case.why)
    elif case.result is Result.UNDECIDED and is_lenient:
        came_of_it = f"    <skipped{_attributes(message=case.why)}/>\n"
    else:
        told = _attributes(type=case.result.value, message=case.why)
        came_of_it = f"    <failure{told}>{_text(case.why)}</failure>\n"
    return _testcase(name, case.kind, came_of_it)


def _figures(summary: Summary) -> Iterator[str]:
    """Yield a suite of targets, none of which failed anything."""
    yield _begin("downtimer", summary, tests=summary.count_targets(), failures=0, skipped=0)

    def tell(target: TargetSummary) -> str:
        told = tell_of_outages(summary, target) or f"  {title_of(summary, target)}: not down\n"
        observed = f"  observed for {wording.seconds(target.observed_ns)}\n"
        return _testcase(name_of(summary, target), target.target.kind, _output("    ", f"\n{told}{observed}"))

    yield from summary.of_each(tell)
    yield "</testsuite>\n"


def _begin(name: str, summary: Summary, *, tests: int, failures: int, skipped: int) -> str:
    run = summary.run
    told = _attributes(
        name=name,
        tests=str(tests),
        failures=str(failures),
        errors="0",
        skipped=str(skipped),
        time=f"{summary.length_ns / SECOND_NS:.3f}",
        timestamp=wording.rfc3339(run.start_utc_ns)[:19],
        hostname=run.vantage,
    )
    return (
        f"<testsuite{told}>\n{_properties([('run', run.id), ('label', run.label), ('vantage', run.vantage)])}"
    )


def _properties(named: Iterable[tuple[str, str]]) -> str:
    rows = [f"    <property{_attributes(name=name, value=value)}/>\n" for name, value in named]
    return f"  <properties>\n{''.join(rows)}  </properties>\n"


def _testcase(name: str, kind: Kind | None, inside: str) -> str:
    classname = "downtimer" if kind is None else f"downtimer.{kind.value}"
    return f"  <testcase{_attributes(classname=classname, name=name)}>\n{inside}  </testcase>\n"


def _output(indent: str, text: str) -> str:
    return f"{indent}<system-out>{_text(text)}</system-out>\n"


def _attributes(**named: str) -> str:
    return "".join(f' {name}="{_text(printable(value))}"' for name, value in named.items())


def _text(text: str) -> str:
    return escape(_NO_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
