"""What the documentation names: calls of the command, paths, messages; and what the program says."""

import ast
import html
import importlib
import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.docs.conftest import ROOT

SOURCES: Final = [ROOT / "README.rst", ROOT / "CONTRIBUTING.rst", *sorted((ROOT / "doc").rglob("*.rst"))]

_BEFORE = r"(?:^ *(?:[$#] )?|[&;|`'] ?|-- |do |bin/|\{\{ )"
_CALL = re.compile(
    _BEFORE + r"downtimer(?: }})?(?: (?:-c|--config)[ =]\S+)? ([a-z]+)\b([^\n;&|>#]*)", re.MULTILINE
)
_CODE = re.compile(r"<(pre|code)\b[^>]*>(.*?)</\1>", re.DOTALL)
_PATH = re.compile(r"``((?:doc|etc|tests|downtimer|bin)/[\w./-]*)``")


class Call(NamedTuple):
    """A command that somebody is told to call, with the options that are named."""

    command: str
    options: frozenset[str]


def calls(text: str) -> Iterator[Call]:
    """Yield each call of downtimer in a text, without what follows a ``--``."""
    for command, rest in _CALL.findall(text.replace("\\\n", " ")):
        ours = re.split(r"\s--(?:\s|$)", rest)[0]
        yield Call(command, frozenset(re.findall(r"--[a-z][a-z-]+", ours)))


def code_of(page: Path) -> str:
    """Return what stands on a page as code, a line or more for each piece."""
    pieces = (piece for _, piece in _CODE.findall(page.read_text()))
    return "\n".join(html.unescape(re.sub(r"<[^>]+>", "", piece)) for piece in pieces)


def blocks_of(page: Path) -> Iterator[str]:
    """Yield each line of the examples on a page."""
    for tag, piece in _CODE.findall(page.read_text()):
        if tag == "pre":
            yield from html.unescape(re.sub(r"<[^>]+>", "", piece)).splitlines()


def strings(node: Any) -> Iterator[str]:  # noqa: ANN401 - what YAML may hold
    """Yield all texts of a document, an argv as one."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from strings(" ".join(value) if key == "argv" and isinstance(value, list) else value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


def usage_of(command: str) -> str:
    """Return the text that a command is parsed by, which is its help."""
    module = importlib.import_module(f"downtimer.commands.{command}{'_' * keyword.iskeyword(command)}")
    return module.__doc__ or ""


def paths(text: str) -> set[str]:
    """Return the paths of the repository that stand in a text as such."""
    return set(_PATH.findall(text))


def explained() -> list[str]:
    """Return the messages that the troubleshooting page explains: terms that are code."""
    text = (ROOT / "doc" / "troubleshooting.rst").read_text()
    terms = re.findall(r"(?m)^(``.+``)\n   \S", text)
    return [message for term in terms for message in re.findall(r"``(.+?)``(?:, |$)", term)]


def said() -> list[str]:
    """Return all texts in the code; what is filled in reads as an ellipsis."""
    texts = []
    for module in sorted((ROOT / "downtimer").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(map(_part, node.values)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def _part(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "…"
