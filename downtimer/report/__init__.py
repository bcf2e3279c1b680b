"""Reports: a run -> text, JSON, …; one module per format, all from one `Summary`.

Imported by the command and by the short-lived child that renders at the end of a run. Does not
know where a run is stored: it gets a `Reader`.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from downtimer.errors import ConfigError
from downtimer.report import json_report, text_report
from downtimer.report.summary import Summary, build
from downtimer.store.reader import Reader

FORMATS: Final[Mapping[str, Callable[[Summary], Iterator[str]]]] = MappingProxyType(
    {
        "text": text_report.render,
        "json": json_report.render,
    }
)
"""Every format by its name, the default first. To add one: its module, and a line here."""


def render(reader: Reader, report_format: str = "text") -> Iterator[str]:
    """Yield the report on a run, piece by piece.

    Args:
        reader: Of the run; read before the first piece is yielded, and not closed.
        report_format: One of `FORMATS`.

    Raises:
        ConfigError: There is no such format.
    """
    try:
        write = FORMATS[report_format]
    except KeyError:
        known = ", ".join(FORMATS)
        raise ConfigError(f"unknown format {report_format!r}: choose one of {known}") from None
    return write(build(reader))
