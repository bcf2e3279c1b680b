"""The script of the demo's upgrade."""

import itertools

from downtimer.demo.script import Act, Step, length_s, moments, upgrade
from downtimer.demo.services import HOWTO


def test_upgrade_takes_about_half_a_minute() -> None:
    assert 25 <= length_s(upgrade(["172.16.166.151"])) <= 35


def test_services_are_restarted_one_by_one() -> None:
    restarts = sorted((step.at_s, step.at_s + step.for_s) for step in upgrade([]))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(restarts))


def test_services_of_the_script_are_processes_of_the_howto_and_some_are_left_alone() -> None:
    restarted = {step.target for step in upgrade([])}
    assert restarted < set(HOWTO)


def test_outages_are_long_enough_to_be_seen_and_short_enough_to_watch() -> None:
    assert all(1.5 <= step.for_s <= 6.0 for step in upgrade(["172.16.166.151"]))


def test_only_the_first_address_drops_out() -> None:
    assert [step.target for step in upgrade(["10.0.0.1", "10.0.0.2"]) if step.act is Act.DROP] == ["10.0.0.1"]


def test_without_addresses_there_are_services_alone() -> None:
    assert not any(step.act is Act.DROP for step in upgrade([]))


def test_moments_come_in_order_and_what_ends_comes_before_what_begins() -> None:
    first = Step(target="a", at_s=0.0, for_s=2.0)
    second = Step(target="b", at_s=2.0, for_s=1.0)
    played = [(moment.at_s, moment.step.target, moment.down) for moment in moments([second, first])]
    assert played == [(0.0, "a", True), (2.0, "a", False), (2.0, "b", True), (3.0, "b", False)]


def test_text_says_what_happens_to_which_target() -> None:
    begins, ends = moments([Step(target="172.16.166.151", at_s=1.0, for_s=2.0, act=Act.DROP)])
    assert (begins.text, ends.text) == ("172.16.166.151 drops out", "172.16.166.151 is back")


def test_one_service_loses_its_database_and_answers_on() -> None:
    (step,) = [step for step in upgrade([]) if step.act is Act.DATABASE]
    begins, ends = moments([step])
    assert begins.text == f"{step.target} loses its database, and answers on"
    assert ends.text == f"{step.target} has its database again"
