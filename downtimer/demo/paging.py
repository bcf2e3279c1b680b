"""Lists in pages, as Neutron and Nova give them: ``limit``, ``marker``, a link to the next. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

Item = Mapping[str, Any]

_RESERVED = frozenset(
    {"limit", "marker", "fields", "page_reverse", "sort_key", "sort_dir", "all_tenants", "changes-since"}
)


class BadPageError(ValueError):
    """The limit is no number, or the marker is in no list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        items: In order of their ids.
        links: To the next page, with ``rel`` and ``href``; empty on the last one.
    """

    items: list[Item]
    links: list[dict[str, str]]


def paginate(items: Sequence[Item], query: Mapping[str, str], *, cap: int, url: str) -> Page:
    """Cut one page out of a list.

    As in Neutron a full page has a link to the next one even if that will be empty, and a list
    asked for without a limit is cut only if the server has a cap.

    Args:
        items: The whole list.
        query: The parameters of the request.
        cap: The longest page that the server gives; 0 for no cap.
        url: Of the list, for the link.

    Raises:
        BadPageError: limit or marker is wrong.
    """
    found = sorted(_filtered(items, query), key=lambda item: str(item["id"]))
    start = _after(found, query.get("marker"))
    length = _length(query.get("limit"), cap)
    chosen = found[start : start + length] if length else found[start:]
    links = []
    if length and len(chosen) >= length:
        onward = {**query, "limit": str(length), "marker": str(chosen[-1]["id"])}
        links.append({"rel": "next", "href": f"{url}?{urlencode(onward)}"})
    return Page(items=chosen, links=links)


def _filtered(items: Sequence[Item], query: Mapping[str, str]) -> list[Item]:
    wanted = {name: value for name, value in query.items() if name not in _RESERVED}
    return [
        item
        for item in items
        if all(name not in item or str(item[name]) == value for name, value in wanted.items())
    ]


def _after(items: Sequence[Item], marker: str | None) -> int:
    """Return the index behind the marker."""
    if not marker:
        return 0
    for index, item in enumerate(items):
        if item["id"] == marker:
            return index + 1
    raise BadPageError(f"no such marker: {marker}")


def _length(limit: str | None, cap: int) -> int:
    """Return how long the page is, 0 for the whole list."""
    if limit is None:
        return cap
    if not limit.isdecimal():
        raise BadPageError(f"limit is not a number: {limit!r}")
    asked = int(limit)
    return min(asked, cap) if asked and cap else asked or cap
