"""A catalog's URL → the root that *answers* probes: the URL without version, project and account.

Pure: no I/O. ``http://h:8774/v2.1/PROJECT`` becomes ``http://h:8774/``, but ``https://h/compute/v2.1``
becomes ``https://h/compute/``: clouds put every API behind one port, and the root of that port is only
the web server. The root answers without a token, and is the same for every project.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

LENGTH_MAX: Final = 2048
"""Longest URL taken; Keystone itself stores more, yet no API lives there."""

_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)*([a-z]+[0-9]*)?", re.IGNORECASE)
_OWNER = re.compile(
    r"(AUTH|KEY)_.*"  # an account of Swift or of Ceph's gateway
    r"|.*[%$]\(\w+\)s.*"  # a template that Keystone left as it is
    r"|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # a project's id
    re.DOTALL,
)
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(\.{_LABEL})*\.?")
_UNFIT = re.compile(r"[\s\\<>\"]")


def probe_root(url: str) -> str:
    """Return where to probe the service that the catalog has at `url`.

    Scheme and host are lower-cased, so that equal roots are equal text; query and fragment are dropped.

    Raises:
        ValueError: The URL is relative, not http or https, or otherwise none that could be probed.
    """
    parts = _split(url)
    kept = []
    for segment in filter(None, parts.path.split("/")):
        if _VERSION.fullmatch(segment) or _OWNER.fullmatch(segment):
            break
        if segment in (".", ".."):
            raise ValueError("has dots for a path segment")
        kept.append(segment)
    path = "".join(f"{segment}/" for segment in kept)
    return f"{parts.scheme}://{_authority(parts)}/{path}"


def identity_base(url: str) -> str:
    """Return Keystone's URL with ``/v3`` and without a slash at the end, given it in either form.

    Raises:
        ValueError: See `probe_root`.
    """
    return f"{probe_root(url)}v3"


def join(base: str, path: str) -> str:
    """Return `path` below `base`: one slash between them, or none before a query."""
    return f"{base.rstrip('/')}{'' if path.startswith('?') else '/'}{path.lstrip('/')}"


def _split(url: str) -> SplitResult:
    if len(url) > LENGTH_MAX:
        raise ValueError(f"is longer than {LENGTH_MAX} characters")
    if _UNFIT.search(url) or not url.isprintable():
        raise ValueError("has characters that no URL may have")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("is no http:// or https:// URL")
    if "@" in parts.netloc:
        raise ValueError("has credentials in it")
    if not parts.path.isascii():
        raise ValueError("has characters that no URL may have")
    return parts


def _authority(parts: SplitResult) -> str:
    """Return host and port as they are written in a URL."""
    host = _host(parts.hostname or "")
    port = parts.port  # ValueError if it is none
    if port == 0:
        raise ValueError("has port 0")
    return host if port is None else f"{host}:{port}"


def _host(host: str) -> str:
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        if address.scope_id is not None:
            raise ValueError("has a scope in its address")
        return f"[{address}]"
    if not host.isascii():
        host = host.encode("idna").decode("ascii")  # UnicodeError is a ValueError
    if not _HOST.fullmatch(host):
        raise ValueError("has no valid host")
    return host
