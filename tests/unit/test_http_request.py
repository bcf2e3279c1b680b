"""What an HTTP probe sends."""

import ssl

import pytest

from downtimer.workers.http_request import Prepared, Request, prepare

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def made(url: str, *headers: tuple[str, str], body: bytes = b"", method: str = "GET") -> Prepared:
    """Return a request, prepared."""
    return prepare(Request(method=method, url=url, headers=headers, body=body), TLS)


def test_request_is_complete_and_in_order() -> None:
    """The token and the body are as given."""
    prepared = made("http://h:8774/v2.1?a=b", ("X-Auth-Token", "s3cret"), body=b"{}", method="POST")
    lines = prepared.content.split(b"\r\n")
    assert lines[:2] == [b"POST /v2.1?a=b HTTP/1.1", b"Host: h:8774"]
    assert b"X-Auth-Token: s3cret" in lines
    assert lines[-2:] == [b"", b"{}"]
    assert "s3cret" not in repr(prepared)


@pytest.mark.parametrize(
    ("url", "host", "port", "first"),
    [
        ("http://h", "h", 80, b"Host: h"),
        ("http://h:80/", "h", 80, b"Host: h"),
        ("https://h/", "h", 443, b"Host: h"),
        ("https://h:80/", "h", 80, b"Host: h:80"),
        ("http://[::1]:8080/", "::1", 8080, b"Host: [::1]:8080"),
    ],
)
def test_port_is_named_unless_it_is_the_usual_one(url: str, host: str, port: int, first: bytes) -> None:
    prepared = made(url)
    assert (prepared.host, prepared.port) == (host, port)
    assert prepared.content.split(b"\r\n")[:2] == [b"GET / HTTP/1.1", first]
    assert (prepared.tls is TLS) is url.startswith("https")


@pytest.mark.parametrize(
    "url",
    ["ftp://h/", "h:80", "http:///", "http://h/a b", "http://h/\u00e9", "http://h/\x7f", "http://h\u00e9/"],
)
def test_what_is_no_url_of_http(url: str) -> None:
    with pytest.raises(ValueError, match=r"no URL of HTTP|no request of HTTP"):
        made(url)


@pytest.mark.parametrize(
    "header", [("X", "a\r\nY: b"), ("X", "a\n"), ("X\r\nY", "a"), ("X:", "a"), ("X", "\u00e9")]
)
def test_no_header_can_be_smuggled_in(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="no request of HTTP"):
        made("http://h/", header)
