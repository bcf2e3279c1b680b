"""Lists in pages: caps, loops, servers that do not page, and what is no list at all."""

import json
from collections.abc import Mapping

import pytest

from downtimer import paging
from downtimer.paging import LIMIT, Item, Kind, Malformed, PagingError, read_pages

NAME = "floatingips"
KIND = Kind(NAME, Item)


class Pages:
    """A server that pages as Neutron does.

    Attributes:
        asked: The query of every request.
    """

    def __init__(self, count: int, *, cap: int = LIMIT, links: bool = True, pages: bool = True) -> None:
        self.asked: list[Mapping[str, str]] = []
        self._ids = [f"{number:06}" for number in range(count)]
        self._cap = cap
        self._links = links
        self._pages = pages

    def __call__(self, query: Mapping[str, str]) -> bytes:
        """Answer one request."""
        self.asked.append(query)
        if not self._pages:
            return body(self._ids)
        start = self._ids.index(query["marker"]) + 1 if "marker" in query else 0
        length = min(int(query["limit"]), self._cap)
        chosen = self._ids[start : start + length]
        return body(chosen, has_next=self._links and len(chosen) == length)


def body(ids: list[str], *, has_next: bool = False) -> bytes:
    """Return a page."""
    content: dict[str, object] = {NAME: [{"id": id_} for id_ in ids]}
    if has_next:
        content[f"{NAME}_links"] = [{"rel": "next", "href": "http://inside.invalid/?marker=elsewhere"}]
    return json.dumps(content).encode()


def ids_of(fetch: paging.Fetch) -> list[str]:
    """Read everything."""
    return [str(item.id) for item in read_pages(fetch, {"a": "b"}, KIND)]


@pytest.mark.parametrize("cap", [1, 7, 999, LIMIT, LIMIT * 2])
@pytest.mark.parametrize("count", [0, 1, 7, 14, 2500])
def test_every_item_is_read_once_whatever_the_servers_cap(count: int, cap: int) -> None:
    server = Pages(count, cap=cap)
    assert ids_of(server) == [f"{number:06}" for number in range(count)]


def test_the_marker_is_the_last_id_and_the_query_is_kept() -> None:
    server = Pages(5, cap=2)
    ids_of(server)
    assert [query.get("marker") for query in server.asked] == [None, "000001", "000003"]
    assert all(query["a"] == "b" and query["limit"] == str(LIMIT) for query in server.asked)


def test_full_pages_without_links_are_followed() -> None:
    server = Pages(2 * LIMIT, links=False)
    assert len(ids_of(server)) == 2 * LIMIT
    assert len(server.asked) == 3


def test_a_server_that_does_not_page_is_asked_once() -> None:
    server = Pages(LIMIT + 1, pages=False)
    assert len(ids_of(server)) == LIMIT + 1
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "pages",
    [
        [["a", "b"], ["a", "b"]],  # the same page again
        [["a", "b"], ["b", "a"]],
        [["a"], ["b"], ["c"], ["a"]],
        [[]],  # nothing, and yet a next one
    ],
)
def test_pages_that_loop_are_no_list(pages: list[list[str]]) -> None:
    waiting = [body(ids, has_next=True) for ids in pages]
    with pytest.raises(PagingError, match="loop"):
        ids_of(lambda _: waiting.pop(0))


def test_an_item_on_two_pages_is_read_once() -> None:
    waiting = [body(["a", "b"], has_next=True), body(["b", "c"])]
    assert ids_of(lambda _: waiting.pop(0)) == ["a", "b", "c"]


def test_pages_without_any_id_end() -> None:
    page = b'{"floatingips": [{}, 1], "floatingips_links": [{"rel": "next"}]}'
    with pytest.raises(PagingError, match="loop"):
        list(read_pages(lambda _: page, {}, KIND))


def test_items_without_an_id_are_left_to_who_decodes_them() -> None:
    page = b'{"floatingips": [{}, 1, {"id": 5}, {"id": "a"}]}'
    assert len(list(read_pages(lambda _: page, {}, KIND))) == 4


def test_malformed_items_spoil_no_others_and_their_ids_are_markers_like_any() -> None:
    class Named(Item, kw_only=True):
        name: str

    pages = [
        b'{"floatingips": [{"id":"a","name":"one"}, {"id":"b"}], "floatingips_links": [{"rel":"next"}]}',
        b'{"floatingips": [{"id": "c", "name": "three"}]}',
    ]
    asked: list[Mapping[str, str]] = []

    def fetch(query: Mapping[str, str]) -> bytes:
        asked.append(query)
        return pages[len(asked) - 1]

    first, second, third = read_pages(fetch, {}, Kind(NAME, Named))
    assert (first, third) == (Named(id="a", name="one"), Named(id="c", name="three"))
    assert isinstance(second, Malformed)
    assert second.id == asked[1]["marker"] == "b"


def test_an_id_that_is_too_long_is_no_marker() -> None:
    page = body(["x" * 256], has_next=True)
    with pytest.raises(PagingError, match="loop"):
        list(read_pages(lambda _: page, {}, KIND))


def test_a_list_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "ITEMS_MAX", 100)
    with pytest.raises(PagingError, match="more than 100"):
        ids_of(Pages(1000, cap=10))


def test_a_link_to_the_previous_page_alone_is_an_end() -> None:
    page = b'{"floatingips": [{"id": "a"}], "floatingips_links": [{"rel": "previous", "href": "x"}]}'
    assert len(list(read_pages(lambda _: page, {}, KIND))) == 1


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"null",
        b"[]",
        b"{}",
        b'{"floatingips": null}',
        b'{"floatingips": {"id": "a"}}',
        b'{"floatingips": [{"id": "a"}',
        b'{"floatingips": [], "floatingips_links": 5}',
        b'{"floatingips": [], "floatingips_links": [5]}',
        b'{"servers": []}',
        b"\xff\xfe",
        b'{"floatingips": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b"[" * 200_000,
    ],
)
def test_what_is_no_page_is_an_error(page: bytes) -> None:
    with pytest.raises(PagingError):
        list(read_pages(lambda _: page, {}, KIND))
