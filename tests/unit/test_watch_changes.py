"""The lines of a watch whose output is no terminal."""

from typing import Any

from downtimer.watch.changes import MANY, changes
from tests.unit.status_answers import answer, counts, failing

AT = "2026-11-26 02:11:16 UTC  "
LATER = "2026-11-26 02:11:18 UTC  "


def later(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return an answer of two seconds later."""
    return answer(uptime_s=78.5, **given)


def test_the_first_answer_is_summed_up_with_what_is_down() -> None:
    targets = {"service": counts(up=8, down=1), "address": counts(up=20), "agent": counts()}
    run = answer()["run"] | {"label": "nova 28\n to 29"}
    first = answer(run=run, targets=targets, down=[failing("service/nova", region="One")])
    assert list(changes(None, first)) == [
        f"{AT}run 20261126-021000-abcd nova 28\\x0a to 29: 9 services, 20 addresses",
        f"{AT}down: nova (One) answers, refused, since 02:11:00",
    ]


def test_what_stays_as_it_was_is_not_told_again() -> None:
    down = [failing("service/nova")]
    assert list(changes(answer(down=down), later(down=down))) == []


def test_what_goes_down_and_what_comes_back_is_told() -> None:
    before = answer(down=[failing("service/nova")])
    after = later(down=[failing("address/10.0.0.1", "icmp", "no-reply")])
    assert list(changes(before, after)) == [
        f"{LATER}down: 10.0.0.1 icmp, no-reply, since 02:11:00",
        f"{LATER}up: nova answers, after about 18.2 s",
    ]


def test_what_has_come_back_and_failed_again_meanwhile_is_told() -> None:
    again = failing("service/nova", since="2026-11-26T02:11:17.500000Z", for_s=1.0)
    assert list(changes(answer(down=[failing("service/nova")]), later(down=[again]))) == [
        f"{LATER}down: nova answers, refused, since 02:11:17"
    ]


def test_many_at_once_are_counted() -> None:
    down = [failing(f"address/10.0.0.{number}", "icmp", "no-reply") for number in range(MANY + 1)]
    assert list(changes(answer(), later(down=down))) == [f"{LATER}down: {MANY + 1} checks"]
    assert list(changes(answer(down=down), later())) == [f"{LATER}up: {MANY + 1} checks"]


def test_what_the_answer_has_no_room_for_any_more_has_not_come_back() -> None:
    first, second, third = (
        failing(f"address/10.0.0.{number}", "icmp", since=f"2026-11-26T02:11:0{number}.000000Z")
        for number in (1, 2, 3)
    )
    before = answer(down=[first, third])
    assert list(changes(before, later(down=[first, second], more_down=1))) == [
        f"{LATER}down: 10.0.0.2 icmp, refused, since 02:11:02"
    ]
    assert list(changes(before, later(down=[third], more_down=1))) == [
        f"{LATER}up: 10.0.0.1 icmp, after about 18.2 s"
    ]


def test_what_is_not_probed_any_more_has_not_come_back() -> None:
    before = answer(down=[failing("service/nova"), failing("service/glance")])
    nothing = {"service": counts(probed=2), "address": counts(), "agent": counts()}
    paused = later(targets=nothing, paused="2026-11-26T02:11:17.500000Z")
    assert list(changes(before, paused)) == [
        f"{LATER}out of sight: nova answers, after about 18.2 s",
        f"{LATER}out of sight: glance answers, after about 18.2 s",
        f"{LATER}paused",
    ]
    restarted = later(targets=nothing | {"service": counts(probed=2, unseen=2)})
    assert list(changes(answer(down=[failing("service/nova")]), restarted)) == [
        f"{LATER}out of sight: nova answers, after about 18.2 s"
    ]


def test_marks_pauses_and_troubles_of_the_daemon_are_told() -> None:
    mark = {"at": "2026-11-26T02:11:17.000000Z", "text": "step\x1b one"}
    processes = [process | {"restarts": int(process["name"] == "api")} for process in answer()["processes"]]
    journal = answer()["journal"] | {"error": "disk full"}
    paused = "2026-11-26T02:11:17.500000Z"
    after = later(marks=[mark], paused=paused, processes=processes, journal=journal, ending=True)
    assert list(changes(answer(), after)) == [
        f"{LATER}mark at 02:11:17: step\\x1b one",
        f"{LATER}paused",
        f"{LATER}the run is being ended",
        f"{LATER}the api process was restarted",
        f"{LATER}journal: disk full",
    ]
    assert list(changes(after, after | {"paused": None, "journal": answer()["journal"]})) == [
        f"{LATER}resumed",
        f"{LATER}journal: works again",
    ]


def test_another_run_is_begun_with() -> None:
    other = later(run=answer()["run"] | {"id": "20261126-030000-0000"})
    assert list(changes(answer(down=[failing("service/nova")]), other)) == [
        f"{LATER}run 20261126-030000-0000: 1 service, 0 addresses"
    ]
