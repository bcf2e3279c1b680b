"""What becomes of echo requests: which reply answers which, and what it means that none has come.

Owned by the icmp worker; does no I/O. Calm addresses are judged by comparing columns. One to which anything
else happens is followed from then on, by a `Series` of its own, until that says that it is calm again.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from downtimer.clock import Batch
from downtimer.messages import Counts
from downtimer.model import ICMP, NEVER_NS, Baseline, Span, TargetId, Verdict
from downtimer.pace import Rates, max_gap_ns
from downtimer.series import SUSPECT_LEAST_NS, Answer, Calm, Series, first_due_ns
from downtimer.verdicts import HELD_UP, cause_of_errno, verdict_of
from downtimer.workers.addresses import Instants, Rows
from downtimer.workers.flights import Flight, Flights, Followed
from downtimer.workers.lane import Heard, Lane, Volley
from downtimer.workers.packets import Quote, cookie_of, cookie_of_reply
from downtimer.workers.probing import Findings
from downtimer.workers.schedule import Schedule
from downtimer.workers.stalls import note_suspension
from downtimer.workers.worker import Child

log = logging.getLogger(__name__)


class Echoes:
    """The echo requests under way, and the addresses that are followed.

    Attributes:
        rates: In force; may be changed.
    """

    def __init__(self, child: Child, findings: Findings, schedule: Schedule, rates: Rates) -> None:
        self.rates = rates
        self._child = child
        self._clock = child.clock
        self._watch = child.watch
        self._findings = findings
        self._schedule = schedule
        self._flights = Flights()
        self._followed: dict[TargetId, Followed] = {}
        self._loss_ns: tuple[int, int] | None = None  # between which replies were dropped for want of room
        self._bugs: set[str] = set()

    # --- addresses ---

    def begin(self, lane: Lane, row: int, baseline: Baseline | None, *, missed: str | None) -> None:
        """Probe a new address.

        Args:
            lane: The way to it.
            row: Of the lane's addresses.
            baseline: What the run knows of it; None for nothing.
            missed: Why it was not probed until now, if it should have been.
        """
        now_ns = self._clock.now_ns()
        due_ns = first_due_ns(lane.addresses.id_of(row), now_ns, self.rates)
        lane.addresses.put_back(row, Calm(baseline or Baseline(), (), due_ns))
        if missed is not None:
            self._follow(lane, row).series.skip(now_ns, missed, self.rates)

    def end(self, lane: Lane, row: int) -> None:
        """Probe an address no more; its span ends."""
        followed = self._followed.pop(lane.addresses.id_of(row), None)
        if followed is not None:
            followed.is_gone, followed.wake_ns = True, None
            followed.series.remove(followed.id)
        if lane.windows is not None:
            lane.windows.forget(row)
        span = lane.addresses.remove(row)
        if span is not None:
            self._findings.span(span, is_open=False)

    def _follow(self, lane: Lane, row: int) -> Followed:
        """Follow an address that was calm until now."""
        addresses = lane.addresses
        target, cookie, calm = addresses.id_of(row), addresses.cookie(row), addresses.take_out(row)
        series = Series(ICMP, self._child.incarnation, self._findings)
        series.resume(target, calm)
        followed = self._followed[target] = Followed(lane, row, target, series)
        if calm.sent_ns is not None:
            self._flights.go_on(followed, calm.sent_ns, int(addresses.sequence[row]), cookie)
        self._schedule.put(followed, self.rates)
        return followed

    def _let_be(self, followed: Followed, now_ns: int) -> None:
        """Follow an address no longer if it is calm again; else enter it for when it is due."""
        addresses, row = followed.lane.addresses, followed.row
        calm = None if followed.is_gone else followed.series.calm(now_ns, self.rates)
        if calm is None:
            self._schedule.put(followed, self.rates)
            return
        del self._followed[followed.id]
        followed.is_gone, followed.wake_ns = True, None
        addresses.put_back(row, calm)
        addresses.widest_ns = max(addresses.widest_ns, followed.series.widest_ns)

    # --- how it stands ---

    def counts(self, lanes: Iterable[Lane]) -> Counts:
        """Return how the addresses stand, references aside."""
        counts = Counts.of(each.series.latest for each in self._followed.values() if not each.is_reference)
        for lane in lanes:
            up, unseen = lane.addresses.calm()
            counts += Counts(up=up, unseen=unseen)
        return counts

    def in_episode(self, now_ns: int) -> int:
        """Return how many addresses are in an episode."""
        return sum(each.series.pace.is_in_episode(now_ns, self.rates) for each in self._followed.values())

    def widest_ns(self, lanes: Iterable[Lane]) -> int:
        """Return the largest distance of neighbouring probes of an address that counted as observed."""
        widest_ns = max((each.series.widest_ns for each in self._followed.values()), default=0)
        return max(widest_ns, *(lane.addresses.widest_ns for lane in lanes), 0)

    def oldest_ns(self, lanes: Iterable[Lane]) -> int | None:
        """Return when the oldest probe under way was sent; None if none is."""
        found = [self._flights.oldest_ns(), *(lane.addresses.oldest_ns() for lane in lanes)]
        return min((oldest_ns for oldest_ns in found if oldest_ns is not None), default=None)

    def spans(self) -> Iterator[Span]:
        """Yield the spans that are growing of the addresses that are followed."""
        for followed in list(self._followed.values()):
            yield from followed.series.open_spans()

    def troubled_spans(self) -> Iterator[Span]:
        """Yield those of the ones that are not up."""
        for followed in list(self._followed.values()):
            if followed.series.latest is not Verdict.UP:
                yield from followed.series.open_spans()

    def next_ns(self, lanes: Iterable[Lane]) -> int:
        """Return when to look for what is not answered."""
        found = [self._flights.next_deadline_ns(self.rates.timeout_ns)]
        found += [self._flights.next_grown_ns(SUSPECT_LEAST_NS)]
        found += [lane.addresses.next_look_ns() for lane in lanes]
        return min((at_ns for at_ns in found if at_ns is not None), default=NEVER_NS)

    # --- what was sent ---

    def strays(self, lane: Lane, rows: Rows, now_ns: int) -> tuple[Rows, list[Followed]]:
        """Return which of the calm ones that are due may be probed as such; the others are followed."""
        is_stray = lane.addresses.are_under_way(rows)
        if self._watch.has_slept_since(now_ns - max_gap_ns(self.rates.longest_ns)):
            is_stray |= lane.addresses.are_overdue(rows, now_ns)  # that is to be said of each
        if not np.count_nonzero(is_stray):
            return rows, []
        followed = [self._follow(lane, row) for row in rows[is_stray].tolist()]
        for each in followed:
            each.wake_ns = None  # it is probed now
        return rows[~is_stray], followed

    def sent(self, followed: Sequence[Followed], calm: Rows, lane: Lane, volley: Volley) -> None:
        """Note what was sent: to followed ones, then to calm ones."""
        gap_ns = max_gap_ns(self.rates.steady_ns)
        instants, first = volley.sent_ns, len(followed)
        lane.addresses.issue(
            calm, instants[first:], volley.nonces[first:], interval_ns=self.rates.steady_ns, gap_ns=gap_ns
        )
        lane.addresses.number(calm, volley.sequences[first:])
        flights = []
        for index, each in enumerate(followed):
            sent_ns = self._issue(each, int(instants[index]))
            sequence, cookie = int(volley.sequences[index]), cookie_of(each.row, int(volley.nonces[index]))
            lane.addresses.number(each.row, sequence)
            flights.append(self._flights.begin(each, sent_ns, sequence, cookie))
        causes = dict.fromkeys(volley.held_up, HELD_UP)
        causes |= {index: self._cause_of(error) for index, error in volley.errors}
        if causes:
            now_ns = self._clock.now_ns()
            for index, cause in causes.items():
                if index < first:
                    self._fail(flights[index], cause, now_ns)
                else:
                    self._fail(self._flight_of(lane, int(calm[index - first])), cause, now_ns)
        for each in followed:
            self._schedule.put(each, self.rates)

    def not_sent(self, followed: Sequence[Followed], calm: Rows, lane: Lane, error: OSError) -> None:
        """Note that nothing could be sent."""
        now_ns = self._clock.now_ns()
        for each in (*followed, *(self._follow(lane, row) for row in calm.tolist())):
            flight = Flight(each, self._issue(each, now_ns), 0, b"")
            self._fail(flight, self._cause_of(error), now_ns)

    def _issue(self, followed: Followed, now_ns: int) -> int:
        note_suspension(followed.series, self._watch, now_ns, self.rates)
        return followed.series.issue(now_ns, self.rates)

    def _flight_of(self, lane: Lane, row: int) -> Flight:
        """Return the request under way to an address that was calm until now, and is followed from now on."""
        cookie = lane.addresses.cookie(row)
        self._follow(lane, row)
        flight = self._flights.known(cookie)
        assert flight is not None  # noqa: S101 - for the type checker
        return flight

    def _cause_of(self, error: OSError) -> str:
        cause = cause_of_errno(error.errno)
        if cause == "unreachable":
            # Our own routes say so, or it is another request's, that was pending; its quote tells which.
            cause = "no-route"
        if cause == "bug" and str(error) not in self._bugs:
            self._bugs.add(str(error))
            log.error("an echo request could not be sent: %s", error)
        return cause

    # --- what comes back ---

    def hear(self, lane: Lane, heard: Heard, batch: Batch) -> None:
        """Take what has come in with one system call."""
        is_calm, rows = lane.addresses.under_way(heard.rows, heard.nonces, heard.sources)
        is_calm &= heard.is_plain
        stamps_ns = heard.stamps_ns
        others: list[int] = []
        if np.count_nonzero(is_calm) < len(rows):
            others = np.flatnonzero(~is_calm).tolist()
            rows, stamps_ns = rows[is_calm], stamps_ns[is_calm]
        is_first = lane.addresses.first_of_each(rows)
        if np.count_nonzero(is_first) < len(rows):
            rows, stamps_ns = rows[is_first], stamps_ns[is_first]
        self._take_replies(lane, rows, stamps_ns, batch)
        for index in others:
            self._take_message(lane, heard, index, batch)

    def _take_replies(self, lane: Lane, rows: Rows, stamps_ns: Instants, batch: Batch) -> None:
        """Resolve probes of calm addresses."""
        addresses = lane.addresses
        came_ns = np.minimum(stamps_ns + batch.zero_ns, batch.now_ns)
        latencies_ns = np.maximum(came_ns - addresses.sent_ns[rows], 0)
        is_slow = latencies_ns > addresses.slow_ns[rows]
        if np.count_nonzero(is_slow):
            for row, stamp_ns in zip(rows[is_slow].tolist(), stamps_ns[is_slow].tolist(), strict=True):
                self._take_reply(self._flight_of(lane, row), stamp_ns, batch)
            rows, latencies_ns = rows[~is_slow], latencies_ns[~is_slow]
        came = addresses.answered(rows, latencies_ns, is_sure=batch.is_sure)
        if lane.windows is not None:
            lane.windows.answered(rows, latencies_ns)
        for span in came.ended:
            self._findings.span(span, is_open=False)
        for row in came.opened.tolist():
            if (opened := addresses.span(row)) is not None:
                self._findings.span(opened, is_open=True)
            self._tell_method(lane, row)
        for row in came.learnt.tolist():
            baseline = Baseline(latency_ns=int(addresses.baseline_ns[row]))
            self._findings.learnt(addresses.id_of(row), ICMP, baseline)

    def _take_message(self, lane: Lane, heard: Heard, index: int, batch: Batch) -> None:
        """Take one message that is no plain reply to a calm address; it may be anybody's."""
        message = lane.message(heard, index)
        cookie = cookie_of_reply(lane.family, message)
        if cookie is None:
            quote = heard.opened.quote(message)
            if quote is not None:
                self.take_quote(lane, quote, batch.now_ns)
            return
        flight = self._flights.known(cookie)
        if flight is None or lane.addresses.packed(flight.address.row) != lane.source(heard, index):
            return  # a duplicate, another program's, or from somebody else
        self._take_reply(flight, int(heard.stamps_ns[index]), batch)

    def _take_reply(self, flight: Flight, stamp_ns: int, batch: Batch) -> None:
        """Resolve the probe of a followed address that a reply answers; `stamp_ns`: negative for none."""
        self._flights.answered(flight)
        now_ns = came_ns = batch.now_ns
        if stamp_ns >= 0:
            came_ns = batch.instant_ns(stamp_ns, flight.sent_ns)
        latency_ns = max(came_ns - flight.sent_ns, 0)
        if latency_ns > self.rates.timeout_ns:
            self._miss(flight, now_ns)
            flight.address.series.hurry(now_ns, self.rates)
            self._schedule.put(flight.address, self.rates)
        elif not flight.is_over:
            is_known = batch.is_sure and stamp_ns >= 0
            self._answered(flight, Answer(latency_ns, doubt_ns=0 if is_known else latency_ns), now_ns)

    def _answered(self, flight: Flight, answer: Answer, now_ns: int) -> None:
        """Resolve a probe that was well answered."""
        flight.is_over = True
        followed = flight.address
        addresses, row = followed.lane.addresses, followed.row
        followed.series.good(flight.sent_ns, answer, now_ns, self.rates)
        if not followed.is_gone:
            addresses.silent_from_ns[row] = NEVER_NS
            self._tell_method(followed.lane, row)
            if followed.lane.windows is not None:
                followed.lane.windows.answered(np.array([row]), np.array([answer.latency_ns]))
        self._let_be(followed, now_ns)

    def _tell_method(self, lane: Lane, row: int) -> None:
        """Tell that an address answers echoes, if it was told to be silent."""
        if lane.addresses.is_silent[row]:
            lane.addresses.is_silent[row] = False
            self._findings.reached(lane.addresses.id_of(row), ICMP)

    def take_quote(self, lane: Lane, quote: Quote, now_ns: int) -> None:
        """Resolve the probe that met an ICMP error."""
        flight = self._flights.known(quote.cookie) if quote.cookie is not None else None
        if flight is None:
            flight = self._quoted(lane, quote)
        elif quote.destination not in (None, lane.addresses.packed(flight.address.row)):
            flight = None
        if flight is not None:
            self._fail(flight, "unreachable", now_ns)

    def _quoted(self, lane: Lane, quote: Quote) -> Flight | None:
        """Return the request that is quoted: one to a calm address, or one known by its number alone."""
        addresses = lane.addresses
        if quote.cookie is not None:
            row = addresses.calm_asked(quote.cookie)
            is_it = row is not None and quote.destination in (None, addresses.packed(row))
            return self._flight_of(lane, row) if row is not None and is_it else None
        if quote.destination is None:
            return None
        row = addresses.row_asked(quote.sequence, quote.destination)
        if row is None:
            return None
        if addresses.has_under_way(row):
            return self._flight_of(lane, row)
        followed = self._followed.get(addresses.id_of(row))
        return None if followed is None else self._flights.of(followed, quote.sequence)

    # --- what is not answered ---

    def expire(self, lanes: Iterable[Lane], now_ns: int) -> None:
        """Look at what is not answered by now; all that had come in by then must have been heard."""
        for lane in lanes:
            for row in lane.addresses.unanswered(now_ns).tolist():
                self._suspect(self._flight_of(lane, row))
        for flight in self._flights.take_overdue(now_ns, self.rates.timeout_ns):
            self._miss(flight, now_ns)
        for flight in self._flights.take_grown(now_ns, SUSPECT_LEAST_NS):
            self._suspect(flight)

    def has_overdue(self, now_ns: int) -> bool:
        """Tell whether a probe has not been answered in time."""
        deadline_ns = self._flights.next_deadline_ns(self.rates.timeout_ns)
        return deadline_ns is not None and deadline_ns <= now_ns

    def lost(self, since_ns: int, until_ns: int) -> None:
        """Note that replies may have been dropped between these instants: they found no room."""
        self._loss_ns = (since_ns, until_ns)

    def _suspect(self, flight: Flight) -> None:
        """Suspect what is not answered yet and no longer young; nearly everything is."""
        flight.address.series.expect_answer(flight.sent_ns, self.rates)
        self._schedule.put(flight.address, self.rates)

    def _miss(self, flight: Flight, now_ns: int) -> None:
        """Resolve a probe to which no reply came in time, unless it is resolved already."""
        timeout_ns = self.rates.timeout_ns
        cause = self._watch.excuse("no-reply", flight.sent_ns, timeout_ns)
        if self._loss_ns is not None:
            since_ns, until_ns = self._loss_ns
            if flight.sent_ns <= until_ns and flight.sent_ns + timeout_ns >= since_ns:
                cause = HELD_UP
        self._fail(flight, cause, now_ns)

    def _fail(self, flight: Flight, cause: str, now_ns: int) -> None:
        """Resolve a probe that failed, unless it is resolved already."""
        if flight.is_over:
            return
        flight.is_over = True
        followed = flight.address
        followed.series.bad(flight.sent_ns, cause, now_ns, self.rates)
        if followed.is_gone:
            return
        if followed.lane.windows is not None and verdict_of(cause) is Verdict.DOWN:
            followed.lane.windows.failed(followed.row)
        self._schedule.put(followed, self.rates)
