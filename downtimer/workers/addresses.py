"""The addresses of one family, as columns: where they are, and how those stand that are calm.

Nearly all addresses are up nearly always: a probe is due an interval after the last, is answered soon, and
makes a span one longer. For them this is done by arrays, for hundreds at a time. An address to which anything
else happens, be it a late reply or a second probe under way, is taken out (`take_out`) and followed by a
`Series` of its own, which knows what that means; when all is settled it is put back (`put_back`). So what any
of it means is written down once, there.

Owned by the icmp worker; does no I/O. A row is an address as long as it is probed, and then another's.
"""

import heapq
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from downtimer.model import ICMP, Baseline, Incarnation, Span, TargetId, Verdict
from downtimer.series import SUSPECT_BASELINES, SUSPECT_LEAST_NS, Calm
from downtimer.verdicts import BASELINE_ANSWERS, slow_after_ns
from downtimer.workers.mmsg import NAME_SIZE
from downtimer.workers.packets import COOKIE, Family

Rows = npt.NDArray[np.intp]
Instants = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NEVER: Final = 2**62
_NONE: Final = -1
_FIRST_ROOM: Final = 64
_LATENCY_MAX: Final = 2**32 - 1


class Came(NamedTuple):
    """What answers have brought about.

    Attributes:
        first: Rows whose first answer it was: a span opens.
        learnt: Rows that have learnt their normal by it.
    """

    first: Rows
    learnt: Rows


class Addresses:
    """All addresses of a family.

    Attributes:
        ids: By row; None where there is none.
        row_of: By id.
        names: By row, the struct sockaddr.
        count: Rows in use, or once used.
        room: Rows that there are.
        widest_ns: The largest distance between two neighbouring probes that counts as observed.
    """

    _COLUMNS: Final[dict[str, tuple[type[Any], int]]] = {
        "due_ns": (np.int64, NEVER),
        "sent_ns": (np.int64, _NONE),
        "sent_gap_ns": (np.int64, 0),
        "gap_ns": (np.int64, NEVER),
        "first_ns": (np.int64, _NONE),
        "last_ns": (np.int64, NEVER),
        "widest_in_span_ns": (np.int64, 0),
        "probes": (np.int64, 0),
        "baseline_ns": (np.int64, _NONE),
        "slow_ns": (np.int64, 0),
        "patience_ns": (np.int64, 0),
        "silent_from_ns": (np.int64, NEVER),
        "nonce": (np.uint64, 0),
        "sequence": (np.uint16, 0),
        "answers": (np.uint8, 0),
        "is_calm": (np.bool_, 0),
        "is_reference": (np.bool_, 0),
        "is_silent": (np.bool_, 0),
        "order": (np.int32, 0),
    }
    """Each with its type and what it holds for a new row."""

    due_ns: Instants
    """When a calm one is due; NEVER for all others."""
    sent_ns: Instants
    """When the probe of a calm one was sent that is under way; -1: none is."""
    sent_gap_ns: Instants
    """The largest distance that counts as observed, in force at that probe."""
    gap_ns: Instants
    """Likewise at the last that was answered."""
    first_ns: Instants
    """The first probe of the span that is growing; -1 before the first answer."""
    last_ns: Instants
    """The last; NEVER before the first answer."""
    widest_in_span_ns: Instants
    probes: Instants
    baseline_ns: Instants
    slow_ns: Instants
    """The latency beyond which an answer is none of a calm one."""
    patience_ns: Instants
    """How long it may take before it is suspected not to come."""
    silent_from_ns: Instants
    """If a new one has not answered by then it is told to be silent; NEVER if it has, or that was told."""
    nonce: npt.NDArray[np.uint64]
    """Of the cookie of the probe that is under way."""
    sequence: npt.NDArray[np.uint16]
    answers: npt.NDArray[np.uint8]
    """So many latencies are known of those from which the normal is learnt."""
    is_calm: Flags
    is_reference: Flags
    is_silent: Flags
    """It has been told to be silent: TCP is tried, too, and the first that answers is its method."""
    order: npt.NDArray[np.int32]

    def __init__(self, family: Family, incarnation: Incarnation, *, timeout_ns: int, salt: int) -> None:
        self.family = family
        self.ids: list[TargetId | None] = []
        self.count = 0
        self.widest_ns = 0
        self.row_of: dict[TargetId, int] = {}
        self._incarnation = incarnation
        self._timeout_ns = timeout_ns
        self._salt = np.uint32(salt)
        self._free: list[int] = []
        self.room = 0
        self.names: npt.NDArray[np.uint8] = np.zeros((0, NAME_SIZE), np.uint8)
        self._latencies: npt.NDArray[np.uint32] = np.zeros((0, BASELINE_ANSWERS), np.uint32)
        # (when to look, a number, the rows, when they were sent)
        self._unanswered: list[tuple[int, int, Rows, Instants]] = []
        self._numbers = 0
        for name, (kind, _) in self._COLUMNS.items():
            setattr(self, name, np.zeros(0, kind))
        self._grow(_FIRST_ROOM)

    # --- rows ---

    def add(self, target: TargetId, packed: bytes) -> int:
        """Return the row of a new address, which is not calm yet."""
        if self._free:
            row = self._free.pop()
            self.ids[row] = target
        else:
            row, self.count = self.count, self.count + 1
            self.ids.append(target)
            if self.count > self.room:
                self._grow(2 * self.room)
        for name, (_, default) in self._COLUMNS.items():
            getattr(self, name)[row] = default
        self.row_of[target] = row
        self.names[row] = np.frombuffer(self.family.name(packed).ljust(NAME_SIZE, b"\0"), np.uint8)
        return row

    def remove(self, row: int) -> Span | None:
        """Give a row free; return the span that was growing there, if it was calm."""
        span = self.span(row) if self.is_calm[row] else None
        self._leave(row)
        del self.row_of[self.id_of(row)]
        self.ids[row] = None
        self._free.append(row)
        return span

    def id_of(self, row: int) -> TargetId:
        """Return the id of a row in use."""
        target = self.ids[row]
        assert target is not None  # noqa: S101 - for the type checker
        return target

    def packed(self, row: int) -> bytes:
        """Return an address as it is on the wire."""
        at = self.family.packed_at
        return self.names[row, at : at + self.family.packed_length].tobytes()

    def rows_of(self, packed: bytes) -> Rows:
        """Return the rows that have this address."""
        at = self.family.packed_at
        wanted = np.frombuffer(packed, np.uint8)
        found = self.names[: self.count, at : at + self.family.packed_length]
        return np.flatnonzero((found == wanted).all(axis=1))

    def _grow(self, room: int) -> None:
        for name, (kind, default) in self._COLUMNS.items():
            grown = np.full(room, default, kind)
            grown[: self.room] = getattr(self, name)
            setattr(self, name, grown)
        self.names = np.pad(self.names, ((0, room - self.room), (0, 0)))
        self._latencies = np.pad(self._latencies, ((0, room - self.room), (0, 0)))
        self.room = room

    # --- in and out ---

    def put_back(self, row: int, calm: Calm) -> None:
        """An address is calm from now on, and stands so."""
        self.is_calm[row] = True
        self.due_ns[row] = calm.due_ns
        self.baseline_ns[row] = _NONE if calm.baseline.latency_ns is None else calm.baseline.latency_ns
        self.answers[row] = len(calm.latencies)
        self._latencies[row, : len(calm.latencies)] = calm.latencies
        self._set_limits(np.array([row]))
        span = calm.span
        if span is not None:
            self.first_ns[row], self.last_ns[row] = span.first_sent_ns, span.last_sent_ns
            self.probes[row], self.widest_in_span_ns[row] = span.probes, span.widest_ns
            self.gap_ns[row] = span.max_gap_ns

    def take_out(self, row: int) -> Calm:
        """An address is calm no more; return how it stands."""
        sent_ns, latency_ns = int(self.sent_ns[row]), int(self.baseline_ns[row])
        calm = Calm(
            baseline=Baseline(latency_ns=None if latency_ns == _NONE else latency_ns),
            latencies=tuple(self._latencies[row, : self.answers[row]].tolist()),
            due_ns=int(self.due_ns[row]),
            span=self.span(row),
            sent_ns=None if sent_ns == _NONE else sent_ns,
            gap_ns=int(self.sent_gap_ns[row]),
        )
        self._leave(row)
        return calm

    def _leave(self, row: int) -> None:
        self.is_calm[row] = False
        self.due_ns[row], self.sent_ns[row] = NEVER, _NONE

    def _set_limits(self, rows: Rows) -> None:
        for row in rows.tolist():
            baseline_ns = int(self.baseline_ns[row])
            if baseline_ns == _NONE:
                self.slow_ns[row] = self.patience_ns[row] = self._timeout_ns
            else:
                self.slow_ns[row] = min(slow_after_ns(ICMP, baseline_ns), self._timeout_ns)
                patience_ns = max(SUSPECT_BASELINES * baseline_ns, SUSPECT_LEAST_NS)
                self.patience_ns[row] = min(patience_ns, self._timeout_ns)

    # --- how they stand ---

    def span(self, row: int) -> Span | None:
        """Return the span of a calm one that is growing, as it stands; None before its first answer."""
        if self.first_ns[row] == _NONE:
            return None
        return Span(
            target=self.id_of(row),
            check=ICMP,
            verdict=Verdict.UP,
            first_sent_ns=int(self.first_ns[row]),
            last_sent_ns=int(self.last_ns[row]),
            probes=int(self.probes[row]),
            widest_ns=int(self.widest_in_span_ns[row]),
            max_gap_ns=int(self.gap_ns[row]),
            incarnation=self._incarnation,
        )

    def spans(self) -> Iterator[Span]:
        """Yield the spans of all that are calm, each as it stands when its turn comes."""
        for row in range(self.count):
            if self.is_calm[row] and (span := self.span(row)) is not None:
                yield span

    def calm(self) -> tuple[int, int]:
        """Return how many of the calm ones have answered, and how many not yet, references aside."""
        is_mine = self.is_calm[: self.count] & ~self.is_reference[: self.count]
        answered = np.count_nonzero(is_mine & (self.first_ns[: self.count] != _NONE))
        return int(answered), int(np.count_nonzero(is_mine) - answered)

    def has_under_way(self, row: int) -> bool:
        """Tell whether a probe is under way to a calm one."""
        return bool(self.sent_ns[row] != _NONE)

    def take_silent(self, now_ns: int) -> Rows:
        """Return those that have had their time to answer, once each: they are silent."""
        rows = np.flatnonzero(self.silent_from_ns[: self.count] <= now_ns)
        self.silent_from_ns[rows] = NEVER
        self.is_silent[rows] = True
        return rows

    def oldest_ns(self) -> int | None:
        """Return when the oldest probe under way of a calm one was sent; None if there is none."""
        sent_ns = self.sent_ns[: self.count]
        under_way = sent_ns[sent_ns != _NONE]
        return int(under_way.min()) if len(under_way) else None

    def next_due_ns(self) -> int:
        """Return when the next calm one is due."""
        return int(self.due_ns[: self.count].min(initial=NEVER))

    # --- probes ---

    def due(self, now_ns: int, most: int) -> Rows:
        """Return the calm ones that are due: as many as `most`, those that have waited longest."""
        rows = np.flatnonzero(self.due_ns[: self.count] <= now_ns)
        if len(rows) > most:
            rows = rows[np.argpartition(self.due_ns[rows], most)[:most]]
        return rows

    def strays(self, rows: Rows, now_ns: int) -> Flags:
        """Tell which may not be probed as calm ones: a probe is under way, or the last was too long ago."""
        found: Flags = (self.sent_ns[rows] != _NONE) | (now_ns - self.last_ns[rows] > self.gap_ns[rows])
        return found

    def issue(self, rows: Rows, sent_ns: Instants, *, interval_ns: int, gap_ns: int) -> None:
        """Note that probes were sent, each at its instant; no row comes twice."""
        self.widest_ns = max(self.widest_ns, int((sent_ns - self.last_ns[rows]).max(initial=0)))
        # Keep the phase, unless slots were missed: those are not made up for.
        self.due_ns[rows] = np.maximum(self.due_ns[rows] + interval_ns, sent_ns + interval_ns // 2)
        self.sent_ns[rows] = sent_ns
        self.sent_gap_ns[rows] = gap_ns
        self._look_later(rows, sent_ns, int(sent_ns.min(initial=NEVER)) + SUSPECT_LEAST_NS)

    def is_under_way(self, cookies: npt.NDArray[Any], sources: npt.NDArray[np.uint8]) -> Flags:
        """Tell which are cookies of probes of calm ones that are under way, from the right sources."""
        rows = np.minimum(cookies["row"], self.count - 1)
        at, length = self.family.packed_at, self.family.packed_length
        found: Flags = (cookies["row"] < self.count) & (cookies["salt"] == self._salt)
        found &= (cookies["nonce"] == self.nonce[rows]) & (self.sent_ns[rows] != _NONE)
        word = np.uint32 if length == np.uint32().nbytes else np.uint64
        ours = np.ascontiguousarray(self.names[rows, at : at + length]).view(word)
        theirs = np.ascontiguousarray(sources[:, at : at + length]).view(word)
        found &= (ours == theirs).all(axis=1)
        return found

    def first_of_each(self, rows: Rows) -> Flags:
        """Tell which are the first mention of their row: a reply may come twice."""
        numbers = np.arange(len(rows), dtype=np.int32)
        self.order[rows[::-1]] = numbers[::-1]
        found: Flags = self.order[rows] == numbers
        return found

    def answered(self, rows: Rows, latencies_ns: Instants, *, is_sure: bool) -> Came:
        """Note good answers to probes under way; `is_sure`: the latencies are known. No row comes twice."""
        sent_ns = self.sent_ns[rows]
        is_first = self.first_ns[rows] == _NONE
        first = rows[is_first]
        if len(first):
            self.first_ns[first] = self.last_ns[first] = sent_ns[is_first]
            self.silent_from_ns[first] = NEVER
        self.widest_in_span_ns[rows] = np.maximum(self.widest_in_span_ns[rows], sent_ns - self.last_ns[rows])
        self.last_ns[rows] = sent_ns
        self.probes[rows] += 1
        self.gap_ns[rows] = self.sent_gap_ns[rows]
        self.sent_ns[rows] = _NONE
        return Came(first, self._learn(rows, latencies_ns) if is_sure else rows[:0])

    def _learn(self, rows: Rows, latencies_ns: Instants) -> Rows:
        """Learn from the first latencies; return those that have learnt all of it now."""
        is_learning = self.baseline_ns[rows] == _NONE
        if not is_learning.any():
            return rows[:0]
        rows = rows[is_learning]
        answers = self.answers[rows]
        self._latencies[rows, answers] = np.minimum(latencies_ns[is_learning], _LATENCY_MAX)
        self.answers[rows] = answers + 1
        learnt: Rows = rows[answers + 1 == BASELINE_ANSWERS]
        if len(learnt):
            self.baseline_ns[learnt] = np.median(self._latencies[learnt], axis=1).astype(np.int64)
            self.answers[learnt] = 0
            self._set_limits(learnt)
        return learnt

    # --- what is not answered ---

    def next_look_ns(self) -> int:
        """Return when to look for what is not answered."""
        return self._unanswered[0][0] if self._unanswered else NEVER

    def unanswered(self, now_ns: int) -> Rows:
        """Return the calm ones whose probe has been under way for longer than they have patience."""
        found: list[Rows] = []
        while self._unanswered and self._unanswered[0][0] <= now_ns:
            _, _, rows, sent_ns = heapq.heappop(self._unanswered)
            is_open = self.sent_ns[rows] == sent_ns
            if not is_open.any():
                continue
            rows, sent_ns = rows[is_open], sent_ns[is_open]
            until_ns = sent_ns + self.patience_ns[rows]
            is_over = until_ns <= now_ns
            found.append(rows[is_over])
            if not is_over.all():
                self._look_later(rows[~is_over], sent_ns[~is_over], int(until_ns[~is_over].min()))
        return np.concatenate(found) if found else np.zeros(0, np.intp)

    def _look_later(self, rows: Rows, sent_ns: Instants, when_ns: int) -> None:
        if len(rows):
            self._numbers += 1
            heapq.heappush(self._unanswered, (when_ns, self._numbers, rows, sent_ns))

    # --- cookies ---

    def cookies(self, rows: Rows, nonces: npt.NDArray[np.uint64]) -> npt.NDArray[Any]:
        """Return the cookies of probes to these rows, with these nonces."""
        made = np.empty(len(rows), COOKIE)
        made["row"], made["salt"], made["nonce"] = rows, self._salt, nonces
        return made

    def cookie(self, row: int) -> bytes:
        """Return the cookie of the probe of a calm one that is under way."""
        return self.cookies(np.array([row]), self.nonce[[row]]).tobytes()
