"""Reports: a run -> text, JSON, …; one module per format, all from one `Summary`.

Imported by the command and by the short-lived child that renders at the end of a run. Does not
know where a run is stored: it gets a `Reader`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from downtimer.assertions import Assertion
from downtimer.given import check_choice
from downtimer.report import html, json_report, junit_report, markdown_report, text_report
from downtimer.report.summary import Summary, build
from downtimer.store.reader import Reader

FORMATS: Final[Mapping[str, Callable[[Summary], Iterator[str]]]] = MappingProxyType(
    {
        "text": text_report.render,
        "json": json_report.render,
        "markdown": markdown_report.render,
        "junit": junit_report.render,
        "html": html.render,
    }
)
"""Every format by its name, the default first. To add one: its module, and a line here."""


def check_format(report_format: str) -> None:
    """See whether there is such a format.

    Raises:
        ConfigError: There is not.
    """
    check_choice("--format", report_format, FORMATS)


def write(summary: Summary, report_format: str = "text") -> Iterator[str]:
    """Yield the report on a run, piece by piece.

    Args:
        summary: Of the run; its reader is still open.
        report_format: One of `FORMATS`.

    Raises:
        ConfigError: There is no such format.
    """
    check_format(report_format)
    return FORMATS[report_format](summary)


def render(
    reader: Reader, report_format: str = "text", assertions: Sequence[Assertion] = ()
) -> Iterator[str]:
    """Yield the report on a run, piece by piece: `build`, then `write`."""
    return write(build(reader, assertions), report_format)


__all__ = ["FORMATS", "Summary", "build", "check_format", "render", "write"]
