"""One series of probes of the api worker: its timer, the probes under way, what they found.

A series is an open loop: a probe is due every interval, whether or not the last has returned. What is asked
is for a `Question` to know.

Gentle ones wait for each other, and for a call that hangs (`downtimer.workers.pending`). While Keystone is
away, the verdict of a call that hangs waits a little for what the service may have to say of that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from downtimer.model import ANSWERS, MILLISECOND_NS, NEVER_NS, SECOND_NS, Verdict
from downtimer.pace import HEARING_NS, SELDOM_NS, Rates
from downtimer.series import Answer, Series
from downtimer.verdicts import HELD_UP, KEPT, NO_KEYSTONE, TOKEN, is_hang, verdict_of
from downtimer.workers.names import Resolution
from downtimer.workers.pending import Pending, Slot
from downtimer.workers.probing import Findings, Reach
from downtimer.workers.questions import Question
from downtimer.workers.reactor import Reactor, Timer
from downtimer.workers.records import Record
from downtimer.workers.sentinel import Sentinel
from downtimer.workers.stalls import DOUBT_NS, note_suspension
from downtimer.workers.talk import Conversation, Result
from downtimer.workers.turns import Turns
from downtimer.workers.worker import Child

_BLUR_NS: Final = SECOND_NS
"""If we may have read the end of a hang so late, it is not dated."""

_NAME_WAIT_NS: Final = 20 * MILLISECOND_NS
_SLOT_WAIT_NS: Final = 20 * MILLISECOND_NS
_LATE: Final[Mapping[str | None, str]] = {NO_KEYSTONE: NO_KEYSTONE, "http-401": "http-401", TOKEN: "http-401"}
"""By what a call says after its timeout, the cause of its having failed by then; all others hung."""

_GIVEN_UP: Final = "http-504"
"""Says a gateway that has lost its patience, or the service's answer; it says nothing of the service now."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all series of probes share.

    Attributes:
        child: The process.
        findings: Where they put what they find.
        reactor: Drives them.
        turns: The cap on all that is sent.
        unfit: Is told of a series that can't be asked.
        turned: Is told of a series whose newest probe says something else than `before`.
        is_keystone_away: Tells whether Keystone fails at once, so that services may be waiting for it.
    """

    child: Child
    findings: Findings
    reactor: Reactor
    turns: Turns
    unfit: "Unfit"
    turned: "Callable[[Runner, Verdict | None], None]"
    is_keystone_away: Callable[[], bool]


class Unfit(Protocol):
    """What is done with a series that can't be asked."""

    def __call__(self, runner: "Runner", status: int) -> None:
        """Drop it; `status` says why."""


class Tell(Protocol):
    """Who wants to know when a call has been answered."""

    def __call__(self, *, hangs: bool) -> None:
        """It has been, in whatever way, or hangs."""


class _Flight:
    """A probe under way.

    Attributes:
        sent_ns: When it was issued, by which its series knows it.
        deadline: The timer of its timeout, then that of hearing it out.
        left_ns: When everything was done to send it; None until then.
        overdue: The cause that it has since its timeout, while its verdict waits.
    """

    __slots__ = ("deadline", "left_ns", "overdue", "sent_ns")

    def __init__(self, sent_ns: int, deadline: Timer) -> None:
        self.sent_ns = sent_ns
        self.deadline = deadline
        self.left_ns: int | None = None
        self.overdue: str | None = None


class Runner:
    """Runs one series of probes.

    Attributes:
        front_ns: Every probe sent before is judged, and none will be sent before.

    Args:
        question: What it asks.
        record: Where it puts what it finds in detail.
        around: What all share.
        rates: In force; may be changed.
        slot: Which gentle ones of the same service share.
    """

    def __init__(
        self,
        question: Question,
        record: Record,
        around: Surroundings,
        rates: Rates,
        slot: Slot | None = None,
    ) -> None:
        self.question = question
        self.record = record
        self.rates = rates
        self.series = Series(question.check, around.child.incarnation, around.findings)
        self.front_ns = NEVER_NS
        self._around = around
        self._clock = around.child.clock
        self._watch = around.child.watch
        self._reactor = around.reactor
        self._timer: Timer | None = None
        self._armed_ns: int | None = None
        self._flying: dict[Conversation, _Flight] = {}
        self._slot = slot
        self._pending = Pending(self._reactor, self._let_go)
        self._curious: list[Tell] = []
        self._is_kept = False  # from its probe by another's that is pending, and has said so
        self._is_stopped = False
        has_sentinel = question.check == ANSWERS and around.child.settings.config.api.sentinel
        self._sentinel = Sentinel(self._reactor, self._alarm) if has_sentinel else None
        self._has_alarm = False
        self._telling_ns: int | None = None  # the probe after an alarm, which tells whether that was right

    # --- when ---

    def arm(self) -> None:
        """Set the timer to the instant at which the next probe is due, if it has changed.

        To be called whenever one is sent, or resolved, or something else has changed.
        """
        judged_ns = self.series.judged_through_ns(NEVER_NS)
        due_ns = None if self._is_held else self.series.due_ns(self.rates)
        self.front_ns = judged_ns if due_ns is None else min(judged_ns, due_ns)
        if due_ns == self._armed_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ns = due_ns
        if due_ns is not None:
            self._again(due_ns - self._clock.now_ns())

    def stop(self) -> None:
        """Send no more, and wait for nothing beyond its timeout."""
        self._is_stopped = True
        self._let_go()
        for probe in [probe for probe, flight in self._flying.items() if flight.overdue is not None]:
            probe.expire()
        self.arm()
        if self._sentinel is not None:
            self._sentinel.drop()

    def drop(self) -> None:
        """Send no more and forget what is under way."""
        self.stop()
        for probe, flight in self._flying.items():
            flight.deadline.cancel()
            probe.close()
        self._flying.clear()
        self._give_back()
        self._tell_curious(hangs=False)

    def look_again(self) -> None:
        """If a call is pending, make another one now: it is the last, and the one before may be long ago."""
        if self._pending:
            self._let_go()
            if self._timer is not None:
                self._timer.cancel()
            self._fire()

    def doubt_pending(self) -> None:
        """If a call is pending, it may be lost: soon make another one in its place."""
        self._pending.doubt()

    def when_answered(self, tell: Tell) -> None:
        """Tell when the next call has been answered, or that one hangs; at once if calls are seldom made."""
        if self._slot is not None and self._slot.is_stuck:
            tell(hangs=True)
        elif self.rates.steady_ns >= SELDOM_NS:
            tell(hangs=False)
        else:
            self._curious.append(tell)

    def _tell_curious(self, *, hangs: bool) -> None:
        told, self._curious = self._curious, []
        for tell in told:
            tell(hangs=hangs)

    def reach(self, now_ns: int) -> Reach:
        """Return how far it is, if it is a gentle one; of the others `front_ns` tells all.

        While a call is pending none is due: as long as it is not answered the service has not recovered. Else
        calls are seldom, and where there was none nothing was seen: the open span grows with each of them.
        """
        through_ns = min(now_ns, self.front_ns)
        grown_ns = through_ns if self._pending else min(through_ns, self.series.latest_sent_ns)
        return Reach(through_ns, grown_ns, 0, self.series.widest_ns)

    @property
    def _is_held(self) -> bool:
        """Whether none is due, whatever the series says."""
        return self._is_stopped or bool(self._pending)

    def _again(self, wait_ns: int) -> None:
        self._timer = self._reactor.later(max(wait_ns, 0) / SECOND_NS, self._fire)

    def _fire(self, *, has_turn: bool = False) -> None:
        """Send the probe that is due, unless it must wait for its name, its slot or its turn."""
        if self._is_stopped:
            return
        resolution = self.question.resolution()
        if resolution is None:
            self._again(_NAME_WAIT_NS)
            return
        now_ns = self._clock.now_ns()
        if self._slot is not None and not self._slot.take(self):
            if self._slot.is_stuck:
                self._tell_curious(hangs=True)
                if not self._is_kept:
                    self._is_kept = True
                    self.series.skip(now_ns, KEPT, self.rates)
            self._again(_SLOT_WAIT_NS)
            return
        self._is_kept = False
        if not (has_turn or self._around.turns.take(now_ns)):
            self._timer = self._around.turns.wait(partial(self._fire, has_turn=True))
            return
        self._armed_ns = None
        note_suspension(self.series, self._watch, now_ns, self.rates)
        sent_ns = self.series.issue(now_ns, self.rates)
        self.series.expect_answer(sent_ns, self.rates)
        if self._has_alarm:
            self._has_alarm, self._telling_ns = False, sent_ns
        if resolution.cause is None:
            self._send(sent_ns, resolution)
        else:
            self._give_back()
            self._tell_curious(hangs=False)
            self._settle(sent_ns, Result(resolution.cause), now_ns)
        self.arm()

    def _send(self, sent_ns: int, resolution: Resolution) -> None:
        probe = self.question.conversation(lambda: self.series.baseline.status_class, self._done)
        deadline = self._reactor.later(self.rates.timeout_ns / SECOND_NS, partial(self._expire, probe))
        flight = self._flying[probe] = _Flight(sent_ns, deadline)
        probe.start(resolution.endpoints)
        flight.left_ns = self._clock.now_ns()

    def _expire(self, probe: Conversation) -> None:
        """Its time is up: for good, if it is a plain one or has not been asked yet."""
        flight, now_ns = self._flying[probe], self._clock.now_ns()
        cause = flight.overdue or f"timeout-{probe.phase}"
        if self._is_stopped or not self.rates.is_gentle or not probe.is_hanging:
            probe.expire()
        elif flight.overdue is None and self.question.hears_out and self._around.is_keystone_away():
            flight.overdue = cause
            flight.deadline = self._reactor.later(HEARING_NS / SECOND_NS, partial(self._expire, probe))
        else:
            del self._flying[probe]
            self.series.hung(flight.sent_ns, now_ns, self._pending.patience_ns())
            verdict = self._settle(flight.sent_ns, Result(cause), now_ns)
            self._pending.hold(probe, is_down=verdict is Verdict.DOWN)
            self._tell_curious(hangs=True)
            if self._slot is not None:
                self._slot.is_stuck = True
            self.arm()

    def _let_go(self) -> None:
        """Wait for the pending call no longer."""
        if self._pending.drop():
            self._give_back()
            self.arm()

    def _note_end_of_hang(self, now_ns: int, *, is_good: bool) -> None:
        """A call that had hung has been answered; if we read that much too late, it is not known when.

        If well, whoever asked less than a user's patience ago is answered in time. If not, what had hung
        until then has failed with it, and who asks from then on may be answered.
        """
        late_ns = self._watch.late_ns(now_ns)
        since_ns = now_ns - late_ns - (self.rates.timeout_ns if is_good else 0)
        self.series.recovered(now_ns, since_ns if late_ns <= _BLUR_NS else None, self.rates)
        if late_ns > _BLUR_NS:
            self.series.skip(now_ns, HELD_UP, self.rates)

    def _hear_pending(self, cause: str | None, now_ns: int) -> None:
        """Learn from what the pending call has come to."""
        if cause is None:
            self._note_end_of_hang(now_ns, is_good=True)
        elif cause in _LATE:
            if self._pending.is_down:
                self.series.explained(_LATE[cause], now_ns, self._pending.patience_ns(), self.rates)
        elif verdict_of(cause) is Verdict.DOWN and not is_hang(cause) and cause != _GIVEN_UP:
            self._note_end_of_hang(now_ns, is_good=False)

    def _give_back(self) -> None:
        if self._slot is not None:
            self._slot.give_back(self)

    # --- what came of it ---

    def _done(self, probe: Conversation, result: Result) -> None:
        now_ns = self._clock.now_ns()
        if self._pending.is_it(probe):
            self._hear_pending(result.cause, now_ns)
            self._let_go()
            return
        self._give_back()
        self._tell_curious(hangs=result.cause is not None and is_hang(result.cause))
        flight = self._flying.pop(probe)
        flight.deadline.cancel()
        if self._sentinel is not None and result.cause is None:
            self._sentinel.keep(probe.take_connection() if probe.is_kept_alive else None, now_ns)
        probe.close()
        left_ns = now_ns if flight.left_ns is None else flight.left_ns
        if left_ns - flight.sent_ns > DOUBT_NS:
            result = result._replace(cause=HELD_UP)
        elif flight.overdue is None:
            self._pending.forget_hangs()
        else:
            if result.cause is None:
                self._note_end_of_hang(now_ns, is_good=True)
            result = result._replace(cause=_LATE.get(result.cause, flight.overdue))
        self._settle(flight.sent_ns, result, now_ns)
        self.arm()

    def _settle(self, sent_ns: int, result: Result, now_ns: int) -> Verdict | None:
        """Resolve a probe and return its verdict; None if it says that there is nothing to ask there."""
        cause, status = result.cause, result.status
        is_first = cause is not None and self.series.baseline.status_class is None
        if is_first and status is not None and self.question.is_unfit(status):
            self._around.unfit(self, status)
            return None
        if cause is not None:
            cause = self._watch.excuse(cause, sent_ns, self.rates.timeout_ns)
            result = result._replace(cause=cause)
        verdict = Verdict.UP if cause is None else verdict_of(cause)
        if self._sentinel is not None:
            self._hear(self._sentinel, sent_ns, verdict, now_ns)
        before = self.series.latest
        if cause is None:
            answer = Answer(now_ns - sent_ns, result.status, self._watch.held_up_ns(sent_ns))
            self.series.good(sent_ns, answer, now_ns, self.rates)
        else:
            self.series.bad(sent_ns, cause, now_ns, self.rates)
        self.record.take(self.series.targets(), sent_ns, result, now_ns)
        if self.series.latest is not before:
            self._around.turned(self, before)
        return verdict

    # --- the sentinel ---

    def _alarm(self) -> None:
        """The other side has ended the connection of the last answered probe: look at once."""
        if self._has_alarm or self._telling_ns is not None:
            return  # the probe that tells whether the last one was right is still to come
        now_ns = self._clock.now_ns()
        if self._is_prompt(now_ns):
            self.series.date(now_ns)
        self.series.alarm(now_ns, self.rates)
        self._has_alarm = True
        self.arm()

    def _hear(self, sentinel: Sentinel, sent_ns: int, verdict: Verdict, now_ns: int) -> None:
        """Let the sentinel date a failure that is known ahead of its own word, and learn from what came."""
        if sent_ns == self._telling_ns:
            self._telling_ns = None
            if verdict is Verdict.UP:
                sentinel.was_wrong(now_ns)
            elif verdict is Verdict.DOWN:
                sentinel.was_right()
        if verdict is Verdict.DOWN:
            if sentinel.has_ended() and self._is_prompt(now_ns):
                self.series.date(now_ns)
            sentinel.drop()  # whatever fails, it was not the end of that process

    def _is_prompt(self, now_ns: int) -> bool:
        """Tell whether what we see now has just happened: our loop is not late."""
        return self._watch.late_ns(now_ns) == 0
