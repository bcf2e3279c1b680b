"""Style and script of the page, and the policy that allows these and nothing else."""

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from downtimer import __name__ as _package

UPLOT: Final = "vendor/uplot-1.6.32"

_SCRIPTS: Final = (
    "elements",
    "time",
    "run",
    "view",
    "list",
    "tooltip",
    "overview",
    "axis",
    "rows",
    "latency",
    "details",
    "toolbar",
    "main",
)
"""In the order in which they build on each other; all of them are one function, and share its names."""

FIRST: Final = """
document.documentElement.className = "js";
try {
  const theme = localStorage.getItem("downtimer-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {}
"""
"""Before anything is shown: the tables give way to the picture, and nothing flashes in the wrong colours."""


@cache
def style() -> str:
    """Return the style sheet."""
    return _read(f"{UPLOT}/uPlot.min.css") + "\n" + _read("style.css")


@cache
def script() -> str:
    """Return the script: the library, and ours as one function."""
    ours = "\n".join(_read(f"script/{part}.js") for part in _SCRIPTS)
    return f'{_read(f"{UPLOT}/uPlot.iife.min.js")}\n(() => {{\n"use strict";\n{ours}}})();\n'


def policy() -> str:
    """Return the content security policy: no request to anywhere, no script or style but these."""
    scripts, styles = _hashes((FIRST, script())), _hashes((style(),))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; base-uri 'none'; form-action 'none'"
    )


def _hashes(texts: Iterable[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _read(name: str) -> str:
    return _folder().joinpath(name).read_text(encoding="ascii")


def _folder() -> Traversable:
    return files(_package).joinpath("report", "html")
