"""The JSON report's fields, from its schema: a table for each kind of object."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generated.markup import indented, prose, title

_REFERENCE = "#/$defs/"
_SIMPLE = ("seconds", "instant", "cause")
"""Definitions that are named as a type, and have no table."""

Node = Mapping[str, Any]


def text(path: Path) -> str:
    """Return a section for the report as a whole and for each object in it."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    objects = {"The report": schema} | {
        name: node for name, node in schema["$defs"].items() if node.get("type") == "object"
    }
    return "\n".join(_object(name, node) for name, node in objects.items())


def _object(name: str, node: Node) -> str:
    about = [prose(node["description"]), ""] if "description" in node and "$defs" not in node else []
    rows = "\n".join(_rows(node))
    return "\n".join([title(_words(name), "-"), *about, _table(rows)])


def _words(name: str) -> str:
    """Return the name of a definition as a heading."""
    return name.replace("_", " ").capitalize() if name.islower() else name


def _table(rows: str) -> str:
    head = "* - Field\n  - Value\n  - Meaning\n"
    return f".. list-table::\n   :header-rows: 1\n   :widths: 22 22 56\n\n{indented(head + rows)}\n"


def _rows(node: Node, prefix: str = "") -> Iterator[str]:
    """Yield a row for each field; the fields of objects without a name of their own follow them."""
    for field, value in node["properties"].items():
        yield f"* - ``{prefix}{field}``\n  - {_type(value)}\n  - {prose(value.get('description', ''))}"
        inner = value.get("items", value)
        if "properties" in inner:
            yield from _rows(inner, f"{prefix}{field}{'[]' if 'items' in value else ''}.")


def _type(node: Node) -> str:
    """Return what a field's value may be, in words."""
    if "$ref" in node:
        return str(node["$ref"]).removeprefix(_REFERENCE).replace("_", " ")
    if "anyOf" in node:
        return " or ".join(map(_type, node["anyOf"]))
    if "const" in node or "enum" in node:
        values = node.get("enum", [node.get("const")])
        return " or ".join("null" if value is None else f"``{value}``" for value in values)
    return _plain(node)


def _plain(node: Node) -> str:
    """Return the same of what is described by its type alone."""
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if node["type"] == "object" and "properties" not in node:
        return f"{{name: {_type(node['additionalProperties'])}}}"
    return " or ".join(node["type"]) if isinstance(node["type"], list) else str(node["type"])
