"""Who we are, in the words of Keystone's API: the bodies of requests for a token. Pure.

A domain in conf.ini may be given by name or by id. ``default`` is the id that Keystone gives its first domain
(the name is ``Default``), and 32 hex digits are an id; all else is a name. So one attempt is enough: two with
different readings would count as two failed logins where Keystone locks users out.
"""

import re
from typing import Final

from downtimer.account import Account, Method, Party

_ID: Final = re.compile(r"default|[0-9a-f]{32}")


def in_domain(name: str, domain: str) -> Party:
    """Return who has that name in a domain, which is given by its name or its id."""
    if _ID.fullmatch(domain):
        return Party(name=name, domain_id=domain)
    return Party(name=name, domain_name=domain)


def by_secret(account: Account) -> dict[str, object]:
    """Return the body that asks for a token by a password or an application credential."""
    user = {} if account.user is None else account.user.body()
    if account.method is Method.APPLICATION_CREDENTIAL:
        return {"auth": {"identity": _by_credential(account, user)}}
    scope = {} if account.project is None else {"scope": {"project": account.project.body()}}
    password = {"user": user | {"password": account.secret}}
    return {"auth": {"identity": {"methods": ["password"], "password": password}, **scope}}


def _by_credential(account: Account, user: dict[str, object]) -> dict[str, object]:
    who: dict[str, object]
    if account.credential_id is not None:
        who = {"id": account.credential_id}
    else:
        who = {"name": account.credential_name, "user": user}
    credential = who | {"secret": account.secret}
    return {"methods": ["application_credential"], "application_credential": credential}


def by_token(token: str, project_id: str | None) -> dict[str, object]:
    """Return the body that asks for another token by one, for the project that it has."""
    identity = {"methods": ["token"], "token": {"id": token}}
    scope: dict[str, object] = {} if project_id is None else {"scope": {"project": {"id": project_id}}}
    return {"auth": {"identity": identity, **scope}}
