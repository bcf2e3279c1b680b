"""Every option of conf.ini, from the table that the program itself reads it by."""

import dataclasses
import inspect
import os
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final, get_args, get_type_hints
from unittest import mock

from downtimer import config
from downtimer.options import Context
from generated.markup import indented, prose, title

_CONTEXT: Final = Context(folder="/etc/downtimer")
_NOTHING: Final = "\a"
"""What no parser accepts, so that each says what it would."""

_HOME: Final = "/home/somebody"
_ACCEPTED: Final = {"none of ": "one of ", "no ": "a ", "neither ": ""}


def text() -> str:
    """Return a section for each section of the file, with its options as definitions."""
    of_one_service = get_args(get_type_hints(config.Config)["checks"])[1]
    sections = {**config.SECTIONS, f"{config.CHECK}NAME": of_one_service}
    return "\n".join(_section(name, section) for name, section in sections.items())


def _section(name: str, section: type[Any]) -> str:
    """Return a heading, what the class says of the section, and its options."""
    head = f".. _conf-{name.replace(' ', '-').lower()}:\n\n" + title(f"[{name}]", "-")
    about = (inspect.getdoc(section) or "").split(": ", 1)[-1]
    return "\n".join([head, about[0].upper() + about[1:], "", *map(_option, dataclasses.fields(section))])


def _option(field: "dataclasses.Field[Any]") -> str:
    option = config.option_of(field)
    about = " ".join([prose(option.help), *_values(option.parse), *_default(option.default)])
    return f"``{field.name}``\n{indented(about)}\n"


def _values(parse: Callable[[str, Context], Any]) -> Iterator[str]:
    """Yield what its parser says that it accepts, where it says so in a list or a range."""
    try:
        parse(_NOTHING, _CONTEXT)
    except ValueError as exc:
        said = re.fullmatch(r"'\\x07' is (none of |no |neither )([^;]*)", str(exc))
        if said and re.search(r"^yes|,| from ", said[2]):
            yield f"Accepted: {_ACCEPTED[said[1]]}{said[2].replace(' nor ', ' or ')}."


def _default(default: str | Callable[[Context], str] | None) -> Iterator[str]:
    """Yield what holds without the option, if anything does."""
    if not callable(default):
        if default:
            yield f"Default: ``{default}``."
    elif default(_CONTEXT) == socket.gethostname():
        yield "Default: the host's name."
    else:
        root, other = _for(0, default), _for(1000, default)
        others = f" for root, ``{other}`` for others" if root != other else ""
        yield f"Default: ``{root}``{others}."


def _for(uid: int, default: Callable[[Context], str]) -> str:
    """Return a default that depends on who asks."""
    homes = {"HOME": _HOME, "XDG_STATE_HOME": "", "XDG_RUNTIME_DIR": "$XDG_RUNTIME_DIR"}
    with mock.patch.dict(os.environ, homes), mock.patch.object(os, "geteuid", return_value=uid):
        return default(_CONTEXT).replace(_HOME, "~")
