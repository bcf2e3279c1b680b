"""Every command, from the text that it is parsed by and that its ``--help`` shows."""

import ast
import keyword
import re
from collections.abc import Iterator
from pathlib import Path

from downtimer.cli import COMMANDS
from generated.markup import indented, prose, title

_HEAD = re.compile(r"([A-Z][\w ,()-]*):(?: +(.*))?")
_INLINE = ("Usage", "Example")
_ARGUMENT = re.compile(r"  ([A-Z]+(?:, [A-Z]+)*)  +(\S.*)")
_OPTION = re.compile(r"  (-\S.*?)(?:  +(\S.*))?")


def text(package: Path) -> str:
    """Return a section for each command, in the order in which `downtimer` names them."""
    return "\n".join(_command(name, usage_of(package, name)) for name in COMMANDS)


def usage_of(package: Path, command: str) -> str:
    """Return the docstring of a command's module."""
    module = package / "commands" / f"{command}{'_' * keyword.iskeyword(command)}.py"
    return ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""


def _command(name: str, usage: str) -> str:
    head = f".. _command-{name}:\n\n{title(f'downtimer {name}', '-')}\n.. program:: downtimer {name}\n"
    return "\n".join([head, *(f"{_block(block)}\n" for block in usage.split("\n\n"))])


def _block(block: str) -> str:
    """Return a paragraph, or what stands below a word and a colon."""
    first, _, rest = block.partition("\n")
    head = _HEAD.fullmatch(first)
    argument = _ARGUMENT.fullmatch(first)
    if argument is not None:
        about = prose("\n".join([argument[2], *map(str.strip, rest.splitlines())]))
        return f"*{argument[1]}*\n{indented(about)}"
    if head is None or not (rest.startswith(" ") or head[1] in _INLINE):
        return _paragraph(block)
    if head[1] == "Options":
        return "\n".join(_options(rest))
    shown = _flush("\n".join(filter(None, [head[2], rest])))
    if head[1] == "Usage":
        return _literal(re.sub(r"(?m)^(?!downtimer )", "    ", shown))
    return f"{prose(head[1])}:\n\n{_literal(shown)}"


def _literal(block: str) -> str:
    return f".. code-block:: text\n\n{indented(block)}"


def _paragraph(block: str) -> str:
    """Return a paragraph; one whose lines are indented stands as it is, for a table or an example."""
    if block.startswith(" "):
        return _literal(_flush(block))
    lines = block.splitlines()
    if any(line.startswith("  ") for line in lines[1:]):
        kept = next(number for number, line in enumerate(lines) if line.startswith("  "))
        return f"{prose(chr(10).join(lines[:kept]))}\n\n{_paragraph(chr(10).join(lines[kept:]))}"
    return prose(block)


def _options(block: str) -> Iterator[str]:
    """Yield each option, for Sphinx to know it by, with what is said of it."""
    for line in block.splitlines():
        option = _OPTION.fullmatch(line)
        if option:
            yield f"\n.. option:: {option[1]}\n\n{indented(prose(option[2] or ''))}"
        else:
            yield indented(prose(line.strip()))


def _flush(block: str) -> str:
    """Return a block without the indentation of its first line, which has been cut off already in part."""
    lines = block.splitlines()
    depth = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    return "\n".join([lines[0].strip(), *(line[depth:] for line in lines[1:])])
