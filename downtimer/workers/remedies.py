"""How it is mended that Keystone can't be reached, in the words of where the account was found. Pure.

For whoever starts a measurement. Later on it is Keystone's outage, not the configuration's fault.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Final

import keystoneauth1.exceptions
import requests
import urllib3

from downtimer.account import Account
from downtimer.workers.rest import RedirectedError, RefusedError, causes

_Remedy = Callable[[BaseException, Account], str]


def find(error: BaseException, account: Account) -> str:
    """Return what to do about an error; empty where nothing is known."""
    chain = causes(error)
    for kinds, remedy in _REMEDIES:
        for cause in chain:
            if isinstance(cause, kinds) and (text := remedy(cause, account)):
                return text
    return ""


def _certificate(_: BaseException, account: Account) -> str:
    cacert = account.origin.where("cacert")
    return f"name the file of its CA by {cacert}, or the host as its certificate does by {_url(account)}"


def _plain(_: BaseException, account: Account) -> str:
    return f"if it speaks no TLS there, write http:// in {_url(account)}"


def _name(_: BaseException, account: Account) -> str:
    return f"correct the host in {_url(account)}, or see that this machine can look it up"


def _elsewhere(_: BaseException, account: Account) -> str:
    return f"correct {_url(account)}"


def _status(error: BaseException, account: Account) -> str:
    status = error.status if isinstance(error, RefusedError) else getattr(error, "http_status", 0)
    if status >= 500:
        return "Keystone itself fails; its log says why"
    return _tls(error, account) or _elsewhere(error, account)


def _tls(_: BaseException, account: Account) -> str:
    """Return what to do where something answers that is not HTTP."""
    is_plain = account.url.lower().startswith("http://")
    return f"if it speaks TLS there, write https:// in {_url(account)}" if is_plain else ""


def _refused(_: BaseException, account: Account) -> str:
    return f"start it, or correct host and port in {_url(account)}"


def _late(_: BaseException, account: Account) -> str:
    return f"see that it can be reached from here (routes, firewalls), or correct {_url(account)}"


def _url(account: Account) -> str:
    return account.origin.place_of("auth_url")


_REMEDIES: Final[tuple[tuple[tuple[type[BaseException], ...], _Remedy], ...]] = (
    ((ssl.SSLCertVerificationError,), _certificate),
    ((ssl.SSLError,), _plain),
    ((urllib3.exceptions.SSLError,), _certificate),  # by urllib3 1.26
    ((socket.gaierror,), _name),
    ((RedirectedError,), _elsewhere),
    ((keystoneauth1.exceptions.HttpError, RefusedError), _status),
    ((ConnectionRefusedError,), _refused),
    ((ConnectionResetError, urllib3.exceptions.ProtocolError), _tls),
    ((TimeoutError, urllib3.exceptions.TimeoutError, requests.Timeout, OSError), _late),
)
"""By the type of an error, in the order of `rest.explain`."""
