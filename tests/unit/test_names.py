"""Names of projects: looked for when one is new, and seldom when none can be had."""

from downtimer.model import SECOND_NS
from downtimer.workers.cloud import NamesById

LATER_NS = 301 * SECOND_NS


def test_what_is_known_needs_no_look() -> None:
    names = NamesById()
    names.learn_all({"1": "one", "2": "", "": "none"})
    names.learn(None, "nobody")
    names.learn("3", None)
    assert [names.get(key) for key in ("1", "2", "", "3", None)] == ["one", None, None, None, None]
    assert not names.needs_look(["1", None, ""], 0)


def test_what_is_new_is_looked_for_at_once_and_what_was_not_found_later() -> None:
    names = NamesById()
    assert names.needs_look(["1", "2"], 0)
    names.note_look(["1", "2"], 0)
    names.learn("1", "one")
    assert not names.needs_look(["1", "2"], SECOND_NS)
    assert names.needs_look(["1", "2", "3"], 2 * SECOND_NS)
    names.note_look(["1", "2", "3"], 2 * SECOND_NS)
    assert not names.needs_look(["2", "3"], 3 * SECOND_NS)
    assert names.needs_look(["2"], LATER_NS + 2 * SECOND_NS)
