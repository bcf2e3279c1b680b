"""The addresses of one family, as columns: where they are, and how those stand that are calm.

Nearly all addresses are up nearly always: a probe is due an interval after the last, is answered soon, and
makes a span one longer. For them this is done by arrays, for hundreds at a time. An address to which anything
else happens, be it a late reply or a second probe under way, is taken out (`take_out`) and followed by a
`Series` of its own, which knows what that means; when all is settled it is put back (`put_back`). So what any
of it means is written down once, there.

Owned by the icmp worker; does no I/O. A row is an address as long as it is probed, and then another's. This
is long because all columns of a row change together.
"""

import heapq
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from downtimer.model import ICMP, NEVER_NS, Baseline, Incarnation, Span, TargetId, Verdict
from downtimer.series import SUSPECT_BASELINES, SUSPECT_LEAST_NS, Calm
from downtimer.verdicts import BASELINE_ANSWERS, slow_after_ns
from downtimer.workers.mmsg import NAME_SIZE
from downtimer.workers.packets import Family, cookie_of, parts_of_cookie

Rows = npt.NDArray[np.intp]
Instants = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Nonces = npt.NDArray[np.uint64]

_NONE: Final = -1
_FIRST_ROOM: Final = 64
_NUMBERS: Final = np.arange(2**16, dtype=np.int32)
_LATENCY_MAX: Final = 2**32 - 1


class Came(NamedTuple):
    """What answers have brought about.

    Attributes:
        ended: Spans that have ended, for the last probe was too long ago.
        opened: Rows whose span has just opened.
        learnt: Rows that have learnt their normal by it.
    """

    ended: Sequence[Span]
    opened: Rows
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
        "due_ns": (np.int64, NEVER_NS),
        "sent_ns": (np.int64, 0),
        "sent_gap_ns": (np.int64, 0),
        "gap_ns": (np.int64, NEVER_NS),
        "first_ns": (np.int64, _NONE),
        "last_ns": (np.int64, NEVER_NS),
        "widest_in_span_ns": (np.int64, 0),
        "probes": (np.int64, 0),
        "baseline_ns": (np.int64, _NONE),
        "slow_ns": (np.int64, 0),
        "patience_ns": (np.int64, 0),
        "silent_from_ns": (np.int64, NEVER_NS),
        "nonce": (np.uint64, 0),
        "sequence": (np.uint16, 0),
        "answers": (np.uint8, 0),
        "is_calm": (np.bool_, 0),
        "is_reference": (np.bool_, 0),
        "is_silent": (np.bool_, 0),
        "order": (np.int32, 0),
    }
    """Each with its type and what a row holds of it that is nobody's; of a nonce, that of no probe."""

    due_ns: Instants
    """When a calm one is due; NEVER_NS for all others."""
    sent_ns: Instants
    """When the probe of a calm one was sent that is under way."""
    sent_gap_ns: Instants
    """The largest distance that counts as observed, in force at that probe."""
    gap_ns: Instants
    """Likewise at the last that was answered."""
    first_ns: Instants
    """The first probe of the span that is growing; -1 before the first answer."""
    last_ns: Instants
    """The last; NEVER_NS before the first answer."""
    widest_in_span_ns: Instants
    probes: Instants
    baseline_ns: Instants
    slow_ns: Instants
    """The latency beyond which an answer is none of a calm one."""
    patience_ns: Instants
    """How long it may take before it is suspected not to come."""
    silent_from_ns: Instants
    """If a new one has not answered by then it is told to be silent; NEVER_NS if it has, or that was told."""
    nonce: Nonces
    """Of the cookie of the probe that is under way, or of none."""
    sequence: npt.NDArray[np.uint16]
    answers: npt.NDArray[np.uint8]
    """So many latencies are known of those from which the normal is learnt."""
    is_calm: Flags
    is_reference: Flags
    is_silent: Flags
    """It has been told to be silent: TCP is tried, too, and the first that answers is its method."""
    order: npt.NDArray[np.int32]

    def __init__(self, family: Family, incarnation: Incarnation, *, timeout_ns: int) -> None:
        self.family = family
        self.ids: list[TargetId | None] = []
        self.count = 0
        self.widest_ns = 0
        self.row_of: dict[TargetId, int] = {}
        self._incarnation = incarnation
        self._timeout_ns = timeout_ns
        # Of no probe: the nonce of whom nothing is under way to. A secret, so that nobody can bring it back.
        self._no_nonce = np.frombuffer(os.urandom(np.uint64().nbytes), np.uint64)[0]
        self._unseen = self._learning = 0  # calm ones that have not answered yet, or do not know their normal
        self._free: list[int] = []
        self.room = 0
        self.names: npt.NDArray[np.uint8] = np.zeros((0, NAME_SIZE), np.uint8)
        word, words = (np.uint32, 1) if family.packed_length == np.uint32().nbytes else (np.uint64, 2)
        self._word = np.dtype(word)
        self._at = family.packed_at // self._word.itemsize
        self._words = words
        self._latencies: npt.NDArray[np.uint32] = np.zeros((0, BASELINE_ANSWERS), np.uint32)
        self._unanswered: list[tuple[int, int, Rows, Nonces]] = []  # when to look, a number, what was sent
        self._numbers = 0
        self._row_asked = np.full(2**16, _NONE, np.int32)  # by sequence number
        self._defaults = {name: default for name, (_, default) in self._COLUMNS.items()}
        self._defaults["nonce"] = self._no_nonce
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
        self.row_of[target] = row
        self.names[row] = np.frombuffer(self.family.name(packed).ljust(NAME_SIZE, b"\0"), np.uint8)
        return row

    def remove(self, row: int) -> Span | None:
        """Give a row free; return the span that was growing there, if it was calm."""
        span = self.take_out(row).span if self.is_calm[row] else None
        for name, default in self._defaults.items():
            getattr(self, name)[row] = default
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
        return self.family.packed(self.names[row]).tobytes()

    def _grow(self, room: int) -> None:
        for name, (kind, _) in self._COLUMNS.items():
            grown = np.full(room, self._defaults[name], kind)
            grown[: self.room] = getattr(self, name)
            setattr(self, name, grown)
        self.names = np.pad(self.names, ((0, room - self.room), (0, 0)))
        self._latencies = np.pad(self._latencies, ((0, room - self.room), (0, 0)))
        self.room = room

    # --- in and out ---

    def put_back(self, row: int, calm: Calm) -> None:
        """An address is calm from now on, and stands so."""
        self.is_calm[row] = True
        self._unseen += calm.span is None
        self._learning += calm.baseline.latency_ns is None
        self.due_ns[row] = calm.due_ns
        self.baseline_ns[row] = _NONE if calm.baseline.latency_ns is None else calm.baseline.latency_ns
        self.answers[row] = len(calm.latencies)
        self._latencies[row, : len(calm.latencies)] = calm.latencies
        self._set_limits(row)
        span = calm.span
        if span is not None:
            self.first_ns[row], self.last_ns[row] = span.first_sent_ns, span.last_sent_ns
            self.probes[row], self.widest_in_span_ns[row] = span.probes, span.widest_ns
            self.gap_ns[row] = span.max_gap_ns

    def take_out(self, row: int) -> Calm:
        """An address is calm no more; return how it stands."""
        latency_ns = int(self.baseline_ns[row])
        calm = Calm(
            baseline=Baseline(latency_ns=None if latency_ns == _NONE else latency_ns),
            latencies=tuple(self._latencies[row, : self.answers[row]].tolist()),
            due_ns=int(self.due_ns[row]),
            span=self.span(row),
            sent_ns=int(self.sent_ns[row]) if self.has_under_way(row) else None,
            gap_ns=int(self.sent_gap_ns[row]),
        )
        self.is_calm[row] = False
        self._unseen -= calm.span is None
        self._learning -= latency_ns == _NONE
        self.due_ns[row], self.nonce[row] = NEVER_NS, self._no_nonce
        return calm

    def _set_limits(self, row: int) -> None:
        baseline_ns = int(self.baseline_ns[row])
        slow_ns = patience_ns = self._timeout_ns
        if baseline_ns != _NONE:
            slow_ns = min(slow_after_ns(ICMP, baseline_ns), self._timeout_ns)
            patience_ns = min(max(SUSPECT_BASELINES * baseline_ns, SUSPECT_LEAST_NS), self._timeout_ns)
        self.slow_ns[row], self.patience_ns[row] = slow_ns, patience_ns

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
        return bool(self.nonce[row] != self._no_nonce)

    def take_silent(self, now_ns: int) -> Rows:
        """Return those that have had their time to answer, once each: they are silent."""
        rows = np.flatnonzero(self.silent_from_ns[: self.count] <= now_ns)
        self.silent_from_ns[rows] = NEVER_NS
        self.is_silent[rows] = True
        return rows

    def oldest_ns(self) -> int | None:
        """Return when the oldest probe under way of a calm one was sent; None if there is none."""
        under_way = self.sent_ns[: self.count][self.nonce[: self.count] != self._no_nonce]
        return int(under_way.min()) if len(under_way) else None

    def next_due_ns(self) -> int:
        """Return when the next calm one is due."""
        return int(np.minimum.reduce(self.due_ns[: self.count], initial=NEVER_NS))

    # --- probes ---

    def due(self, now_ns: int) -> Rows:
        """Return the calm ones that are due."""
        return np.flatnonzero(self.due_ns[: self.count] <= now_ns)

    def longest_due(self, rows: Rows, most: int) -> Rows:
        """Return at most so many of these: those that are due for the longest."""
        return rows if len(rows) <= most else rows[np.argpartition(self.due_ns[rows], most)[:most]]

    def are_under_way(self, rows: Rows) -> Flags:
        """Tell to which a probe is under way: so they may not be probed again as calm ones."""
        found: Flags = self.nonce[rows] != self._no_nonce
        return found

    def are_overdue(self, rows: Rows, now_ns: int) -> Flags:
        """Tell to which the last probe was longer ago than counts as observed."""
        found: Flags = now_ns - self.last_ns[rows] > self.gap_ns[rows]
        return found

    def issue(self, rows: Rows, sent_ns: Instants, nonces: Nonces, *, interval_ns: int, gap_ns: int) -> None:
        """Note that probes were sent, each at its instant and with its nonce; no row comes twice."""
        if not len(rows):
            return
        # Keep the phase, unless slots were missed: those are not made up for.
        due_ns = self.due_ns[rows] + interval_ns
        self.due_ns[rows] = np.maximum(due_ns, sent_ns + interval_ns // 2, out=due_ns)
        self.sent_ns[rows] = sent_ns
        self.nonce[rows] = nonces
        self.sent_gap_ns[rows] = gap_ns
        self._look_later(rows, nonces, int(sent_ns[0]) + SUSPECT_LEAST_NS)

    def under_way(
        self, claimed: npt.NDArray[np.uint64], nonces: Nonces, sources: npt.NDArray[np.uint8]
    ) -> tuple[Flags, Rows]:
        """Tell which cookies are those of probes of calm ones that are under way, from the right sources.

        Args:
            claimed: The rows in the cookies; they may be anything.
            nonces: In the cookies.
            sources: Where they come from.

        Returns:
            Which are, and the row of each; no matter for others.
        """
        rows = np.minimum(claimed, max(self.count - 1, 0)).astype(np.intp)
        found: Flags = self.nonce[rows] == nonces
        ours = self._packed_words(self.names[rows])
        is_source = ours == self._packed_words(sources)
        found &= is_source[:, 0] if self._words == 1 else is_source.all(axis=1)
        return found, rows

    def _packed_words(self, names: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Return the addresses in a row of names, as words."""
        return names.view(self._word)[:, self._at : self._at + self._words]

    def first_of_each(self, rows: Rows) -> Flags:
        """Tell which are the first mention of their row: a reply may come twice."""
        numbers = _NUMBERS[: len(rows)]
        self.order[rows[::-1]] = numbers[::-1]
        found: Flags = self.order[rows] == numbers
        return found

    def answered(self, rows: Rows, latencies_ns: Instants, *, is_sure: bool) -> Came:
        """Note good answers to probes under way; `is_sure`: the latencies are known. No row comes twice."""
        if not len(rows):
            return Came([], rows, rows)
        sent_ns, opened, learnt, ended = self.sent_ns[rows], rows[:0], rows[:0], []
        if self._unseen:
            is_first = self.first_ns[rows] == _NONE
            opened = rows[is_first]
            self.first_ns[opened] = self.last_ns[opened] = sent_ns[is_first]
            self.silent_from_ns[opened] = NEVER_NS
            self._unseen -= len(opened)
        distances_ns = sent_ns - self.last_ns[rows]
        is_gap = distances_ns > self.gap_ns[rows]
        if np.count_nonzero(is_gap):
            again = rows[is_gap]
            ended = [span for row in again.tolist() if (span := self.span(row)) is not None]
            self.first_ns[again], self.probes[again], self.widest_in_span_ns[again] = sent_ns[is_gap], 0, 0
            distances_ns[is_gap] = 0
            opened = np.concatenate([opened, again])
        self.widest_ns = max(self.widest_ns, int(np.maximum.reduce(distances_ns)))
        self.widest_in_span_ns[rows] = np.maximum(self.widest_in_span_ns[rows], distances_ns)
        self.last_ns[rows] = sent_ns
        self.probes[rows] += 1
        self.gap_ns[rows] = self.sent_gap_ns[rows]
        self.nonce[rows] = self._no_nonce
        if self._learning and is_sure:
            learnt = self._learn(rows, latencies_ns)
        return Came(ended, opened, learnt)

    def _learn(self, rows: Rows, latencies_ns: Instants) -> Rows:
        """Learn from the first latencies; return those that have learnt all of it now."""
        is_learning = self.baseline_ns[rows] == _NONE
        rows = rows[is_learning]
        answers = self.answers[rows]
        self._latencies[rows, answers] = np.minimum(latencies_ns[is_learning], _LATENCY_MAX)
        self.answers[rows] = answers + 1
        learnt: Rows = rows[answers + 1 == BASELINE_ANSWERS]
        if len(learnt):
            self.baseline_ns[learnt] = np.median(self._latencies[learnt], axis=1).astype(np.int64)
            self.answers[learnt] = 0
            self._learning -= len(learnt)
            for row in learnt.tolist():
                self._set_limits(row)
        return learnt

    # --- what is not answered ---

    def next_look_ns(self) -> int:
        """Return when to look for what is not answered."""
        return self._unanswered[0][0] if self._unanswered else NEVER_NS

    def unanswered(self, now_ns: int) -> Rows:
        """Return the calm ones whose probe has been under way for longer than they have patience."""
        found: list[Rows] = []
        while self._unanswered and self._unanswered[0][0] <= now_ns:
            _, _, rows, nonces = heapq.heappop(self._unanswered)
            is_open = self.nonce[rows] == nonces
            if not np.count_nonzero(is_open):
                continue
            rows, nonces = rows[is_open], nonces[is_open]
            until_ns = self.sent_ns[rows] + self.patience_ns[rows]
            is_over = until_ns <= now_ns
            found.append(rows[is_over])
            if not is_over.all():
                self._look_later(rows[~is_over], nonces[~is_over], int(until_ns[~is_over].min()))
        return np.concatenate(found) if found else np.zeros(0, np.intp)

    def _look_later(self, rows: Rows, nonces: Nonces, when_ns: int) -> None:
        self._numbers += 1
        heapq.heappush(self._unanswered, (when_ns, self._numbers, rows, nonces))

    # --- who is meant ---

    def number(self, rows: Rows | int, sequences: npt.NDArray[np.uint16] | int) -> None:
        """Note which sequence numbers the requests bear that were just sent."""
        self.sequence[rows] = sequences
        self._row_asked[sequences] = rows

    def cookie(self, row: int) -> bytes:
        """Return the cookie of the probe of a calm one that is under way."""
        return cookie_of(row, int(self.nonce[row]))

    def calm_asked(self, cookie: bytes) -> int | None:
        """Return the row of the calm one to which a probe with this cookie is under way."""
        row, nonce = parts_of_cookie(cookie)
        return row if row < self.count and int(self.nonce[row]) == nonce else None

    def row_asked(self, sequence: int, packed: bytes) -> int | None:
        """Return the row to which the last request with this number was sent, if it has this address.

        There are 65,536 numbers: of more requests under way than that the older ones are not found.
        """
        row = int(self._row_asked[sequence])
        is_it = row != _NONE and self.ids[row] is not None and self.packed(row) == packed
        return row if is_it else None
