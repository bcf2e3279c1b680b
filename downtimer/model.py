"""The vocabulary: targets, verdicts, spans, and what is concluded from them.

Pure: no I/O, no clock, no ZeroMQ. Runs in any process.

Instants are ints named ``*_ns``: nanoseconds since the start of the run on its one clock
(`downtimer.clock`). They are comparable within a run only; the run keeps the tie to UTC.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NewType

import msgspec
from msgspec import structs

TargetId = NewType("TargetId", str)
"""Names a target within a run: its kind and what makes it that target, readable."""

RunId = NewType("RunId", str)
"""Names a run: its start in UTC and four random digits; sorts by time."""

Incarnation = NewType("Incarnation", str)
"""Names one life of one child process: ``class.random``. A restart is a new incarnation."""

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000

NEVER_NS = 2**62
"""An instant that no run comes to."""


class Verdict(enum.StrEnum):
    """What one probe says of its target."""

    UP = "up"  # a good answer within the timeout
    SLOW = "slow"  # a good answer, later than this check's own normal
    DOWN = "down"  # no good answer
    UNKNOWN = "unknown"  # the fault is ours: the probe says nothing of the target


class Kind(enum.StrEnum):
    """The kinds of target."""

    SERVICE = "service"
    ADDRESS = "address"
    AGENT = "agent"  # not probed: its state is what the cloud itself reports


ANSWERS = "answers"
"""The check of a service's root, without a token."""

WORKS = "works"
"""The check of a service by a cheap call with our token, which touches the service's own database."""

LOGIN = "login"
"""The check of Keystone by signing in with the password."""

REPORTED = "reported"
"""The check of an agent: what the API that it belongs to reports of it."""

ICMP = "icmp"
"""The check of an address by echo requests."""

TCP = "tcp"
"""The check of an address by TCP connections, where echoes are not answered."""


class Auth(enum.StrEnum):
    """What a call shows of us."""

    TOKEN = "token"  # noqa: S105 - GET with our token
    RESCOPE = "rescope"  # our token is to be exchanged for another one
    PASSWORD = "password"  # noqa: S105 - user and password


@dataclass(frozen=True, slots=True)
class Call:
    """What a check asks of a service beyond *answers*. Equal calls are probed once, for all their targets.

    Attributes:
        check: ``works`` or ``login``.
        url: Where.
        auth: With what.
        service: The root of the service, of all of whose calls one at a time is made.
    """

    check: str
    url: str
    auth: Auth
    service: str = ""

    @property
    def method(self) -> str:
        """HTTP's."""
        return "GET" if self.auth is Auth.TOKEN else "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing whose availability is measured.

    Attributes:
        id: Within the run.
        kind: Service, address or agent.
        name: The catalog's name of a service; an address in its canonical text; the program of an agent.
        region: Of a catalog's endpoint, or of the service an agent belongs to; None for all others.
        interface: Of a catalog's endpoint (``public``, …); None otherwise.
        service_type: The catalog's type; None for addresses and static targets.
        endpoint: The URL as the catalog gives it; None for addresses.
        url: The root that *answers* probes; None for addresses and agents.
        calls: What other checks ask of a service.
        lacks: Checks that a service of the catalog should have and has not, each with the reason.
        host: Where an agent runs; None for all others.
        project_id: Owner of a floating IP, if known.
        project: Its name, if known.
        server_id: The server behind a floating IP, if known.
        server: Its name, if known.
        reference: True for an address that only tells whether our own link works.
    """

    id: TargetId
    kind: Kind
    name: str
    region: str | None = None
    interface: str | None = None
    service_type: str | None = None
    endpoint: str | None = None
    url: str | None = None
    calls: tuple[Call, ...] = ()
    lacks: tuple[tuple[str, str], ...] = ()
    host: str | None = None
    project_id: str | None = None
    project: str | None = None
    server_id: str | None = None
    server: str | None = None
    reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A check's own normal, learnt once per run.

    Attributes:
        status_class: Hundreds of the first HTTP answer below 500; None until then, and for addresses.
        latency_ns: Median of the first 20 good answers; None until there are so many.
    """

    status_class: int | None = None
    latency_ns: int | None = None


class Power(enum.StrEnum):
    """What the owner of a server has done to it, as Nova reports it."""

    RUNNING = "running"
    STOPPED = "stopped"  # shut off, paused, suspended, shelved, or on the way there
    DELETED = "deleted"  # or being deleted


class PowerChange(NamedTuple):
    """A change of a server's power, known as a bracket.

    Attributes:
        after_ns: When Nova was last seen to report something else; the instant itself for the first.
        by_ns: When it was first seen to report this.
        power: Since then.
    """

    after_ns: int
    by_ns: int
    power: Power


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """A target and what the run has learnt of it. Owned by the supervisor, kept by the journal.

    Attributes:
        target: The target itself.
        discovered_ns: When it was first listed.
        listed_ns: When a complete list last had it.
        missing_ns: When a complete list first lacked it; None while it is listed.
        retired_ns: From when on it is no longer probed; None while it is.
        is_doubtful: The list that first lacked it lacked more than half of the addresses; then it is
            not retired as long as it answers.
        baselines: By check.
        silent_ns: When an address had not answered any echo in its first 10 s, so that TCP is
            tried, too; None if it answered, or that was not so yet.
        method: What worked first for an address that was silent: ``icmp``, or ``tcp-22`` (the check
            is ``tcp``, the number its port). None until then, and for all others.
        powers: Changes of the server behind an address, oldest first; empty as long as it runs.
        unfit: Checks that turned out not to be possible when first seen, each with the reason.
    """

    target: Target
    discovered_ns: int
    listed_ns: int
    missing_ns: int | None = None
    retired_ns: int | None = None
    is_doubtful: bool = False
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    silent_ns: int | None = None
    method: str | None = None
    powers: tuple[PowerChange, ...] = ()
    unfit: Mapping[str, str] = field(default_factory=dict)

    @property
    def lacks(self) -> Mapping[str, str]:
        """Checks that a service of the catalog has not, each with the reason."""
        return {**dict(self.target.lacks), **self.unfit}

    @property
    def power(self) -> Power:
        """What the server behind the address is, as Nova reported last."""
        return self.powers[-1].power if self.powers else Power.RUNNING

    @property
    def port(self) -> int | None:
        """The TCP port by which the address is probed; None if it is probed by echoes."""
        if self.method is None or not self.method.startswith(f"{TCP}-"):
            return None
        return int(self.method.removeprefix(f"{TCP}-"))

    @property
    def check(self) -> str:
        """The check by which an address is measured; services have several."""
        return ICMP if self.port is None else TCP


def method_of(port: int) -> str:
    """Return the method that probes a TCP port."""
    return f"{TCP}-{port}"


class Span(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A maximal run of consecutive probes of one check with the same verdict (and family of causes).

    The run-length encoding of all probes, and the single source of truth: every figure is a pure
    function of the spans. Its natural key is (target, check, first_sent_ns). A report makes millions of them,
    of which each would take three times as long as a frozen dataclass.

    Attributes:
        target: Whose.
        check: Which series of probes.
        verdict: Of every probe in it.
        first_sent_ns: When its first probe was issued.
        last_sent_ns: When its last probe was issued; >= first_sent_ns.
        probes: How many.
        widest_ns: The largest distance between two neighbouring probes of it; 0 if there is one.
        causes: Probes by cause, for down and unknown; empty for slow. For up it is empty, too, or ``stall``
            for all of them: they were answered, but we were held up, so that it is not known how soon.
        max_gap_ns: The largest distance to a neighbouring probe that still counts as observed,
            in force at its last probe.
        dated_ns: The sharper instant of its beginning, if one is known.
        watched_ns: Until when its last probe, which hung beyond its timeout, is known to have hung on, with
            none sent after it; None if it did not. Nobody who came later is known to have failed.
        incarnation: Of the worker that sent the probes. What lies between the spans of two
            incarnations was not observed, however short. Empty where that has no meaning.
    """

    target: TargetId
    check: str
    verdict: Verdict
    first_sent_ns: int
    last_sent_ns: int
    probes: int
    widest_ns: int = 0
    causes: Mapping[str, int] = {}
    max_gap_ns: int
    dated_ns: int | None = None
    watched_ns: int | None = None
    incarnation: Incarnation = Incarnation("")

    @property
    def known_ns(self) -> int:
        """Until when what its last probe says is known to hold."""
        return self.last_sent_ns if self.watched_ns is None else self.watched_ns

    def grown(self, through_ns: int, widest_ns: int) -> "Span":
        """Return an open span as its worker's progress says that it stands.

        Args:
            through_ns: Its probes have gone on until then; or its last one has hung on.
            widest_ns: No two of them were further apart.
        """
        if through_ns <= self.known_ns:
            return self
        if self.watched_ns is not None:
            return structs.replace(self, watched_ns=through_ns)
        return structs.replace(self, last_sent_ns=through_ns, widest_ns=max(self.widest_ns, widest_ns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measurement, from start to stop.

    Attributes:
        id: Its name.
        label: The user's words for it; may be empty.
        vantage: Where its probes come from.
        cloud: What was measured (Keystone's URL, or empty); a run is resumed only on the same.
        start_utc_ns: UTC of instant 0, ns since the epoch.
        boot_origin_ns: CLOCK_BOOTTIME at instant 0, in the boot that `boot_id` names.
        boot_id: The kernel's boot id in which `boot_origin_ns` holds; empty for a run that was imported.
        end_ns: When it was stopped; None while it runs or if it was cut off.
        interrupted: True if it was cut off and closed later by another start.
    """

    id: RunId
    label: str
    vantage: str
    cloud: str
    start_utc_ns: int
    boot_origin_ns: int
    boot_id: str
    end_ns: int | None = None
    interrupted: bool = False

    @property
    def is_imported(self) -> bool:
        """It came from a file. Nothing here goes on with it, whatever end it has."""
        return not self.boot_id


class Latency(NamedTuple):
    """How soon the good answers of some seconds came, of one check of a service.

    Attributes:
        check: Its name.
        start_ns: When the window began; it is 10 s long, or a moment more.
        answers: How many good ones came, at least one.
        min_ns: The quickest of them.
        median_ns: The middle one.
        max_ns: The slowest.
    """

    check: str
    start_ns: int
    answers: int
    min_ns: int
    median_ns: int
    max_ns: int


LABEL_MAX = 1_000
"""Characters of a run's label."""

MARK_MAX = 1_000
"""Characters of a mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A user's label on an instant."""

    at_ns: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a run: from a mark to the next. The first one begins with the run and has no name.

    Attributes:
        start_ns: When it begins.
        end_ns: When it ends; the last one with the run, or with what is recorded of it.
        name: The mark's text; empty for what was before the first mark.
    """

    start_ns: int
    end_ns: int
    name: str


def phases_between(marks: Sequence[Mark], through_ns: int) -> tuple[Phase, ...]:
    """Return the phases that marks divide a run into; none without marks.

    Args:
        marks: By instant.
        through_ns: The run's end, or up to when it is recorded.
    """
    starts = [(0, ""), *((mark.at_ns, mark.text) for mark in marks)]
    ends = [*(mark.at_ns for mark in marks), max(through_ns, starts[-1][0])]
    phases = (Phase(start_ns=at, end_ns=end, name=name) for (at, name), end in zip(starts, ends, strict=True))
    return tuple(phases) if marks else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something about the measurement itself that a reader of the report should know.

    Attributes:
        at_ns: When.
        kind: A word of its class: ``restart``, ``clock``, ``discovery``, ``resume``, …
        text: One line.
    """

    at_ns: int
    kind: str
    text: str
