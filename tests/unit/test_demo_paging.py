"""Lists in pages."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer.demo.paging import BadPageError, Ordered, Page, paginate

URL = "http://h:9696/v2.0/floatingips"


def make(count: int) -> list[dict[str, Any]]:
    return [{"id": f"{index:04}", "project_id": f"p{index % 2}"} for index in reversed(range(count))]


def follow(items: list[dict[str, Any]], query: dict[str, str], cap: int) -> list[Page]:
    """Read page after page, as a client does."""
    pages = [paginate(Ordered(items), query, cap=cap, url=URL)]
    while pages[-1].links:
        onward = dict(parse_qsl(urlsplit(pages[-1].links[0]["href"]).query))
        pages.append(paginate(Ordered(items), onward, cap=cap, url=URL))
    return pages


@given(
    count=st.integers(0, 60),
    limit=st.none() | st.integers(0, 70),
    cap=st.integers(0, 70),
)
def test_pages_together_are_the_list_each_item_once(count: int, limit: int | None, cap: int) -> None:
    items = make(count)
    query = {} if limit is None else {"limit": str(limit)}
    pages = follow(items, query, cap)
    found = [item["id"] for page in pages for item in page.items]
    assert found == sorted(item["id"] for item in items)
    assert all(len(page.items) <= cap for page in pages if cap)


def test_no_page_is_longer_than_the_cap_whatever_was_asked_for() -> None:
    page = paginate(Ordered(make(10)), {"limit": "7"}, cap=4, url=URL)
    assert len(page.items) == 4
    assert page.links == [{"rel": "next", "href": f"{URL}?limit=4&marker=0003"}]


def test_full_last_page_has_a_link_to_an_empty_one_as_in_neutron() -> None:
    pages = follow(make(4), {"limit": "2"}, 0)
    assert [len(page.items) for page in pages] == [2, 2, 0]


def test_without_limit_and_cap_the_whole_list_comes_without_links() -> None:
    page = paginate(Ordered(make(30)), {}, cap=0, url=URL)
    assert (len(page.items), page.links) == (30, [])


def test_filter_applies_before_the_page_is_cut() -> None:
    page = paginate(Ordered(make(10)), {"project_id": "p1", "limit": "3"}, cap=0, url=URL)
    assert [item["id"] for item in page.items] == ["0001", "0003", "0005"]
    assert "project_id=p1" in page.links[0]["href"]


@pytest.mark.parametrize("query", [{"limit": "many"}, {"limit": "-1"}, {"marker": "nobody"}])
def test_wrong_parameters_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadPageError):
        paginate(Ordered(make(3)), query, cap=0, url=URL)
