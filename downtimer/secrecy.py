"""The secrets of a configuration: where they stand, who gets them, and who else could read them.

Which options are secret stands in `sections`. The file gives a secret itself, or names another file whose
first line it is. Commands that need none do not ask for one: who may stop a run need not be able to sign in.
The secret with which we sign in, wherever it was found, is in the account.
"""

import dataclasses
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from downtimer import options
from downtimer.config import Config
from downtimer.errors import ConfigError
from downtimer.sections import FILE, SECTIONS, WAYS, DbSection, option_of

ACCOUNT: Final = "account"
"""What holds the secret with which we sign in, in the places of `without_secrets`."""


def complete(config: Config) -> Config:
    """Return the same with what stands in files of its own in place.

    Raises:
        ConfigError: A file with a secret can't be used; one line.
    """
    filled = {field: _filled(config.path, name, section) for name, field, section in _sections(config)}
    return replace(config, **filled)


def complete_db(config: Config) -> DbSection:
    """Return ``[db]``, which has to be there, with its secrets in their places.

    Raises:
        ConfigError: See `complete`.
    """
    section = _filled(config.path, "db", config.db)
    assert isinstance(section, DbSection)  # noqa: S101 - for the type checker
    return section


def wants_password(config: Config) -> bool:
    """Tell whether the file says where the cloud is, but gives nothing to sign in with."""
    section = config.global_
    given = (getattr(section, option) for way in WAYS for option in (way, f"{way}{FILE}"))
    return section.keystone_endpoint is not None and not any(given)


def without_secrets(config: Config, *, but: Collection[str] = ()) -> Config:
    """Return the same without any secrets but those of these sections; `ACCOUNT` stands for its own."""
    bare = {
        field: replace(section, **dict.fromkeys(secrets_of(section)))
        for name, field, section in _sections(config)
        if name not in but
    }
    if config.account is not None and ACCOUNT not in but:
        bare[ACCOUNT] = replace(config.account, secret="")
    return replace(config, **bare)


def has_secrets(config: Config) -> bool:
    """Tell whether there is anything to hide in it."""
    is_any = any(secrets_of(section) for _, _, section in _sections(config))
    return is_any or bool(config.account is not None and config.account.secret)


def readable_by_others(config: Config) -> Iterator[str]:
    """Yield a line about each file with a secret in it that every user of this machine may read, or write.

    A group may: it is how root gives a file to a service's user.

    Args:
        config: As it was read.
    """
    inside: list[str] = []
    for name, _, section in _sections(config):
        inside += (f"[{name}] {option}" for option in secrets_of(section))
        for option, file in _files(section).items():
            if _is_readable(file):
                yield _exposed(f"{config.path}: [{name}] {option}{FILE}", file)
    if inside and _is_readable(config.path):
        yield _exposed(f"{config.path}: {', '.join(inside)}", config.path)


def secrets_of(section: Any) -> dict[str, str]:  # noqa: ANN401 - one of SECTIONS
    """Return the secrets in a section by their options."""
    values = {option: getattr(section, option) for option in _secret_options(section)}
    return {option: value for option, value in values.items() if value is not None}


def _files(section: Any) -> dict[str, str]:  # noqa: ANN401 - as above
    """Return the files in which secrets of a section stand, by the secrets' options."""
    files = {option: getattr(section, f"{option}{FILE}", None) for option in _secret_options(section)}
    return {option: file for option, file in files.items() if file is not None}


def _secret_options(section: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    return (field.name for field in dataclasses.fields(section) if option_of(field).is_secret)


def _sections(config: Config) -> Iterator[tuple[str, str, Any]]:
    """Yield the name of each section that is there, its field, and itself."""
    for name in SECTIONS:
        field = "global_" if name == "global" else name
        section = getattr(config, field)
        if section is not None:
            yield name, field, section


def _filled(path: str, name: str, section: Any) -> Any:  # noqa: ANN401 - as above
    known = {field.name: option_of(field) for field in dataclasses.fields(section)}
    context = options.Context(folder=str(Path(path).parent))
    values = {}
    for option, file in _files(section).items():
        try:
            values[option] = known[option].value(options.first_line(file), context)
        except ValueError as exc:
            raise ConfigError(f"{path}: [{name}] {option}{FILE}: {exc}") from exc
    return replace(section, **values)


def _is_readable(file: str) -> bool:
    try:
        mode = os.stat(file).st_mode  # noqa: PTH116 - pathlib's says no more
        return stat.S_ISREG(mode) and bool(mode & (stat.S_IROTH | stat.S_IWOTH))
    except OSError:
        return False


def _exposed(where: str, file: str) -> str:
    return f"{where}: every user can read or change {file}; `chmod o-rw {file}` mends that"
