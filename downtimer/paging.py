"""Reading a list page by page, as Neutron and Nova give them: ``limit``, ``marker``, a link to the next.

Pure: whoever calls brings the function that fetches a page. The link to the next page says only that
there is one; its URL is not followed, because behind a proxy it may name a host or a scheme that does
not exist outside. The marker is the last id of the page, as these services define it. A server may cap
pages below the limit asked for, so a short page is no end.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

LIMIT: Final = 1000
"""Items asked for at a time."""

ITEMS_MAX: Final = 1_000_000
"""A list with more is not believed."""

ID_MAX: Final = 255
"""A longer id is none, and no marker."""

Fetch = Callable[[Mapping[str, str]], bytes]
"""Gets one page: the query's parameters → the body."""


class PagingError(ValueError):
    """What came is no such list, or a list without an end. One line."""


_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_T = TypeVar("_T", bound="Item")


class Item(msgspec.Struct, kw_only=True, gc=False):
    """What an item of any list has. The id may be anything, for it comes from outside, as all of it does."""

    id: Any = None


class Malformed(NamedTuple):
    """An item that is none, and why; the id, if it has one."""

    why: str
    id: str | None


class Kind(Generic[_T]):
    """One kind of item: decodes a page of them at once, or one after the other if some are malformed.

    Attributes:
        name: Of their list in its JSON, e.g. ``floatingips``.
    """

    def __init__(self, name: str, kind: type[_T]) -> None:
        self.name = name
        self._one = msgspec.json.Decoder(kind)
        self._all: msgspec.json.Decoder[list[_T]] = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]

    def decode(self, listed: msgspec.Raw | bytes) -> tuple[int, Iterable[_T | Malformed]]:
        """Return how many items a JSON list has, and the items; if one is malformed, one after the other.

        Raises:
            msgspec.DecodeError: It is no list, or broken; likewise UnicodeDecodeError, RecursionError.
        """
        try:
            items = self._all.decode(listed)
        except _BROKEN:
            raws = _RAW.decode(listed)
            return len(raws), map(self._decode_one, raws)
        return len(items), items

    def _decode_one(self, raw: msgspec.Raw) -> _T | Malformed:
        try:
            return self._one.decode(raw)
        except _BROKEN as exc:
            return Malformed(str(exc), _id_of(raw))


class _Link(msgspec.Struct):
    rel: str = ""


_PAGE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW = msgspec.json.Decoder(list[msgspec.Raw])
_LINKS = msgspec.json.Decoder(list[_Link])
_ITEM = msgspec.json.Decoder(Item)


def read_pages(fetch: Fetch, query: Mapping[str, str], kind: Kind[_T]) -> Iterator[_T | Malformed]:
    """Return all items of a list, each id once; those that are malformed or without an id, too.

    Args:
        fetch: Gets a page; what it raises passes through.
        query: Parameters beside ``limit`` and ``marker``.
        kind: Of its items.

    Raises:
        PagingError: A page is malformed, or the pages loop; what came before is no whole list.
    """
    seen: set[int] = set()  # hashes: the ids of a hundred thousand items take twice as much
    marker: dict[str, str] = {}
    while True:
        count, items, has_next = _decode(fetch({**query, "limit": str(LIMIT), **marker}), kind)
        last: str | None = None
        for item in items:
            id_ = item.id if isinstance(item.id, str) and len(item.id) <= ID_MAX else None
            if id_ is not None and hash(id_) in seen:
                continue
            yield item
            if id_ is not None:
                seen.add(hash(id_))
                last = id_
        # A full page without a link comes from a server, or a proxy, that gives none: asking once more costs
        # little. A page beyond the limit comes from a server that does not page.
        if not (has_next or count == LIMIT):
            return
        if last is None:
            raise PagingError(f"the pages of {kind.name} loop")
        if len(seen) > ITEMS_MAX:
            raise PagingError(f"there are more than {ITEMS_MAX} {kind.name}")
        marker = {"marker": last}


def _decode(body: bytes, kind: Kind[_T]) -> tuple[int, Iterable[_T | Malformed], bool]:
    """Return how many items a page has, the items, and whether the server says that there are more.

    Raises:
        PagingError: It is none.
    """
    try:
        content = _PAGE.decode(body)
        count, items = kind.decode(content[kind.name])
        links = _LINKS.decode(content.get(f"{kind.name}_links", b"[]"))
    except KeyError:
        raise PagingError(f"the answer has no {kind.name}") from None
    except _BROKEN as exc:
        raise PagingError(f"the answer is no list of {kind.name}: {exc}") from exc
    return count, items, any(link.rel == "next" for link in links)


def _id_of(raw: msgspec.Raw) -> str | None:
    try:
        id_ = _ITEM.decode(raw).id
    except _BROKEN:
        return None
    return id_ if isinstance(id_, str) else None
