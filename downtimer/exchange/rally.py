"""Results of OpenStack Rally -> runs: one for each entry of a task, which is a scenario with its arguments.

Rally has two forms of results: a list of such entries (``rally task results``), and one object with
everything on tasks (``rally task report --json``), in which the entries are called workloads. Either gives
the same runs. An iteration is a probe: it was sent at its ``timestamp``, took its ``duration``, and failed if
it has an ``error``. What a hook did begins at a mark; a promise (SLA) that was not kept is an event at the
end.

Both forms have changed over the years, and their files hold much more: what is not needed is passed over.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final
from urllib.parse import quote

import msgspec

from downtimer.errors import ExchangeError
from downtimer.exchange.lines import INSTANT_MAX_NS, START_MAX_NS, WRONG
from downtimer.exchange.rally_errors import cause_of
from downtimer.exchange.samples import SampleTrack
from downtimer.messages import SpanFact
from downtimer.model import (
    SECOND_NS,
    WORKS,
    Event,
    Incarnation,
    Kind,
    Mark,
    Run,
    RunId,
    Target,
    TargetId,
    TargetState,
    Verdict,
)
from downtimer.report.wording import number, plural
from downtimer.store.facts import Facts

SIZE_MAX: Final = 1 << 30
"""So many bytes a file may have; it is held in memory."""


class _Iteration(msgspec.Struct):
    timestamp: Decimal
    duration: Decimal | None = None
    error: Any = None


class _HookConfig(msgspec.Struct):
    name: str | None = None
    args: Any = None
    action: dict[str, Any] | None = None  # the later form of those two
    description: str | None = None


class _HookResult(msgspec.Struct):
    started_at: Decimal | None = None
    status: str | None = None


class _Hook(_HookResult):
    """At its top in Rally 0.7, under `results`, where there may be several, since 0.8."""

    hook: str | None = None
    description: str | None = None
    config: _HookConfig = msgspec.field(default_factory=_HookConfig)
    results: list[_HookResult] = []


class _Sla(msgspec.Struct):
    criterion: str = ""
    success: bool = True
    detail: str = ""


class _Key(msgspec.Struct):
    name: str
    description: str | None = None


class _Entry(msgspec.Struct):
    """An entry of the list."""

    key: _Key
    result: list[_Iteration]
    hooks: list[_Hook] = []
    sla: list[_Sla] = []


class _SlaResults(msgspec.Struct):
    sla: list[_Sla] = []


class _Workload(msgspec.Struct):
    """The same in the report."""

    scenario: dict[str, Any]
    data: list[_Iteration]
    description: str | None = None
    hooks: list[_Hook] = []
    sla_results: _SlaResults = msgspec.field(default_factory=_SlaResults)

    def entry(self) -> _Entry:
        """Return it as the list has it."""
        key = _Key(next(iter(self.scenario), ""), self.description)
        return _Entry(key, self.data, self.hooks, self.sla_results.sla)


class _Subtask(msgspec.Struct):
    workloads: list[_Workload]


class _Task(msgspec.Struct):
    subtasks: list[_Subtask]


class _Report(msgspec.Struct):
    tasks: list[_Task]


_RESULTS: Final = msgspec.json.Decoder(list[_Entry] | _Report)


@dataclass(frozen=True, slots=True)
class RallyRun:
    """A run that was an entry of a task.

    Attributes:
        run: The run.
        facts: All that is known of it.
        told: What is in it, for people.
    """

    run: Run
    facts: Facts
    told: str


def read_rally(file: BinaryIO, name: str) -> list[RallyRun]:
    """Return the runs of a file of results, in its order; entries without iterations are left out.

    Args:
        file: Its bytes.
        name: Of the file, for errors.

    Raises:
        ExchangeError: It can't be read, or is no such file, or nothing was run.
    """
    try:
        runs = [_run_of(entry) for entry in _entries(_read(file, name)) if entry.result]
    except WRONG as exc:
        raise ExchangeError(f"{name}: not results of a Rally task: {exc}") from exc
    if not runs:
        raise ExchangeError(f"{name}: no iteration is in these results")
    return list(_told_apart(runs))


def _told_apart(runs: Iterable[RallyRun]) -> Iterator[RallyRun]:
    """Yield the runs; those that would be called like one before them get a number."""
    seen: Counter[RunId] = Counter()
    for one in runs:
        seen[one.run.id] += 1
        count = seen[one.run.id]
        yield one if count == 1 else replace(one, run=replace(one.run, id=RunId(f"{one.run.id}-{count}")))


def _read(file: BinaryIO, name: str) -> bytes:
    try:
        text = file.read(SIZE_MAX + 1)
    except OSError as exc:
        raise ExchangeError(f"{name}: cannot be read: {exc.strerror}") from exc
    if len(text) > SIZE_MAX:
        raise ExchangeError(f"{name}: larger than {SIZE_MAX >> 20} MiB")
    return text


def _entries(text: bytes) -> list[_Entry]:
    results = _RESULTS.decode(text)
    if isinstance(results, list):
        return results
    subtasks = [subtask for task in results.tasks for subtask in task.subtasks]
    return [workload.entry() for subtask in subtasks for workload in subtask.workloads]


def _run_of(entry: _Entry) -> RallyRun:
    iterations = sorted(entry.result, key=lambda one: _utc_ns(one.timestamp))
    sent = [_utc_ns(one.timestamp) for one in iterations]
    marks = [(_utc_ns(at), text) for hook in entry.hooks for at, text in _begun(hook)]
    start_ns = min([sent[0], *(at_ns for at_ns, _ in marks)])
    end_ns = (
        max(at_ns + _length_ns(one.duration) for at_ns, one in zip(sent, iterations, strict=True)) - start_ns
    )
    target = _target(entry.key.name)
    facts = Facts(states={target.id: TargetState(target=target, discovered_ns=0, listed_ns=0)})
    _add_iterations(facts, target, zip((at_ns - start_ns for at_ns in sent), iterations, strict=True))
    facts.marks = [Mark(at_ns=at_ns - start_ns, text=text) for at_ns, text in marks]
    broken = [sla for sla in entry.sla if not sla.success]
    facts.events = [Event(at_ns=end_ns, kind="sla", text=f"{one.criterion}: {one.detail}") for one in broken]
    failed = sum(1 for one in iterations if one.error)
    tried = f"{plural(len(sent), 'iteration')}, {number(failed)} failed"
    return RallyRun(
        _run(entry.key, start_ns, end_ns, len(sent)),
        facts,
        f"{target.name}, {tried}, {plural(len(marks), 'mark')}",
    )


def _run(key: _Key, start_ns: int, end_ns: int, iterations: int) -> Run:
    """Return the run; its name is the same whenever these results are read."""
    digits = hashlib.sha256(f"{key.name} {start_ns} {end_ns} {iterations}".encode()).hexdigest()[:4]
    return Run(
        id=RunId(f"{datetime.fromtimestamp(start_ns // SECOND_NS, tz=UTC):%Y%m%d-%H%M%S}-{digits}"),
        label=": ".join(part for part in (key.name, key.description) if part),
        vantage="rally",
        cloud="",
        start_utc_ns=start_ns,
        boot_origin_ns=0,
        boot_id="",
        end_ns=end_ns,
    )


def _target(scenario: str) -> Target:
    if not scenario:
        raise ValueError("an entry does not name its scenario")
    return Target(id=TargetId(f"rally/{quote(scenario, safe='')}"), kind=Kind.SERVICE, name=scenario)


def _add_iterations(facts: Facts, target: Target, iterations: Iterable[tuple[int, _Iteration]]) -> None:
    """Add what these iterations, in order of time, say of their scenario."""
    track = SampleTrack(target.id, target.kind, WORKS, Incarnation("rally"))
    for at_ns, one in iterations:
        cause = cause_of(_texts(one.error)) if one.error else None
        verdict = Verdict.UP if cause is None else Verdict.DOWN
        track.take(at_ns, verdict, cause, latency_ns=_length_ns(one.duration))
    spans, facts.latencies = track.close()
    facts.spans = [SpanFact(span, is_open=False) for span in spans]


def _texts(error: object) -> list[str]:
    """Return the type and the message of an error; the traceback behind them may name anything."""
    texts = error if isinstance(error, list) else [error]
    return [text for text in texts[:2] if isinstance(text, str)]


def _begun(hook: _Hook) -> Iterator[tuple[Decimal, str]]:
    """Yield when the hook was begun each time, and what it is."""
    for result in (hook, *hook.results):
        if result.started_at not in (None, 0):  # 0 if it never was
            failed = "" if result.status in (None, "success") else f" ({result.status})"
            yield result.started_at, f"{_title(hook)}{failed}"


def _title(hook: _Hook) -> str:
    """Return what a hook is called: the user's words, else what it does."""
    config = hook.config
    description = config.description or hook.description
    if description and description != "n/a":
        return description
    name, does = (
        next(iter(config.action.items()), (None, None)) if config.action else (config.name, config.args)
    )
    does = does.get("action") if isinstance(does, dict) else does
    return ": ".join(part for part in (name or hook.hook, does) if isinstance(part, str)) or "hook"


def _utc_ns(at_s: Decimal) -> int:
    if not (
        at_s.is_finite() and 0 < at_s <= START_MAX_NS // SECOND_NS
    ):  # before it is made an integer, which might fill the memory
        raise ValueError(f"{at_s:.30} is no time between the years 1970 and 2200")
    return int(at_s * SECOND_NS)


def _length_ns(length_s: Decimal | None) -> int:
    if length_s is None:
        return 0
    if not (length_s.is_finite() and 0 <= length_s <= INSTANT_MAX_NS // SECOND_NS):
        raise ValueError(f"{length_s:.30} is no duration in seconds")
    return int(length_s * SECOND_NS)
