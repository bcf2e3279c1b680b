"""The servers behind floating IPs: their names, and whether their owners have stopped them.

Owned by discovery's thread. Nova is asked for everything once and then, with each listing, for what has
changed since (``changes-since``), by its own clock: the newest change that it has told. So a large cloud is
not listed again and again; if it takes too long for one listing, the next goes on where that ended. What
cannot be had stays unknown, in silence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from downtimer.catalog import Server
from downtimer.model import SECOND_NS, Power

AGAIN_NS: Final = 300 * SECOND_NS
"""Between two attempts at a list that could not be had whole."""

KNOWN_MAX: Final = 1_000_000
"""Most servers remembered; a cloud that tells of more is asked anew, and what it told before is forgotten."""

_OVERLAP: Final = timedelta(seconds=60)
"""So much is asked for again: what is committed late, or stamped by another host's clock."""


@dataclass(slots=True)
class _Place:
    """One region's Nova.

    Attributes:
        newest: The newest change that it has told of; None before the first whole list.
        tried_ns: When it was last asked for a whole list.
        sees_all: It lets this user see the servers of all projects.
        last: The last server of a whole list that is not had to its end; None if there is no such.
        since: The newest change told of when that list was begun: what came later may have been passed by.
        goes_on: There was no time for the rest of it, which is asked for next.
    """

    newest: datetime | None = None
    tried_ns: int | None = None
    sees_all: bool = True
    last: str | None = None
    since: datetime | None = None
    goes_on: bool = False


class Servers:
    """What is known of servers, by id."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._powers: dict[str, Power] = {}
        self._places: dict[str, _Place] = {}

    def name(self, server: str | None) -> str | None:
        """Return a server's name, None if it is unknown."""
        return None if server is None else self._names.get(server)

    def powers(self) -> Mapping[str, Power]:
        """Return what is known of the servers' power."""
        return self._powers

    def remember(self, server: str | None, name: str | None) -> None:
        """Take a name from an earlier life of this process."""
        if server and name:
            self._names[server] = name

    def query(self, url: str, now_ns: int) -> dict[str, str] | None:
        """Return what to ask the Nova at `url`, for `learn` or `refused` to follow; None: nothing now."""
        place = self._places.setdefault(url, _Place())
        query = {"all_tenants": "1"} if place.sees_all else {}
        if place.newest is not None:
            return {**query, "changes-since": f"{place.newest - _OVERLAP:%Y-%m-%dT%H:%M:%SZ}"}
        if place.goes_on and place.last is not None:
            place.goes_on = False
            return {**query, "marker": place.last}
        if place.tried_ns is not None and now_ns - place.tried_ns < AGAIN_NS:
            return None
        place.tried_ns, place.last, place.since = now_ns, None, None
        return query

    def ran_out(self, url: str) -> None:
        """Note that there was no time for the rest of a whole list."""
        self._places[url].goes_on = True

    def refused(self, url: str) -> bool:
        """Note that the query was not permitted; return whether to ask for the own project instead."""
        place = self._places[url]
        was_for_all, place.sees_all, place.tried_ns = place.sees_all, False, None
        return was_for_all

    def learn(self, url: str, listed: Iterable[Server]) -> None:
        """Take what Nova has answered. What `listed` raises passes through; the list is not whole then."""
        place = self._places[url]
        newest, is_empty = place.newest, True
        began = newest is not None or place.last is None  # this is no rest of a whole list
        for server in listed:
            is_empty = False
            if len(self._powers) >= KNOWN_MAX:
                self._names.clear()
                self._powers.clear()
            self.remember(server.id, server.name)
            self._powers[server.id] = server.power
            if server.updated is not None and (newest is None or server.updated > newest):
                newest = server.updated
            place.last = server.id
            if began:
                place.since = newest
        place.newest = newest if began else place.since
        place.last = None
        if place.newest is None and is_empty:  # a cloud without servers, of which the next list is as short
            place.tried_ns = None
