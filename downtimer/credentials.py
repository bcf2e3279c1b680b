"""Who we are, in the words of Keystone's API: the bodies of requests for a token. Pure.

A domain may be given by name or by id. ``default`` is the id that Keystone gives its first domain (the
name is ``Default``), and 32 hex digits are an id; all else is a name. So one attempt is enough: two with
different readings would count as two failed logins where Keystone locks users out.
"""

import re
from typing import Final, Literal

from downtimer.config import GlobalSection

_ID: Final = re.compile(r"default|[0-9a-f]{32}")


def domain(value: str) -> tuple[Literal["id", "name"], str]:
    """Return whether a domain is given by its id or by its name, and that."""
    return ("id" if _ID.fullmatch(value) else "name"), value


def by_password(section: GlobalSection) -> dict[str, object]:
    """Return the body that asks for a token by user and password, for the project configured."""
    user = {
        "name": section.user,
        "domain": dict([domain(section.user_domain_name)]),
        "password": section.password or "",
    }
    project = {"name": section.project_name, "domain": dict([domain(section.project_domain_name)])}
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"auth": {"identity": identity, "scope": {"project": project}}}


def by_token(token: str, project_id: str | None) -> dict[str, object]:
    """Return the body that asks for another token by one, for the project that it has."""
    identity = {"methods": ["token"], "token": {"id": token}}
    scope: dict[str, object] = {} if project_id is None else {"scope": {"project": {"id": project_id}}}
    return {"auth": {"identity": identity, **scope}}
