"""What is said to whoever can't sign in, by what has gone wrong on the wire."""

import socket
import ssl
from dataclasses import replace
from http.client import RemoteDisconnected

import pytest
import requests
import urllib3
from keystoneauth1 import exceptions

from downtimer.workers import remedies
from downtimer.workers.rest import RedirectedError, RefusedError
from tests.configured import account

PLAIN = account("[global]\nkeystone_endpoint=http://h:5000\npassword=x\n")
TLS = replace(PLAIN, url="https://h:5000")
URL = "[global] keystone_endpoint in /etc/downtimer/conf.ini"


def within(cause: BaseException) -> Exception:
    """Return an error as libraries raise it: what is behind it is hidden in several places."""
    error = exceptions.ConnectFailure("in vain")
    error.__cause__ = requests.ConnectionError(urllib3.exceptions.ProtocolError("broken", cause))
    return error


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            within(ssl.SSLCertVerificationError()),
            f"name the file of its CA by [global] cacert, or the host as its certificate does by {URL}",
        ),
        (within(ssl.SSLError()), f"if it speaks no TLS there, write http:// in {URL}"),
        (within(socket.gaierror()), f"correct the host in {URL}, or see that this machine can look it up"),
        (within(ConnectionRefusedError()), f"start it, or correct host and port in {URL}"),
        (
            within(TimeoutError()),
            f"see that it can be reached from here (routes, firewalls), or correct {URL}",
        ),
        (RedirectedError("redirects to there"), f"correct {URL}"),
        (exceptions.InternalServerError(), "Keystone itself fails; its log says why"),
        (RefusedError(503), "Keystone itself fails; its log says why"),
        (exceptions.Forbidden(), f"correct {URL}"),
    ],
)
def test_what_is_wrong_names_what_to_do_and_where(error: Exception, remedy: str) -> None:
    assert remedies.find(error, TLS) == remedy


@pytest.mark.parametrize(
    "error", [within(ConnectionResetError()), within(RemoteDisconnected("")), exceptions.BadRequest()]
)
def test_what_hangs_up_on_plain_http_may_speak_tls(error: Exception) -> None:
    assert remedies.find(error, PLAIN) == f"if it speaks TLS there, write https:// in {URL}"
    assert "https://" not in remedies.find(error, TLS)


def test_what_nobody_knows_a_remedy_for_has_none() -> None:
    assert remedies.find(ValueError(), PLAIN) == ""
