"""Text and data within HTML, so that nothing that is not ours can break out of its place. Pure."""

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from downtimer.printable import printable


def text(foreign: str) -> str:
    """Return a text that is not ours as it is shown: no markup, no control or hidden character."""
    return escape(printable(foreign))


def name(foreign: str) -> str:
    """Return a name that is not ours; what is written from right to left in it moves nothing beside it."""
    shown = text(foreign)
    return shown if shown.isascii() else f"<bdi>{shown}</bdi>"


def compact_json(value: Any) -> str:  # noqa: ANN401 - what json.dumps takes
    """Return JSON for a script element: without ``<``, so that it neither ends nor comments that."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of cells that are HTML already; the first of each row is its heading."""
    columns = "".join(f"<th scope=col>{cell}" for cell in head)
    body = "".join(
        f"<tr><th scope=row>{first}{''.join(f'<td>{cell}' for cell in rest)}\n" for first, *rest in rows
    )
    return f"<div class=scroll><table><thead><tr>{columns}<tbody>\n{body}</table></div>\n"
