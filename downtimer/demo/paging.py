"""Lists in pages, as Neutron and Nova give them: ``limit``, ``marker``, a link to the next. Pure."""

from collections.abc import Iterable, Mapping, Sequence
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


class Ordered:
    """A list in order of its ids, made once for all of its pages."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items: Sequence[Item] = sorted(items, key=lambda item: str(item["id"]))
        self._places = {str(item["id"]): place for place, item in enumerate(self.items)}

    def after(self, marker: str | None) -> int:
        """Return the index behind the marker.

        Raises:
            BadPageError: It is not in the list.
        """
        if not marker:
            return 0
        if marker not in self._places:
            raise BadPageError(f"no such marker: {marker}")
        return self._places[marker] + 1

    def only(self, query: Mapping[str, str]) -> "Ordered":
        """Return what the query's filters leave."""
        wanted = {name: value for name, value in query.items() if name not in _RESERVED}
        if not wanted:
            return self
        return Ordered(
            item
            for item in self.items
            if all(name not in item or str(item[name]) == value for name, value in wanted.items())
        )


def paginate(listed: Ordered, query: Mapping[str, str], *, cap: int, url: str) -> Page:
    """Cut one page out of a list.

    As in Neutron a full page has a link to the next one even if that will be empty, and a list
    asked for without a limit is cut only if the server has a cap.

    Args:
        listed: The whole list.
        query: The parameters of the request.
        cap: The longest page that the server gives; 0 for no cap.
        url: Of the list, for the link.

    Raises:
        BadPageError: limit or marker is wrong.
    """
    found = listed.only(query)
    start = found.after(query.get("marker"))
    length = _length(query.get("limit"), cap)
    chosen = found.items[start : start + length] if length else found.items[start:]
    links = []
    if length and len(chosen) >= length:
        onward = {**query, "limit": str(length), "marker": str(chosen[-1]["id"])}
        links.append({"rel": "next", "href": f"{url}?{urlencode(onward)}"})
    return Page(items=list(chosen), links=links)


def _length(limit: str | None, cap: int) -> int:
    """Return how long the page is, 0 for the whole list."""
    if limit is None:
        return cap
    if not limit.isdecimal():
        raise BadPageError(f"limit is not a number: {limit!r}")
    asked = int(limit)
    return min(asked, cap) if asked and cap else asked or cap
