"""The secrets of a configuration: where they stand, who gets them, and who else could read them.

Which options are secret stands in `config`. The file gives a secret itself, or names another file whose
first line it is. Commands that need none do not ask for one: who may stop a run need not be able to sign in.
"""

import dataclasses
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from downtimer import options
from downtimer.config import FILE, SECTIONS, Config, DbSection, option_of
from downtimer.errors import ConfigError


def complete(config: Config, *, password: str | None = None) -> Config:
    """Return the same with every secret in its place.

    Args:
        config: As it was read.
        password: What stands for that of ``[global]`` if the file gives none.

    Raises:
        ConfigError: A file with a secret can't be used, or there is no password; one line.
    """
    filled = {field: _filled(config.path, name, section) for name, field, section in _sections(config)}
    config = replace(config, **filled)
    section = config.global_
    if section.keystone_endpoint is None or section.password is not None:
        return config
    if not password:
        raise ConfigError(
            f"{config.path}: [global] password: missing; write it or password_file, or start with OS_PASSWORD"
        )
    return replace(config, global_=replace(section, password=password))


def complete_db(config: Config) -> DbSection:
    """Return ``[db]``, which has to be there, with its secrets in their places.

    Raises:
        ConfigError: See `complete`.
    """
    section = _filled(config.path, "db", config.db)
    assert isinstance(section, DbSection)  # noqa: S101 - for the type checker
    return section


def wants_password(config: Config) -> bool:
    """Tell whether the file gives no password, and one is needed."""
    section = config.global_
    return (
        section.keystone_endpoint is not None and section.password is None and section.password_file is None
    )


def without_secrets(config: Config, *, but: Collection[str] = ()) -> Config:
    """Return the same without any secrets but those of these sections."""
    bare = {
        field: replace(section, **dict.fromkeys(secrets_of(section)))
        for name, field, section in _sections(config)
        if name not in but
    }
    return replace(config, **bare)


def has_secrets(config: Config) -> bool:
    """Tell whether there is anything to hide in it."""
    return any(secrets_of(section) for _, _, section in _sections(config))


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
