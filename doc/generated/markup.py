"""Plain words of help texts and descriptions → reStructuredText."""

import re

_CODE = re.compile(r"`([^`]+)`")
_MEANT = re.compile(r"([\\*|_<]|:(?=\S))")


def prose(words: str) -> str:
    """Return a line or more of plain text as markup: what stands in backticks is code, all else as it is.

    A colon within a word makes a link of that to docutils, and ``service`` is a scheme.
    """
    parts = _CODE.split(words)
    return "".join(
        f"``{part}``" if number % 2 else _MEANT.sub(r"\\\1", part) for number, part in enumerate(parts)
    )


def indented(block: str, depth: int = 3) -> str:
    """Return a block moved to the right; empty lines stay empty."""
    return "\n".join(" " * depth + line if line else "" for line in block.splitlines())


def title(words: str, rule: str) -> str:
    """Return a heading."""
    return f"{words}\n{rule * len(words)}\n"
