"""What `report`, `stop` and `run` share: which report is wanted, of what promises, and where it goes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from downtimer import report as reports
from downtimer.assertions import Assertion, Result, holds, parse
from downtimer.commands.common import Arguments, print_file, print_text, warn
from downtimer.errors import DowntimerError, ExitCode
from downtimer.report.output import check_output, write_atomically
from downtimer.report.summary import Summary
from downtimer.store.reader import Reader

STANDARD_OUTPUT: Final = "-"

_TEXT: Final = "text"


class UndeliveredError(DowntimerError):
    """A report could not be put where it belongs; the exit code is that of its verdicts unless these hold."""

    def __init__(self, message: str, judged: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = judged or ExitCode.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which report is wanted.

    Attributes:
        assertions: What to judge the run by.
        is_lenient: What is undecided holds.
        form: One of `report.FORMATS`.
        output: The file to write it to; None to print it.
    """

    assertions: Sequence[Assertion]
    is_lenient: bool
    form: str
    output: str | None

    @property
    def is_plain(self) -> bool:
        """Whether it is what every run gets: the text, printed, and nothing is judged."""
        return self.form == _TEXT and self.output is None and not self.assertions

    def deliver(self, reader: Reader, report_file: str | None = None) -> ExitCode:
        """Make the report, put it where it belongs, and say what does not hold.

        Args:
            reader: Of the run; it stays open.
            report_file: To be replaced by the report as text, too; None for nothing.

        Raises:
            UndeliveredError: It could not be written; what does not hold was said all the same. If that is
                true of `report_file` alone it was printed.
        """
        summary = reports.build(reader, self.assertions, is_lenient=self.is_lenient)
        try:
            if report_file is None:
                put(self._written(summary), self.output)
            else:
                self._put_beside(summary, Path(report_file))
        except DowntimerError as exc:
            raise UndeliveredError(str(exc), self._judge(summary)) from exc
        except BrokenPipeError:  # whoever read it had enough, but not of the verdicts
            self._judge(summary)
            raise
        return self._judge(summary)

    def nothing_measured(self) -> ExitCode:
        """Return what comes of a run that there was not: no promise is kept by that."""
        return ExitCode.ASSERTION if self.assertions else ExitCode.DONE

    def _written(self, summary: Summary) -> Iterator[str]:
        return reports.write(summary, self.form)

    def _put_beside(self, summary: Summary, path: Path) -> None:
        try:
            write_atomically(path, reports.write(summary, _TEXT))
        except DowntimerError:
            put(self._written(summary), self.output)
            raise
        if self.output is None and self.form == _TEXT:
            print_file(str(path))
        else:
            put(self._written(summary), self.output)

    def _judge(self, summary: Summary) -> ExitCode:
        if holds(summary.judgements, is_lenient=self.is_lenient):
            return ExitCode.DONE
        for judgement in summary.judgements:
            if not holds([judgement], is_lenient=self.is_lenient):
                verdict = "failed" if judgement.result is Result.FAIL else "is undecided"
                warn(f"assertion '{judgement.assertion}' {verdict}: {judgement.why}")
        return ExitCode.ASSERTION


def wanted(arguments: Arguments) -> Wanted:
    """Return what a command line asks for.

    Raises:
        ConfigError: It asks for a format that is none, an assertion is none, or there can be no such file.
    """
    form = arguments["--format"] or _TEXT
    reports.check_format(form)
    return Wanted(
        assertions=[parse(text) for text in arguments["--assert"]],
        is_lenient=bool(arguments["--lenient"]),
        form=form,
        output=output_of(arguments),
    )


def put(text: Iterable[str], output: str | None, *, what: str = "the report") -> None:
    """Write a text to the file that `output_of` has returned, or print it.

    Args:
        text: In pieces.
        output: The file; None for standard output.
        what: The text is, for an error.

    Raises:
        BrokenPipeError: Whoever read our output has enough.
        DowntimerError: It can't be written.
    """
    if output is None:
        print_text(text)
    else:
        write_atomically(Path(output), text, what=what)


def output_of(arguments: Arguments) -> str | None:
    """Return the file that ``--output`` names; None for standard output.

    Raises:
        ConfigError: It can't be written.
    """
    output: str | None = arguments["--output"]
    if output in (None, STANDARD_OUTPUT):
        return None
    check_output(output)
    return output
