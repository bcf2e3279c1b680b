"""What SIGHUP changes at once: `log_level`, `[static]`, `[db]`; all else waits for the next start. Pure."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from downtimer import targets
from downtimer.config import CHECK, Config
from downtimer.model import TargetId
from downtimer.sections import SECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """What comes of reading the configuration again.

    Attributes:
        config: What is in force from now on.
        changed: Names of options that are in force anew, such as ``[global] log_level``.
        later: Those that have to wait for the next start.
        children: Classes of processes to be replaced, for they have to work in another way.
        dropped: Targets that ``[static]`` no longer has.
    """

    config: Config
    changed: tuple[str, ...]
    later: tuple[str, ...]
    children: tuple[str, ...]
    dropped: frozenset[TargetId]


def reload(old: Config, new: Config) -> Reload:
    """Return what a configuration that was read again changes in a run under way."""
    config = replace(
        old,
        global_=replace(old.global_, log_level=new.global_.log_level),
        static=new.static,
        db=new.db,
    )
    return Reload(
        config=config,
        changed=tuple(_differences(old, config)),
        later=tuple(_differences(config, new)),
        children=tuple(_affected(old, config)),
        dropped=frozenset(_static(old)) - frozenset(_static(config))
        if old.static != new.static
        else frozenset(),
    )


def _differences(old: Config, new: Config) -> Iterator[str]:
    """Yield the names of options, or of whole sections, that differ; never what they are."""
    for name in SECTIONS:
        field = "global_" if name == "global" else name
        before, after = getattr(old, field), getattr(new, field)
        if before is None or after is None:
            if before is not after:
                yield f"[{name}]"
            continue
        for option in dataclasses.fields(before):
            if getattr(before, option.name) != getattr(after, option.name):
                yield f"[{name}] {option.name}"
    for check in dict.fromkeys((*old.checks, *new.checks)):
        if old.checks.get(check) != new.checks.get(check):
            yield f"[{CHECK}{check}]"


def _affected(old: Config, new: Config) -> Iterator[str]:
    if old.static != new.static:
        yield "discovery"
    if old.db != new.db:
        yield "writer"
        if _wanted_details(old) != _wanted_details(new):
            yield from ("api", "icmp")


def _wanted_details(config: Config) -> Any:  # noqa: ANN401 - compared, and no more
    """Return what the workers have to know of ``[db]``."""
    return None if config.db is None else (config.db.address_window,)


def _static(config: Config) -> Iterator[TargetId]:
    yield from (target.id for target in targets.static_services(config.static))
    yield from (
        targets.address_id(targets.unpack(packed)) for packed in targets.static_addresses(config.static)
    )
