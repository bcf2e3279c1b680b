"""What stands on top of the page: what was measured, and the figures that matter first. Pure."""

from collections import Counter
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final, NamedTuple

from downtimer.assertions import Result
from downtimer.findings import TargetSummary
from downtimer.model import Kind
from downtimer.report import wording
from downtimer.report.html.markup import name, text
from downtimer.report.summary import Summary
from downtimer.report.titles import RESULTS, moment_of
from downtimer.report.wording import plural

_SIGNS: Final = MappingProxyType({Result.PASS: "✓", Result.FAIL: "✗", Result.UNDECIDED: "?"})


class Brief(NamedTuple):
    """What the overview needs of a target.

    Attributes:
        kind: Of it.
        title: How it is called.
        down_ns: Its downtime.
        down: The same in words; empty if it was not down.
        is_silent: It is an address that never answered.
        slow_ns: For how long it was slow.
        unobserved_ns: For how long it was not observed.
        is_blind: Nothing of it was observed.
    """

    kind: Kind
    title: str
    down_ns: int
    down: str
    is_silent: bool
    slow_ns: int
    unobserved_ns: int
    is_blind: bool

    @classmethod
    def of(cls, title: str, target: TargetSummary) -> "Brief":
        """Return it."""
        return cls(
            kind=target.target.kind,
            title=title,
            down_ns=target.down_ns,
            down=wording.downtime(target) if target.episodes else "",
            is_silent=target.is_silent and bool(target.probes),
            slow_ns=target.slow_ns,
            unobserved_ns=target.unobserved_ns,
            is_blind=not target.observed_ns,
        )


class _Tally:
    """On how many targets something befell, and on which for longest."""

    def __init__(self) -> None:
        self.count = 0
        self.longest_ns = -1
        self.title = self.words = ""

    def add(self, length_ns: int, brief: Brief, words: str) -> None:
        """Take a target into account that it befell."""
        self.count += 1
        if length_ns > self.longest_ns:
            self.longest_ns, self.title, self.words = length_ns, brief.title, words

    def most(self) -> str:
        """Return the one that was worst off."""
        most = "most: " if self.count > 1 else ""
        return f"{most}{name(self.title)} {self.words}" if self.count else ""


class Tiles:
    """The figures that matter first: how many services and addresses were down, slow, not observed."""

    def __init__(self) -> None:
        self._totals = dict.fromkeys((Kind.SERVICE, Kind.ADDRESS), 0)
        self._down = {kind: _Tally() for kind in self._totals}
        self._slow, self._unobserved = _Tally(), _Tally()
        self._silent = self._blind = 0

    def add(self, brief: Brief) -> None:
        """Take a target into account."""
        self._totals[brief.kind] += 1
        if brief.is_silent:
            self._silent += 1
        elif brief.down:
            self._down[brief.kind].add(brief.down_ns, brief, brief.down)
        if brief.slow_ns:
            self._slow.add(brief.slow_ns, brief, wording.seconds(brief.slow_ns))
        if brief.is_blind:
            self._blind += 1
        elif brief.unobserved_ns:
            self._unobserved.add(brief.unobserved_ns, brief, wording.seconds(brief.unobserved_ns))

    def read(self) -> Iterator[str]:
        """Yield the tiles."""
        yield "<ul class=tiles>\n"
        for kind, tally in self._down.items():
            if self._totals[kind]:
                noun = plural(self._totals[kind], kind.value)
                silent = f"{wording.number(self._silent)} never answered" if kind is Kind.ADDRESS else ""
                yield _tile("down", tally.count, f"of {noun} down", tally.most(), self._silent and silent)
        yield _tile("slow", self._slow.count, "slow", self._slow.most())
        if self._unobserved.count or self._blind:
            blind = f"nothing was observed of {wording.number(self._blind)}" if self._blind else ""
            yield _tile(
                "unobserved", self._unobserved.count, "not observed in part", self._unobserved.most(), blind
            )
        if not any(self._totals.values()):
            yield "<li>Nothing was found to measure\n"
        yield "</ul>\n"


def _tile(kind: str, count: int, what: str, *more: str | int) -> str:
    small = "".join(f"<small>{part}</small>" for part in more if part)
    calm = "" if count else " calm"
    return f'<li class="{kind}{calm}"><b>{wording.number(count)}</b> {what}{small}\n'


def verdicts(summary: Summary) -> Iterator[str]:
    """Yield what came of the assertions."""
    if summary.judgements:
        counts = Counter(judgement.result for judgement in summary.judgements)
        parts = [
            f"{wording.number(counts[result])} {said}" for result, said in RESULTS.items() if counts[result]
        ]
        yield f'<section aria-label="Verdicts"><h2>Assertions: {", ".join(parts)}</h2>\n<ul class=verdicts>\n'
        for judgement in summary.judgements:
            result = judgement.result
            yield (
                f"<li class={result.value}><b>{_SIGNS[result]} {result.upper()}</b> "
                f"<code>{text(judgement.assertion)}</code> <span>{text(judgement.why)}</span>\n"
            )
        yield "</ul></section>\n"


def title(summary: Summary) -> Iterator[str]:
    """Yield how the run is called."""
    run = summary.run
    label = f" <q>{name(run.label)}</q>" if run.label else ""
    yield f"<h1>Downtime in run <b>{text(run.id)}</b>{label}</h1>\n"


def head(summary: Summary) -> Iterator[str]:
    """Yield when was measured, and from where."""
    run = summary.run
    yield "<p class=when>"
    start = moment_of(summary, 0)
    length = wording.length(summary.length_ns)
    if run.end_ns is None:
        through = moment_of(summary, summary.through_ns)
        why = "no end was given" if summary.is_endless else "not ended (running, or cut off)"
        yield f"{start} UTC, {why}; figures count to {through} UTC: {length}"
    else:
        cut_off = ", interrupted" if run.interrupted else ""
        yield f"{wording.period(run.start_utc_ns, run.start_utc_ns + run.end_ns)} UTC: {length}{cut_off}"
    if run.vantage:
        yield f". Measured from {name(run.vantage)}"
    if run.cloud:
        yield f"{',' if run.vantage else '. Measured was'} cloud {name(run.cloud)}"
    if summary.references:
        yield f"; reference {', '.join(map(_reference, summary.references.items()))}"
    yield ".</p>\n"


def _reference(told: tuple[str, bool]) -> str:
    address, has_answered = told
    return name(address) + ("" if has_answered else f" ({wording.NO_PROOF})")
