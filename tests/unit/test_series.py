"""One series: when it is due, what its answers mean, whom they are told."""

from itertools import pairwise

from downtimer.model import MILLISECOND_NS, SECOND_NS, Baseline, Incarnation, TargetId, Verdict
from downtimer.pace import Rates
from downtimer.series import Answer, Series
from tests.unit import sections
from tests.unit.told import Told

RATES = Rates.within(sections.API, checks=10, fast=0)
FAST_NS = 50 * MILLISECOND_NS
NOVA = TargetId("service:nova")
ALIAS = TargetId("service:nova-alias")
QUICK = Answer(10 * MILLISECOND_NS, 200)


def make(*targets: TargetId, baseline: Baseline | None = None) -> tuple[Series, Told]:
    """Return a series with these targets at instant 0."""
    told = Told()
    series = Series("answers", Incarnation("api.1"), told)
    for target in targets:
        series.add(target, baseline, 0, RATES)
    return series, told


def send(series: Series, at_ns: int, rates: Rates = RATES) -> int:
    """Send a probe; return its instant."""
    sent_ns = series.issue(at_ns, rates)
    series.expect_answer(sent_ns, rates)
    return sent_ns


def answer(series: Series, at_ns: int, given: Answer = QUICK) -> None:
    """Send a probe that is answered."""
    sent_ns = send(series, at_ns, RATES)
    series.good(sent_ns, given, sent_ns + given.latency_ns, RATES)


def fail(series: Series, at_ns: int, cause: str = "refused", after_ns: int = MILLISECOND_NS) -> None:
    """Send a probe that fails."""
    sent_ns = send(series, at_ns, RATES)
    series.bad(sent_ns, cause, sent_ns + after_ns, RATES)


def due(series: Series) -> int:
    """Return when it is due, which it must be."""
    due_ns = series.due_ns(RATES)
    assert due_ns is not None
    return due_ns


def test_each_target_has_a_phase_of_its_own_and_keeps_it() -> None:
    """Sent a little late, the next is due at its own time nevertheless."""
    series, _ = make(NOVA)
    other, _ = make(ALIAS)
    first_ns = due(series)
    assert 0 <= first_ns < RATES.steady_ns
    assert first_ns != due(other)
    answer(series, first_ns + 3 * MILLISECOND_NS)
    assert due(series) == first_ns + RATES.steady_ns


def test_missed_slots_are_not_made_up_for() -> None:
    """After a stall of ours there is one probe, not a burst."""
    series, _ = make(NOVA)
    late_ns = due(series) + 10 * RATES.steady_ns
    answer(series, late_ns)
    assert late_ns + RATES.steady_ns // 2 <= due(series) <= late_ns + RATES.steady_ns


def test_open_loop_goes_on_while_probes_are_under_way() -> None:
    """A probe is due every interval whether or not the last has returned."""
    series, _ = make(NOVA)
    first_ns = due(series)
    send(series, first_ns, RATES)
    assert due(series) == first_ns + RATES.steady_ns


def test_failure_quickens_the_pace_at_once() -> None:
    """The next probe is due 50 ms after the failed one was sent."""
    series, _ = make(NOVA)
    sent_ns = send(series, due(series), RATES)
    series.bad(sent_ns, "refused", sent_ns + MILLISECOND_NS, RATES)
    assert due(series) == sent_ns + FAST_NS


def test_service_that_asks_for_fewer_requests_gets_them_slowly() -> None:
    """Until it answers in another way, also in the fast time of an episode."""
    series, _ = make(NOVA)
    now_ns = due(series)
    fail(series, now_ns)
    assert due(series) == now_ns + FAST_NS
    for distance_ns in (FAST_NS, RATES.long_ns, RATES.long_ns):
        now_ns = due(series)
        fail(series, now_ns, "throttled")
        assert due(series) == now_ns + distance_ns
    now_ns = due(series)
    fail(series, now_ns)
    assert due(series) == now_ns + FAST_NS


def test_at_most_four_probes_hang() -> None:
    """However long the timeout; the fifth waits until one is resolved."""
    patient = RATES._replace(timeout_ns=20 * SECOND_NS)
    series, _ = make(NOVA)
    answer(series, 0)
    sent = []
    now_ns = due(series)
    while (due_ns := series.due_ns(patient)) is not None and due_ns <= now_ns + 20 * SECOND_NS:
        sent.append(send(series, due_ns, patient))
    outstanding = [ns for ns in sent if ns > sent[-1] - patient.timeout_ns]
    assert len(outstanding) <= 6  # two or three before suspicion, four evenly over the timeout
    assert series.due_ns(RATES) is None
    series.bad(sent[0], "timeout-answer", sent[0] + patient.timeout_ns, patient)
    for sent_ns in sent[1:-3]:
        series.bad(sent_ns, "timeout-answer", sent_ns + patient.timeout_ns, patient)
    assert series.due_ns(RATES) is not None


def test_suspicion_keeps_neighbours_within_max_gap() -> None:
    """Whatever the timeout, the time between two hanging probes is observed."""
    for timeout_s in (1, 2, 5, 10, 30, 60):
        rates = RATES._replace(timeout_ns=timeout_s * SECOND_NS)
        series, told = make(NOVA, baseline=Baseline(status_class=2, latency_ns=5 * MILLISECOND_NS))
        now_ns, flying = due(series), list[int]()
        end_ns = 200 * SECOND_NS
        while now_ns < end_ns:
            due_ns = series.due_ns(RATES) or end_ns
            expiry_ns = flying[0] + rates.timeout_ns if flying else end_ns
            now_ns = max(now_ns, min(due_ns, expiry_ns))
            if expiry_ns <= due_ns:
                series.bad(flying.pop(0), "timeout-answer", now_ns, rates)
            else:
                flying.append(send(series, now_ns, rates))
            assert len(flying) <= 6
        assert len(told.spans) == 1, timeout_s


def test_slow_is_the_larger_of_five_baselines_and_200_ms() -> None:
    """Twenty answers make a baseline; until then nothing is slow but what is late."""
    series, told = make(NOVA)
    for number in range(20):
        assert series.slow_after_ns(RATES) == RATES.timeout_ns
        answer(series, number * SECOND_NS, Answer(60 * MILLISECOND_NS, 200))
    assert series.slow_after_ns(RATES) == 300 * MILLISECOND_NS
    answer(series, 30 * SECOND_NS, Answer(300 * MILLISECOND_NS, 200))
    assert series.latest == "up"
    answer(series, 31 * SECOND_NS, Answer(301 * MILLISECOND_NS, 200))
    assert series.latest == "slow"
    assert told.baselines == [
        (NOVA, Baseline(status_class=2)),
        (NOVA, Baseline(status_class=2, latency_ns=60 * MILLISECOND_NS)),
    ]
    assert not told.turns


def test_our_own_lateness_is_never_slow_and_teaches_nothing() -> None:
    """The latency was our loop's."""
    series, _ = make(NOVA, baseline=Baseline(status_class=2, latency_ns=MILLISECOND_NS))
    answer(series, 0, Answer(SECOND_NS, 200, doubt_ns=800 * MILLISECOND_NS))
    assert series.latest is Verdict.UP
    fresh, _ = make(NOVA)
    for number in range(40):
        answer(fresh, number * SECOND_NS, Answer(SECOND_NS, 200, doubt_ns=60 * MILLISECOND_NS))
    assert fresh.baseline.latency_ns is None


def test_what_is_later_than_our_lateness_explains_is_slow() -> None:
    """A loop that was held up for a moment does not hide a segment that was sent again after a second."""
    series, _ = make(NOVA, baseline=Baseline(status_class=2, latency_ns=MILLISECOND_NS))
    answer(series, 0, Answer(SECOND_NS, 200, doubt_ns=60 * MILLISECOND_NS))
    assert series.latest is Verdict.SLOW


def test_answers_of_which_it_is_not_known_how_soon_they_came_are_kept_apart() -> None:
    """They are up and proof of nothing else; those that were quick all the same are as any other."""
    series, told = make(NOVA, baseline=Baseline(status_class=2, latency_ns=MILLISECOND_NS))
    late = Answer(SECOND_NS, 200, doubt_ns=900 * MILLISECOND_NS)
    for number, one in enumerate([QUICK, QUICK._replace(doubt_ns=60 * MILLISECOND_NS), late, late, QUICK]):
        answer(series, number * SECOND_NS, one)
    series.close()
    spans = sorted(told.spans.values(), key=lambda span: span.first_sent_ns)
    assert [(span.verdict, span.probes, dict(span.causes)) for span in spans] == [
        (Verdict.UP, 2, {}),
        (Verdict.UP, 2, {"stall": 2}),
        (Verdict.UP, 1, {}),
    ]
    assert not told.turns


def test_baseline_is_set_once_per_run() -> None:
    """A restarted worker goes on with what the run knows; later answers don't move it."""
    known = Baseline(status_class=4, latency_ns=MILLISECOND_NS)
    series, told = make(NOVA, baseline=known)
    for number in range(30):
        answer(series, number * SECOND_NS, Answer(90 * MILLISECOND_NS, 200))
    assert series.baseline == known
    assert not told.baselines


def test_partial_baseline_is_completed() -> None:
    """The class may be known before the latency."""
    series, told = make(NOVA, baseline=Baseline(status_class=3))
    for number in range(20):
        answer(series, number * SECOND_NS)
    assert told.baselines == [(NOVA, Baseline(status_class=3, latency_ns=QUICK.latency_ns))]


def test_targets_that_share_a_request_are_counted_alike() -> None:
    """One probe, a span for each; one that comes later is told what is known, and that it is down."""
    series, told = make(NOVA)
    answer(series, 0)
    fail(series, SECOND_NS)
    series.add(ALIAS, None, 2 * SECOND_NS, RATES)
    assert (ALIAS, Baseline(status_class=2)) in told.baselines
    assert told.turns == [(NOVA, SECOND_NS, "refused"), (ALIAS, SECOND_NS, "refused")]
    fail(series, 3 * SECOND_NS)
    series.remove(NOVA)
    series.remove(ALIAS)
    assert told.spans[(NOVA, SECOND_NS)].probes == 2
    assert told.spans[(ALIAS, 3 * SECOND_NS)].probes == 1
    assert series.open_spans() == []


def test_turns_are_told_once_and_unknown_is_no_turn() -> None:
    """Good at first is no news; down at first is."""
    series, told = make(NOVA)
    for number, cause in enumerate(["refused", "reset", None, None, "send", "refused", "send", "refused"]):
        if cause is None:
            answer(series, number * SECOND_NS)
        else:
            fail(series, number * SECOND_NS, cause)
    assert told.turns == [
        (NOVA, 0, "refused"),
        (NOVA, 2 * SECOND_NS, None),
        (NOVA, 5 * SECOND_NS, "refused"),
    ]


def test_old_probe_that_resolves_late_is_no_turn() -> None:
    """Suspicion goes by the newest resolved probe; the spans have it in order all the same."""
    series, told = make(NOVA)
    old_ns = send(series, 0, RATES)
    answer(series, SECOND_NS)
    series.bad(old_ns, "timeout-answer", 2 * SECOND_NS, RATES)
    assert series.latest is Verdict.UP
    assert told.turns == []
    assert [span.verdict for span in told.spans.values()] == [Verdict.DOWN, Verdict.UP]


def test_unknown_does_not_begin_an_episode() -> None:
    """Our own trouble is no reason to hurry."""
    series, _ = make(NOVA)
    fail(series, due(series), "send")
    assert not series.pace.is_in_episode(SECOND_NS, RATES)


def test_late_answers_trigger_one_extra_probe_a_second() -> None:
    """Something changes, so look at once; a service that stays slow is not asked more often."""
    series, _ = make(NOVA, baseline=Baseline(status_class=2, latency_ns=MILLISECOND_NS))
    sent_ns = send(series, due(series), RATES)
    late_ns = sent_ns + 300 * MILLISECOND_NS
    series.good(sent_ns, Answer(300 * MILLISECOND_NS, 200), late_ns, RATES)
    assert due(series) == late_ns
    sent_ns = send(series, late_ns, RATES)
    assert due(series) == late_ns + RATES.steady_ns * 9 // 8
    series.good(sent_ns, Answer(300 * MILLISECOND_NS, 200), late_ns + 300 * MILLISECOND_NS, RATES)
    assert due(series) == late_ns + RATES.steady_ns * 9 // 8


def test_judged_through_is_just_before_the_oldest_under_way() -> None:
    """Progress never claims a probe that may still fail."""
    series, _ = make(NOVA)
    assert series.judged_through_ns(5) == 5
    first_ns = send(series, 10, RATES)
    second_ns = send(series, 20, RATES)
    series.good(second_ns, QUICK, 30, RATES)
    assert series.judged_through_ns(40) == first_ns - 1
    series.good(first_ns, QUICK, 40, RATES)
    assert series.judged_through_ns(40) == 40
    assert not series.has_unanswered()


def test_probes_sent_at_one_instant_are_told_apart() -> None:
    """The instant is the key of a probe."""
    series, _ = make(NOVA)
    assert send(series, 7, RATES) < send(series, 7, RATES)


def test_no_answer_within_a_few_baselines_calls_for_one_more_probe() -> None:
    """Suspicion does not wait for the timeout; one extra probe, and no other for the time being."""
    series, _ = make(NOVA, baseline=Baseline(status_class=2, latency_ns=20 * MILLISECOND_NS))
    sent_ns = send(series, due(series), RATES)
    assert due(series) == sent_ns + 80 * MILLISECOND_NS
    again_ns = send(series, due(series), RATES)
    assert due(series) == again_ns + RATES.steady_ns * 9 // 8


def test_an_answer_in_good_time_leaves_no_suspicion() -> None:
    """The next probe is the one that was due anyway."""
    series, _ = make(NOVA, baseline=Baseline(status_class=2, latency_ns=20 * MILLISECOND_NS))
    sent_ns = due(series)
    answer(series, sent_ns)
    assert due(series) == sent_ns + RATES.steady_ns


def test_extra_probes_are_paid_back_so_that_the_average_holds() -> None:
    """A URL whose answers are mostly suspect gets its two requests a second all the same."""
    series, _ = make(NOVA, baseline=Baseline(status_class=2, latency_ns=20 * MILLISECOND_NS))
    first_ns = due(series)
    sent, flying = list[int](), list[int]()
    while not sent or sent[-1] < first_ns + 60 * SECOND_NS:
        sent.append(send(series, due(series), RATES))
        flying.append(sent[-1])
        while flying and flying[0] + 150 * MILLISECOND_NS <= min(due(series), sent[-1] + SECOND_NS // 4):
            oldest_ns = flying.pop(0)
            came_ns = max(oldest_ns + 150 * MILLISECOND_NS, sent[-1])
            series.good(oldest_ns, Answer(150 * MILLISECOND_NS, 200), came_ns, RATES)
    assert any(after - before < RATES.steady_ns // 2 for before, after in pairwise(sent))
    assert len(sent) <= 2 * 60 + 2


def test_an_alarm_has_a_probe_sent_at_once_and_dates_its_failure() -> None:
    """What closed a connection is no sample; the probe that it triggers is one."""
    series, told = make(NOVA)
    answer(series, due(series))
    at_ns = due(series) - SECOND_NS // 4
    series.date(at_ns)
    series.alarm(at_ns, RATES)
    assert due(series) == at_ns
    fail(series, at_ns + MILLISECOND_NS)
    fail(series, due(series))
    (span,) = (span for span in told.spans.values() if span.verdict is Verdict.DOWN)
    assert span.first_sent_ns == at_ns + MILLISECOND_NS
    assert span.dated_ns == at_ns


def test_an_alarm_dates_nothing_if_the_probe_is_answered() -> None:
    """Nor the failure of a later one."""
    series, told = make(NOVA)
    series.date(SECOND_NS)
    series.alarm(SECOND_NS, RATES)
    answer(series, SECOND_NS)
    fail(series, SECOND_NS + RATES.steady_ns)
    assert [span.dated_ns for span in told.spans.values()] == [None, None]


def test_in_an_episode_an_alarm_dates_but_calls_for_no_extra_probe() -> None:
    """The rate follows the episode alone."""
    series, told = make(NOVA)
    fail(series, 0)
    answer(series, due(series))
    due_ns = due(series)
    series.date(due_ns - 10 * MILLISECOND_NS)
    series.alarm(due_ns - 10 * MILLISECOND_NS, RATES)
    assert due(series) == due_ns
    fail(series, due_ns)
    assert told.spans[NOVA, due_ns].dated_ns == due_ns - 10 * MILLISECOND_NS


def test_what_could_not_be_seen_is_an_unknown_probe_with_its_cause() -> None:
    """It changes neither the pace nor what is said to be down."""
    series, told = make(NOVA)
    answer(series, due(series))
    due_ns = due(series)
    series.skip(due_ns - MILLISECOND_NS, "suspended", RATES)
    assert due(series) == due_ns
    answer(series, due_ns)
    assert [span.verdict for span in told.spans.values()] == ["up", "unknown", "up"]
    assert told.spans[NOVA, due_ns - MILLISECOND_NS].causes == {"suspended": 1}
    assert not told.turns


def test_what_happened_dates_the_failure_of_a_probe_that_was_just_under_way() -> None:
    """Its connection was broken by the same death; one that was hanging before has nothing to do with it."""
    series, told = make(NOVA)
    answer(series, due(series))
    hanging_ns = send(series, due(series), RATES)
    at_ns = hanging_ns + SECOND_NS // 4
    series.date(at_ns)
    fresh_ns = send(series, at_ns + SECOND_NS, RATES)
    series.date(fresh_ns + 3 * MILLISECOND_NS)
    series.bad(hanging_ns, "reset", fresh_ns + 4 * MILLISECOND_NS, RATES)
    assert told.spans[NOVA, hanging_ns].dated_ns is None
    series.good(fresh_ns, QUICK, fresh_ns + 4 * MILLISECOND_NS, RATES)
    young_ns = send(series, due(series), RATES)
    series.date(young_ns + 3 * MILLISECOND_NS)
    series.bad(young_ns, "reset", young_ns + 4 * MILLISECOND_NS, RATES)
    assert told.spans[NOVA, young_ns].dated_ns == young_ns + 3 * MILLISECOND_NS


def test_a_slot_is_missed_once_nothing_was_sent_for_longer_than_counts_as_observed() -> None:
    """It is the instant at which the next probe was due."""
    series, _ = make(NOVA)
    assert series.missed_ns(100 * SECOND_NS) is None  # it has not begun
    sent_ns = due(series)
    answer(series, sent_ns)
    assert series.missed_ns(sent_ns + 2 * SECOND_NS) is None
    assert series.missed_ns(sent_ns + 2 * SECOND_NS + 1) == due(series)


def test_widest_distance_counts_what_is_observed_only() -> None:
    """A gap is told as one; the resolution is about the rest."""
    series, _ = make(NOVA)
    for at_ns in (0, SECOND_NS // 2, 2 * SECOND_NS, 9 * SECOND_NS):
        answer(series, at_ns)
    assert series.widest_ns == 1_500 * MILLISECOND_NS


def test_a_suspicion_quickens_echoes_until_it_is_known_what_became_of_the_probe() -> None:
    """As a silence does: an outage that is over before the first has failed ends as sharply.

    Answers to others do not slow it down: else lost echoes would be followed by more than answered ones.
    """
    echoes = Rates.within(sections.ICMP, checks=10, fast=0)
    series, _ = make(NOVA, baseline=Baseline(latency_ns=MILLISECOND_NS))
    sent = [send(series, due(series), echoes)]
    while sent[-1] - sent[0] < 800 * MILLISECOND_NS:
        sent.append(send(series, series.due_ns(echoes) or 0, echoes))
    distances = [(after - before) // MILLISECOND_NS for before, after in pairwise(sent)]
    assert distances == [50, *[100] * 8]
    series.good(sent[-1], QUICK, sent[-1] + MILLISECOND_NS, echoes)
    again_ns = send(series, series.due_ns(echoes) or 0, echoes)
    assert due(series) - again_ns == 100 * MILLISECOND_NS
    series.bad(sent[0], "stall", again_ns, echoes)
    paying_ns = send(series, series.due_ns(echoes) or 0, echoes)
    assert due(series) - paying_ns == echoes.steady_ns * 9 // 8  # what came too early is paid back


def test_a_suspicion_does_not_quicken_requests_beyond_what_may_hang() -> None:
    """Four over two seconds are as many as a URL that is up gets."""
    series, _ = make(NOVA, baseline=Baseline(status_class=2, latency_ns=MILLISECOND_NS))
    sent = [send(series, due(series)), send(series, due(series)), send(series, due(series))]
    distances = [(after - before) // MILLISECOND_NS for before, after in pairwise(sent)]
    assert distances == [50, 562]
    assert due(series) - sent[-1] == 562_500_000
