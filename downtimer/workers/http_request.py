"""What an HTTP probe sends: taken apart, checked and prepared once, sent again and again."""

import re
import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from downtimer import __version__
from downtimer.account import Trust

_PORTS: Final = {"http": 80, "https": 443}
_TARGET: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"(?:[!-~]+(?:[ \t]+[!-~]+)*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent where. Equal requests are probed once.

    Attributes:
        method: Of HTTP.
        url: As configured or found.
        headers: Beyond those that every probe has.
        body: What is sent with it; `headers` say how much that is.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to be sent again and again.

    Attributes:
        host: Name or address, without brackets.
        port: Of TCP.
        tls: The context for https; None for http.
        content: The bytes of the request.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    content: bytes = field(repr=False)


def prepare(request: Request, tls: ssl.SSLContext) -> Prepared:
    """Take a request apart.

    Raises:
        ValueError: The URL is none of HTTP.
    """
    parts = urlsplit(request.url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{request.url!r} is no URL of HTTP")
    port = parts.port or _PORTS[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port != _PORTS[parts.scheme]:
        host = f"{host}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [
        ("Host", host),
        ("User-Agent", f"downtimer/{__version__}"),
        ("Accept", "*/*"),
        *request.headers,
    ]
    fits = _NAME.fullmatch(request.method) and _TARGET.fullmatch(target)
    if not fits or not all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers):
        raise ValueError(f"{request.url!r}: no request of HTTP can be made for it")
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    content = "\r\n".join([*lines, "", ""]).encode("ascii") + request.body
    return Prepared(parts.hostname, port, tls if parts.scheme == "https" else None, content)


def tls_context(trust: Trust) -> ssl.SSLContext:
    """Return the context that all probes share.

    Raises:
        OSError: A file of certificates, or of a key, can't be used.
    """
    context = ssl.create_default_context(cafile=trust.cacert)
    if trust.cert is not None:
        context.load_cert_chain(trust.cert, trust.key, password="")
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context
