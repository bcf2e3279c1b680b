"""Take in a run that was exported, or measured by something else.

Usage: downtimer import [--config FILE] [--from FORMAT] FILE

Options:
  --from FORMAT           downtimer, as `downtimer export` writes; or rally, as
                          `rally task results` or `rally task report --json`
                          does [default: downtimer]
  -c FILE, --config FILE  the configuration
                    [default: $DOWNTIMER_CONFIG or /etc/downtimer/conf.ini]

The run is kept, and reported on, as others are. FILE - is standard input.
Nothing is kept of a file with anything wrong in it.

Example: zcat upgrade.jsonl.gz | downtimer import -
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from downtimer.commands.common import Arguments, configuration, tell
from downtimer.errors import ConfigError, ExchangeError, ExitCode
from downtimer.exchange.incoming import put
from downtimer.exchange.rally import read_rally
from downtimer.exchange.reading import ExportReader
from downtimer.model import RunId
from downtimer.printable import printable
from downtimer.supervisor.lock import make_state_dir

_Told = tuple[RunId, str]
"""A run that is kept now, and what is in it."""


def run(arguments: Arguments) -> int:
    """Take in a run that was exported, or measured by something else."""
    config = configuration(arguments)
    form = arguments["--from"]
    if form not in _FORMATS:
        raise ConfigError(f"--from {form}: there are {', '.join(_FORMATS)}")
    make_state_dir(config)
    with _opened(arguments["FILE"]) as (file, name):
        for run_id, told in _FORMATS[form](file, name, config.global_.state_dir):
            tell(f"run {run_id}: {printable(told)}; `downtimer report --run {run_id}` reports on it")
    return ExitCode.DONE


def _import_export(file: BinaryIO, name: str, state_dir: str) -> list[_Told]:
    reader = ExportReader(file, name)
    put(state_dir, [(reader.run, reader.parts())])
    return [(reader.run.id, reader.told())]


def _import_rally(file: BinaryIO, name: str, state_dir: str) -> list[_Told]:
    entries = read_rally(file, name)
    put(state_dir, [(entry.run, [entry.facts]) for entry in entries])
    return [(entry.run.id, entry.told) for entry in entries]


_FORMATS: Final[Mapping[str, Callable[[BinaryIO, str, str], list[_Told]]]] = MappingProxyType(
    {"downtimer": _import_export, "rally": _import_rally}
)


@contextmanager
def _opened(path: str) -> Iterator[tuple[BinaryIO, str]]:
    """Yield the bytes of a file, and what to call it."""
    if path == "-":
        with open(0, "rb", closefd=False) as file:
            yield file, "standard input"
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - as what follows has errors of its own
    except OSError as exc:
        raise ExchangeError(f"cannot read {path}: {exc.strerror}") from exc
    with file:
        yield file, path
