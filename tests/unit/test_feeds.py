"""What a child is told of the target list, portion by portion."""

import asyncio
import ipaddress
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer import targets
from downtimer.messages import Targets
from downtimer.model import Kind, Target, TargetId, TargetState
from downtimer.supervisor import feeds
from downtimer.supervisor.feeds import AHEAD, PORTION, WANTS, Feed, Feeds

SERVICE = targets.static_service("web", "http://h/")


def address(number: int) -> TargetState:
    """Return the state of an address."""
    return state(targets.address(ipaddress.ip_address("10.0.0.0") + number))


def state(target: Target) -> TargetState:
    """Return a state of which nothing is learnt."""
    return TargetState(target=target, discovered_ns=0, listed_ns=0)


class Book:
    """The supervisor's list."""

    def __init__(self, states: Iterable[TargetState] = ()) -> None:
        self.states: dict[TargetId, TargetState] = {}
        self.keep(*states)

    def keep(self, *states: TargetState) -> tuple[TargetState, ...]:
        """Keep these; return them."""
        self.states |= {each.target.id: each for each in states}
        return states

    def all(self) -> list[TargetState]:
        """Return all."""
        return list(self.states.values())


def take(feed: Feed, book: Book) -> Targets | None:
    """Send the next portion, and have it taken."""
    portion = feed.next(book.states.get)
    if portion is not None:
        feed.sent(portion)
        feed.took(portion.serial)
    return portion


def take_all(feed: Feed, book: Book) -> list[Targets]:
    """Send all portions, and have them taken."""
    portions = []
    while (portion := take(feed, book)) is not None:
        portions.append(portion)
    return portions


def test_nothing_is_told_before_hello() -> None:
    book, feed = Book(), Feed(WANTS["icmp"])
    feed.put(book.keep(address(1)))
    assert take(feed, book) is None


def test_an_empty_list_is_told_for_it_says_that_there_is_nothing() -> None:
    feed = Feed(WANTS["discovery"])
    feed.begin([])
    assert take_all(feed, Book()) == [Targets(serial=1, whole=True, changed=())]


def test_a_great_list_travels_in_portions_of_which_the_first_begins_anew() -> None:
    book, feed = Book(address(number) for number in range(2 * PORTION + 1)), Feed(WANTS["icmp"])
    feed.begin(book.states)
    portions = take_all(feed, book)
    assert [(one.serial, one.whole, one.more, len(one.changed)) for one in portions] == [
        (1, True, True, PORTION),
        (2, False, True, PORTION),
        (3, False, False, 1),
    ]
    assert [each for one in portions for each in one.changed] == book.all()


def test_no_more_are_under_way_than_the_child_can_take() -> None:
    book, feed = Book(address(number) for number in range(9 * PORTION)), Feed(WANTS["icmp"])
    feed.begin(book.states)
    for _ in range(AHEAD):
        portion = feed.next(book.states.get)
        assert portion is not None
        feed.sent(portion)
    assert feed.next(book.states.get) is None
    feed.took(1)
    assert feed.next(book.states.get) is not None


def test_what_waits_travels_as_it_stands_when_it_leaves() -> None:
    book, feed = Book([address(1)]), Feed(WANTS["icmp"])
    feed.begin(book.states)
    feed.put(book.keep(replace(address(1), silent_ns=5)))
    (portion,) = take_all(feed, book)
    assert portion.changed == (replace(address(1), silent_ns=5),)


def test_a_portion_that_could_not_be_sent_is_tried_again() -> None:
    book, feed = Book([address(1)]), Feed(WANTS["icmp"])
    feed.begin(book.states)
    assert feed.next(book.states.get) == feed.next(book.states.get) != None  # noqa: E711 - both are there


def test_a_new_process_is_told_everything_whatever_the_last_one_had_not_taken() -> None:
    book, feed = Book(address(number) for number in range(9 * PORTION)), Feed(WANTS["icmp"])
    feed.begin(book.states)
    for _ in range(AHEAD):
        portion = feed.next(book.states.get)
        assert portion is not None
        feed.sent(portion)
    feed.close()
    assert feed.next(book.states.get) is None
    feed.begin(book.states)
    portions = take_all(feed, book)
    assert portions[0].whole
    assert sum(len(one.changed) for one in portions) == 9 * PORTION


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("writer", {"web", "plain", "silent", "reached", "agent"}),
        ("discovery", {"web", "plain", "silent", "reached", "agent"}),
        ("icmp", {"plain", "silent", "reached"}),
        ("api", {"web", "silent", "reached"}),
    ],
)
def test_each_class_is_told_what_it_has_use_for(name: str, wanted: set[str]) -> None:
    plain = address(1)
    agent = Target(id=TargetId("agent/a"), kind=Kind.AGENT, name="a")
    states = {
        "web": state(SERVICE),
        "plain": plain,
        "silent": replace(plain, silent_ns=1),
        "reached": replace(plain, silent_ns=1, method="icmp"),
        "agent": state(agent),
    }
    assert {one for one, each in states.items() if WANTS[name](each)} == wanted


@given(st.lists(st.tuples(st.sampled_from(["change", "take", "restart"]), st.integers(0, 30)), max_size=60))
def test_whatever_happens_a_child_ends_up_with_the_list_as_it_stands(steps: list[tuple[str, int]]) -> None:
    book, feed, held = Book(), Feed(WANTS["icmp"]), dict[TargetId, TargetState]()
    expected_serial = 0
    feed.begin(book.states)

    def hear(portion: Targets | None) -> None:
        nonlocal expected_serial
        if portion is None:
            return
        assert portion.follows(expected_serial)
        expected_serial = portion.serial
        if portion.whole:
            held.clear()
        held.update((each.target.id, each) for each in portion.changed)

    for at_ns, (step, number) in enumerate(steps):
        if step == "change":
            feed.put(book.keep(*(replace(address(i), silent_ns=at_ns) for i in range(number))))
        elif step == "take":
            hear(take(feed, book))
        else:
            feed.begin(book.states)
    while not feed.is_done:
        hear(take(feed, book))
    assert held == book.states


def test_portions_leave_as_the_children_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "PORTION", 3)
    book, sent = Book(address(number) for number in range(10)), list[tuple[str, Targets]]()
    full = asyncio.Event()  # as much as may be under way

    def send(name: str, portion: Targets) -> bool:
        sent.append((name, portion))
        if len(sent) == 3:
            full.set()
        return True

    async def scenario() -> None:
        made = Feeds(book.states.get, send)
        running = asyncio.create_task(made.run())
        made.begin("icmp", book.states)
        made.begin("api", book.states)
        await full.wait()
        made.took("icmp", 2)
        made.took("api", 2)
        await made.drain("icmp", 10.0)
        await made.drain("api", 10.0)
        made.took("api", 4)
        made.tell(book.keep(replace(address(1), silent_ns=1)), ("api",))
        await made.drain("api", 10.0)
        running.cancel()

    asyncio.run(scenario())
    assert [len(portion.changed) for name, portion in sent if name == "icmp"] == [3, 3, 3, 1]
    told_api = [portion.changed for name, portion in sent if name == "api"]
    assert [state.target.id for portion in told_api for state in portion] == [address(1).target.id]
