"""How many targets stand how."""

from downtimer.messages import Counts
from downtimer.model import Kind, TargetId, Verdict
from downtimer.workers.standings import Standings

NOVA, HEAT, ADDRESS = TargetId("nova"), TargetId("heat"), TargetId("10.0.0.1")


def test_target_counts_once_as_the_worst_of_its_checks() -> None:
    standings = Standings()
    standings.put(NOVA, Kind.SERVICE, [Verdict.UP, Verdict.DOWN, None])
    standings.put(HEAT, Kind.SERVICE, [Verdict.UNKNOWN, Verdict.UP])
    standings.put(ADDRESS, Kind.ADDRESS, [Verdict.SLOW])
    assert standings.counts() == {Kind.SERVICE: Counts(up=1, down=1), Kind.ADDRESS: Counts(slow=1)}


def test_newest_word_counts_and_what_is_gone_does_not() -> None:
    standings = Standings()
    standings.put(NOVA, Kind.SERVICE, [None])
    assert standings.counts()[Kind.SERVICE] == Counts(unseen=1)
    standings.put(NOVA, Kind.SERVICE, [Verdict.UP])
    assert standings.counts()[Kind.SERVICE] == Counts(up=1)
    assert list(standings.services()) == [(NOVA, Verdict.UP)]
    standings.drop(NOVA)
    standings.drop(NOVA)
    assert list(standings.services()) == []
    assert standings.counts() == {Kind.SERVICE: Counts(), Kind.ADDRESS: Counts()}
