"""Certificates: what goes without is told, those of ours are shown, and files that are none are named."""

import ssl
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from downtimer import config
from downtimer.account import Trust
from downtimer.certificates import unverified, why_unusable
from downtimer.workers.http_request import tls_context
from downtimer.workers.rest import AwayError, Rest

CLOUD = "certificates of the cloud are not verified ([global] insecure)"
INFLUXDB = "InfluxDB's certificate is not verified ([db] verify_ssl)"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("[db]\n", []),
        ("[db]\nssl = yes\n", []),
        ("[db]\nverify_ssl = no\n", []),  # it speaks no TLS
        ("[db]\nssl = yes\nverify_ssl = no\n", [INFLUXDB]),
        ("[global]\ninsecure = yes\n", [CLOUD]),
        ("[global]\ninsecure = yes\n[db]\nssl = yes\nverify_ssl = no\n", [CLOUD, INFLUXDB]),
    ],
)
def test_what_nobody_verifies_is_told(text: str, lines: list[str]) -> None:
    assert unverified(config.parse(f"[static]\nips = 127.0.0.1\n{text}", "/conf.ini")) == lines


class Hello(BaseHTTPRequestHandler):
    """Greets whoever gets so far."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who vouches for both sides."""
    return trustme.CA()


@pytest.fixture
def port(authority: trustme.CA) -> Iterator[int]:
    """A server that talks to those alone who show a certificate; return its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who fails is told, and that is all
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def trust(authority: trustme.CA, tmp_path: Path) -> Trust:
    """Our certificate and key, and whom we believe."""
    ours = authority.issue_cert("us.example")
    names = {"ca": authority.cert_pem, "cert": ours.cert_chain_pems[0], "key": ours.private_key_pem}
    for name, content in names.items():
        content.write_to_path(str(tmp_path / name))
    return Trust(cacert=str(tmp_path / "ca"), cert=str(tmp_path / "cert"), key=str(tmp_path / "key"))


def got(port: int, trust: Trust) -> bytes:
    """Return what discovery gets there."""
    rest = Rest(trust)
    rest.begin(10)
    try:
        return rest.get(f"https://127.0.0.1:{port}/", "token")
    finally:
        rest.close()


def test_our_certificate_is_shown_to_whoever_asks_for_one(port: int, trust: Trust) -> None:
    assert got(port, trust) == b"hello"
    with urllib.request.urlopen(f"https://127.0.0.1:{port}/", context=tls_context(trust)) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(AwayError):
        got(port, replace(trust, cert=None, key=None))


def test_key_may_stand_in_the_file_of_its_certificate(port: int, trust: Trust, tmp_path: Path) -> None:
    (tmp_path / "both").write_bytes((tmp_path / "key").read_bytes() + (tmp_path / "cert").read_bytes())
    assert got(port, replace(trust, cert=str(tmp_path / "both"), key=None)) == b"hello"


def test_files_that_cannot_be_used_are_named(trust: Trust, tmp_path: Path) -> None:
    assert why_unusable(trust) is None
    assert why_unusable(replace(trust, cacert=f"{tmp_path}/x")) == f"{tmp_path}/x: No such file or directory"
    assert why_unusable(replace(trust, cacert=trust.key)) == f"{trust.key}: holds no certificates"
    assert (
        why_unusable(replace(trust, key=f"{tmp_path}/x"))
        == f"{trust.cert}, {tmp_path}/x: No such file or directory"
    )
    why = f"{trust.cert}: no certificate with its key (in PEM, and the key without a password)"
    assert why_unusable(replace(trust, key=None)) == why
