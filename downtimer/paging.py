"""Reading a list page by page, as Neutron and Nova give them: ``limit``, ``marker``, a link to the next.

Pure: whoever calls brings the function that fetches a page. The link to the next page says only that
there is one; its URL is not followed, because behind a proxy it may name a host or a scheme that does
not exist outside. The marker is the last id of the page, as these services define it. A server may cap
pages below the limit asked for, so a short page is no end.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

LIMIT: Final = 1000
"""Items asked for at a time."""

ITEMS_MAX: Final = 1_000_000
"""A list with more is not believed."""

Fetch = Callable[[Mapping[str, str]], bytes]
"""Gets one page: the query's parameters → the body."""


class PagingError(ValueError):
    """What came is no such list, or a list without an end. One line."""


class _Identified(msgspec.Struct):
    id: Any = None


class _Link(msgspec.Struct):
    rel: str = ""


@dataclass(frozen=True, slots=True)
class _Page:
    """One page: its items undecoded, their ids, and whether the server says that there are more."""

    items: list[msgspec.Raw]
    ids: list[str | None]
    has_next: bool


_PAGE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_LINKS = msgspec.json.Decoder(list[_Link])
_ID = msgspec.json.Decoder(_Identified)
_IDS = msgspec.json.Decoder(list[_Identified])
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_pages(fetch: Fetch, name: str, query: Mapping[str, str]) -> Iterator[msgspec.Raw]:
    """Return all items of a list, each still JSON, each id once; those without an id, too.

    Args:
        fetch: Gets a page; what it raises passes through.
        name: Of the list in its JSON, e.g. ``floatingips``.
        query: Parameters beside ``limit`` and ``marker``.

    Raises:
        PagingError: A page is malformed, or the pages loop; what came before is no whole list.
    """
    seen: set[int] = set()  # hashes: the ids of a hundred thousand items take twice as much
    marker: dict[str, str] = {}
    while True:
        page = _decode(fetch({**query, "limit": str(LIMIT), **marker}), name)
        last: str | None = None
        for item, id_ in zip(page.items, page.ids, strict=True):
            if id_ is not None and hash(id_) in seen:
                continue
            yield item
            if id_ is not None:
                seen.add(hash(id_))
                last = id_
        if not _continues(page):
            return
        if last is None:
            raise PagingError(f"the pages of {name} loop")
        if len(seen) > ITEMS_MAX:
            raise PagingError(f"there are more than {ITEMS_MAX} {name}")
        marker = {"marker": last}


def _continues(page: _Page) -> bool:
    """Tell whether to ask for another page.

    A full page without a link comes from a server, or a proxy, that gives none: asking once more costs
    little. A page beyond the limit comes from a server that does not page.
    """
    return page.has_next or len(page.items) == LIMIT


def _decode(body: bytes, name: str) -> _Page:
    try:
        content = _PAGE.decode(body)
        items = _ITEMS.decode(content[name])
        links = _LINKS.decode(content.get(f"{name}_links", b"[]"))
    except KeyError:
        raise PagingError(f"the answer has no {name}") from None
    except _BROKEN as exc:
        raise PagingError(f"the answer is no list of {name}: {exc}") from exc
    return _Page(items, _ids_of(content[name], items), any(link.rel == "next" for link in links))


def _ids_of(listed: msgspec.Raw, items: list[msgspec.Raw]) -> list[str | None]:
    """Return the id of each item: of all at once, or of one after the other if some are malformed."""
    try:
        found = _IDS.decode(listed)
    except _BROKEN:
        return [_id_of(item) for item in items]
    return [item.id if isinstance(item.id, str) else None for item in found]


def _id_of(item: msgspec.Raw) -> str | None:
    """Return the id of an item, None if it has none: whoever decodes it will see what is wrong with it."""
    try:
        id_ = _ID.decode(item).id
    except _BROKEN:
        return None
    return id_ if isinstance(id_, str) else None
