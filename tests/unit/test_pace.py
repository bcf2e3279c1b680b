"""The rate follows the episode: gentle while up, fast while failing fast, careful with what hangs."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from downtimer.model import MILLISECOND_NS, SECOND_NS
from downtimer.pace import Bucket, Pace, Rates, max_gap_ns
from tests.unit import sections

API = Rates.within(sections.API, checks=10, fast=0)
ICMP = Rates.within(sections.ICMP, checks=100, fast=0)
FAST_NS = 50 * MILLISECOND_NS
LONG_NS = SECOND_NS // 2


def test_steady_while_up() -> None:
    """Two a second per URL, five per address."""
    pace = Pace()
    pace.good(0)
    assert pace.interval_ns(1, API) == SECOND_NS // 2
    assert pace.interval_ns(1, ICMP) == SECOND_NS // 5


def test_fast_from_the_first_failure_until_good_answers_have_settled_it() -> None:
    """A good answer in the midst does not slow it down: the rate follows the episode."""
    pace = Pace()
    pace.failed(0, 1, API, hung=False)
    assert pace.interval_ns(1, API) == FAST_NS
    pace.good(SECOND_NS)
    assert pace.interval_ns(SECOND_NS + 1, API) == FAST_NS
    pace.failed(2 * SECOND_NS, 2 * SECOND_NS, API, hung=False)
    pace.good(3 * SECOND_NS)
    assert pace.is_in_episode(8 * SECOND_NS - 1, API)
    assert pace.interval_ns(8 * SECOND_NS - 1, API) == FAST_NS
    assert not pace.is_in_episode(8 * SECOND_NS, API)
    assert pace.interval_ns(8 * SECOND_NS, API) == API.steady_ns


def test_long_episode_is_probed_twice_a_second() -> None:
    """Fast lasts for a minute of the episode; the next one begins fast again."""
    pace = Pace()
    pace.failed(0, 0, ICMP, hung=False)
    assert pace.interval_ns(60 * SECOND_NS - 1, ICMP) == FAST_NS
    assert pace.interval_ns(60 * SECOND_NS, ICMP) == LONG_NS
    pace.good(61 * SECOND_NS)
    pace.failed(70 * SECOND_NS, 70 * SECOND_NS, ICMP, hung=False)
    assert pace.interval_ns(71 * SECOND_NS, ICMP) == FAST_NS


def test_silence_allows_few_probes_over_the_timeout() -> None:
    """What hangs may hold one of the few workers of a service."""
    pace = Pace()
    pace.failed(0, 2 * SECOND_NS, API, hung=True)
    assert pace.interval_ns(2 * SECOND_NS, API) == API.timeout_ns // 4
    assert not pace.is_holding(3, API)
    assert pace.is_holding(4, API)


def test_first_answer_after_a_silence_resumes_the_fast_rate() -> None:
    """Also when rests of the silence are still to fail."""
    pace = Pace()
    pace.good(0)
    for number in range(1, 4):
        pace.failed(number, number + SECOND_NS, ICMP, hung=True)
    pace.good(10)
    assert pace.interval_ns(11 + SECOND_NS, ICMP) == FAST_NS
    pace.failed(5, 12 + SECOND_NS, ICMP, hung=True)
    assert pace.interval_ns(13 + SECOND_NS, ICMP) == FAST_NS
    assert not pace.is_holding(10, ICMP)


def test_loss_keeps_one_distance_for_the_whole_episode() -> None:
    """Otherwise answered stretches would be sampled fast, and the share of failures come out wrong."""
    pace = Pace()
    for number in range(1, 5):
        pace.good(2 * number)
        pace.failed(2 * number - 1, 2 * number + SECOND_NS, ICMP, hung=True)
        assert pace.interval_ns(2 * number + SECOND_NS, ICMP) == ICMP.timeout_ns // 10
        pace.good(2 * number + 1)
        assert pace.interval_ns(2 * number + SECOND_NS, ICMP) == ICMP.timeout_ns // 10


def test_suspicion_acts_at_once() -> None:
    """A probe need not run into its timeout to be taken for hanging; one within patience is not."""
    pace = Pace()
    pace.good(0)
    slow = API._replace(timeout_ns=20 * SECOND_NS)
    pace.suspect(SECOND_NS, SECOND_NS + 200 * MILLISECOND_NS, 200 * MILLISECOND_NS, slow)
    assert pace.interval_ns(2 * SECOND_NS, slow) == slow.steady_ns
    pace.suspect(SECOND_NS, SECOND_NS + 201 * MILLISECOND_NS, 200 * MILLISECOND_NS, slow)
    assert pace.interval_ns(2 * SECOND_NS, slow) == 5 * SECOND_NS
    pace.good(SECOND_NS)
    assert pace.interval_ns(2 * SECOND_NS, slow) == slow.steady_ns


def test_late_resolution_of_an_old_failure_does_not_restart_the_settling() -> None:
    """Good answers count from the first that was sent after the last failed probe."""
    pace = Pace()
    pace.failed(SECOND_NS, SECOND_NS, ICMP, hung=False)
    pace.good(3 * SECOND_NS)
    pace.failed(2 * SECOND_NS, 4 * SECOND_NS, ICMP, hung=True)
    assert not pace.is_in_episode(8 * SECOND_NS, ICMP)


def test_one_extra_probe_a_second_once_the_last_is_paid_for() -> None:
    """Late answers may come by the dozen, and a URL that is up gets its two requests a second."""
    pace = Pace()
    assert pace.may_have_extra(0, API)
    pace.note_extra(0, 0)
    assert not pace.may_have_extra(SECOND_NS - 1, API)
    assert pace.may_have_extra(SECOND_NS, API)
    pace.note_extra(SECOND_NS, API.steady_ns // 4)
    assert not pace.may_have_extra(3 * SECOND_NS, API)
    assert pace.next_interval_ns(3 * SECOND_NS, API) == API.steady_ns * 9 // 8
    assert pace.may_have_extra(3 * SECOND_NS, API)
    assert pace.next_interval_ns(4 * SECOND_NS, API) == API.steady_ns * 9 // 8
    assert pace.next_interval_ns(5 * SECOND_NS, API) == API.steady_ns


def test_an_episode_has_no_extra_probes_and_no_debts() -> None:
    """They would be sampled more densely where they fail, and the shares come out wrong."""
    pace = Pace()
    pace.note_extra(0, API.steady_ns)
    pace.failed(SECOND_NS, SECOND_NS, API, hung=False)
    assert not pace.may_have_extra(3 * SECOND_NS, API)
    assert pace.next_interval_ns(3 * SECOND_NS, API) == FAST_NS
    pace.good(4 * SECOND_NS)
    assert pace.may_have_extra(10 * SECOND_NS, API)


def test_max_gap() -> None:
    """Three intervals, at least two seconds."""
    assert max_gap_ns(SECOND_NS // 2) == 2 * SECOND_NS
    assert max_gap_ns(SECOND_NS) == 3 * SECOND_NS


@given(st.integers(0, 200_000), st.floats(0, 1), st.integers(1, 100_000), st.floats(0.05, 60))
def test_rates_keep_within_the_budget(checks: int, share: float, budget: int, interval_s: float) -> None:
    """Whatever is in an episode gets at most half of it, and all together no more than all."""
    fast = round(checks * share)
    options = replace(sections.API, interval=interval_s, budget=budget)
    rates = Rates.within(options, checks=checks, fast=fast)
    episodes = fast * SECOND_NS / rates.fast_ns
    steady = (checks - fast) * SECOND_NS / rates.steady_ns
    assert episodes <= budget / 2 + 1e-6
    assert episodes + steady <= budget * (1 + 1e-6)
    assert rates.steady_ns >= round(interval_s * SECOND_NS)


@given(st.integers(1, 100_000), st.randoms(use_true_random=False))
def test_bucket_never_gives_more_than_its_rate(per_second: int, random: Random) -> None:
    """Nor more than a tenth of a second's worth at once, whatever the history."""
    bucket = Bucket(per_second)
    now_ns, given_at = 0, []
    for _ in range(300):
        wait_ns = bucket.wait_ns(now_ns)
        if wait_ns:
            assert bucket.wait_ns(now_ns) == wait_ns
            now_ns += random.choice([wait_ns, wait_ns, 1])
        else:
            given_at.append(now_ns)
            now_ns += random.choice([0, 0, 0, 1_000, SECOND_NS // 10])
    for first in range(0, len(given_at), 17):
        for last in range(first, len(given_at), 13):
            span_s = (given_at[last] - given_at[first]) / SECOND_NS
            assert last - first + 1 <= span_s * per_second + max(per_second / 10, 1) + 1e-3


WORKS = Rates.gently(sections.API, interval_s=2, least_s=0.2, checks=8)
LOGIN = Rates.gently(sections.API, interval_s=15, least_s=1.5, checks=1)


def test_gentle_checks_have_one_probe_out_at_most() -> None:
    pace = Pace()
    assert pace.is_holding(1, WORKS)
    assert not pace.is_holding(0, WORKS)


def test_gentle_checks_are_never_faster_while_they_hang() -> None:
    """Each hung call holds a worker of the service, whether or not we still wait for it."""
    for rates in (WORKS, LOGIN):
        pace = Pace()
        pace.failed(0, 2 * SECOND_NS, rates, hung=True)
        assert pace.interval_ns(2 * SECOND_NS, rates) == rates.steady_ns
        assert pace.interval_ns(90 * SECOND_NS, rates) == rates.steady_ns


def test_gentle_checks_follow_fast_failures_fast_and_never_as_fast_as_others() -> None:
    pace = Pace()
    pace.failed(0, 1, WORKS, hung=False)
    assert pace.interval_ns(1, WORKS) == SECOND_NS // 5
    assert pace.interval_ns(61 * SECOND_NS, WORKS) == SECOND_NS // 2
    assert LOGIN.fast_ns == 1_500 * MILLISECOND_NS


def test_gentle_checks_have_a_quarter_of_the_budget() -> None:
    rates = Rates.gently(sections.API, interval_s=2, least_s=0.2, checks=1_000)
    assert rates.steady_ns == 1_000 * SECOND_NS // 125


def test_gentle_checks_are_never_closer_than_they_may_be() -> None:
    rates = Rates.gently(sections.API, interval_s=3, least_s=1.5, checks=1)
    assert (rates.fast_ns, rates.long_ns) == (1_500 * MILLISECOND_NS,) * 2
    assert Rates.gently(sections.API, interval_s=1, least_s=1.5, checks=1).fast_ns == SECOND_NS


@given(
    st.integers(1, 100_000), st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 5_000)), max_size=20)
)
def test_bucket_gives_many_at_once_as_it_gives_them_one_by_one(
    per_second: int, wanted: list[tuple[int, int]]
) -> None:
    """Never more; and never fewer, but for one on the very edge."""
    many, one_by_one = Bucket(per_second), Bucket(per_second)
    now_ns = 0
    for wait_ns, count in wanted:
        now_ns += wait_ns
        taken = many.take(count, now_ns)
        singly = 0
        while singly < count and not one_by_one.wait_ns(now_ns):
            singly += 1
        assert abs(taken - singly) <= 1
        assert taken <= count
