r"""Facts -> points of InfluxDB, as lines of its line protocol. Pure.

Every point has the tags ``run`` and ``vantage`` and a time in UTC ns. Its natural key (measurement,
tags, time) is such that a repeat changes nothing, and more: *no point that matters is written twice
with different fields*. An InfluxDB that hung may apply a request that its client gave up long ago,
after newer ones; so what grows is told in fields of its own, which nobody reads once the final ones
are there.

====================  =========================================  =======================================
measurement           tags beside run, vantage; time             fields
====================  =========================================  =======================================
service_response      service, region, interface, check; sent    value, status_code, up, cause
floating_ip_pings     address, project; start of the window      sent, lost, rtt_min, rtt_mean, rtt_max
runs                  ; start                                    label, begun (JSON), then: ended (JSON),
                                                                 label once more, for it may be another
                                                                 (it is for people, and read from ended),
                                                                 end, interrupted, through, targets,
                                                                 spans, marks, events: how many of each
targets               target, kind; first listed + version       name, region, …, state (JSON)
spans                 target, check, verdict; first_sent         open (JSON), then: last_sent, max_gap,
                                                                 dated, probes, widest, causes (JSON),
                                                                 incarnation
progress              incarnation, check; start of the run       through, interval, widest
marks                 key; at                                    text
events                kind, key; at                              text
outages               target, check, name; first failed probe    start, end, duration_s, min_s, max_s
====================  =========================================  =======================================

Instants in fields are UTC ns; those within the JSON are as in the journal. A line break can't be
written in a tag, nor a backslash at its end or before a comma. In the tag ``target``, which is read
back, such characters are percent-encoded; in all others they are shown as ``\xNN``.
"""

import re
import zlib
from collections.abc import Iterable
from typing import Final

import msgspec

from downtimer.brackets import CheckOutage
from downtimer.messages import AddressWindow, Progress, Sample
from downtimer.model import SECOND_NS, Event, Kind, Mark, Run, Span, Target, TargetId, TargetState

FieldValue = str | int | float | bool
Tags = Iterable[tuple[str, str | None]]
Fields = Iterable[tuple[str, FieldValue | None]]

_CONTROLS: Final = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]
_SHOWN: Final = str.maketrans({c: f"\\x{c:02x}" for c in _CONTROLS})
_MEASUREMENT: Final = str.maketrans({",": r"\,", " ": r"\ "}) | _SHOWN
_TAG: Final = _MEASUREMENT | str.maketrans({"=": r"\="})
_TARGET: Final = str.maketrans({c: f"%{c:02X}" for c in [*range(0x20), 0x7F, ord("%"), ord("\\")]})
_PLAIN: Final = re.compile(r"[\w.:/@+-]*", re.ASCII)
"""Text that stays as it is; nearly all does, and to find that out is much faster than to translate it."""

_DOUBTFUL: Final = re.compile(r"\\(?=[\\,= ]|\Z)")
_ENCODED: Final = re.compile(r"%([0-9A-F]{2})")


def escape_measurement(text: str) -> str:
    """Return a measurement's name for a line."""
    return text if _PLAIN.fullmatch(text) else _show_doubtful(text).translate(_MEASUREMENT)


def escape_tag(text: str) -> str:
    """Return a tag's key or value, or a field's key, for a line."""
    return text if _PLAIN.fullmatch(text) else _show_doubtful(text).translate(_TAG)


def format_field(value: FieldValue) -> str:
    """Return a field's value for a line; its type is what InfluxDB holds the field to from then on."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def format_line(head: str, fields: Fields, time_ns: int) -> str | None:
    """Return a line; None if no field has a value, for such a point can't be written.

    Args:
        head: Measurement and tags, see `format_head`.
        fields: Those that are None are left out.
        time_ns: UTC, ns since the epoch.
    """
    text = ",".join(f"{key}={format_field(value)}" for key, value in fields if value is not None)
    return f"{head} {text} {time_ns}" if text else None


def format_tags(tags: Tags) -> list[str]:
    """Return tags as a line has them; an empty one is left out, as it must be."""
    return [f"{escape_tag(key)}={escape_tag(value)}" for key, value in tags if value]


def format_head(measurement: str, tags: Iterable[str]) -> str:
    """Return measurement and tags, made by `format_tags`, sorted, as InfluxDB likes it."""
    return ",".join((escape_measurement(measurement), *sorted(tags)))


def encode_target(target: TargetId) -> str:
    """Return the value of the tag ``target``; it is the id itself unless that has odd characters."""
    return target if _PLAIN.fullmatch(target) else target.translate(_TARGET)


def decode_target(tag: str) -> TargetId:
    """Return the id that `encode_target` made a tag of."""
    return TargetId(_ENCODED.sub(lambda found: chr(int(found[1], 16)), tag))


def tag_as_stored(text: str | None) -> str:
    """Return what InfluxDB has of a tag's value, by which it is found; nothing for one that is not there."""
    return _show_doubtful(text).translate(_SHOWN) if text else ""


def service_tags(target: Target) -> tuple[tuple[str, str | None], ...]:
    """Return the tags by which details of a service are told."""
    return (("service", target.name), ("region", target.region), ("interface", target.interface))


def _show_doubtful(text: str) -> str:
    """Show backslashes that would escape what follows; whether a second one helps differs by database."""
    return _DOUBTFUL.sub(r"\\x5c", text)


class LineMaker:
    """Makes the lines of one run."""

    def __init__(self, run: Run) -> None:
        self._start_ns = run.start_utc_ns
        self._common = format_tags((("run", run.id), ("vantage", run.vantage)))
        self._services: dict[TargetId, tuple[tuple[str, str | None], ...]] = {}
        self._addresses: dict[TargetId, tuple[str, str | None]] = {}  # its text and its project
        self._heads: dict[tuple[TargetId, str], str] = {}

    # --- what a report is made from ---

    def run_begun(self, run: Run) -> str | None:
        """Return the run's point as it is written first (and again if it goes on after a reboot)."""
        fields: list[tuple[str, FieldValue | None]] = [("label", run.label), ("begun", _json(run))]
        return format_line(self._head("runs"), fields, self._start_ns)

    def run_ended(self, run: Run, counts: Iterable[tuple[str, int]], through_ns: int) -> str | None:
        """Return the fields that complete the run's point; written last of all.

        Args:
            run: With its end.
            counts: How many ``targets``, ``spans``, ``marks``, ``events`` were written.
            through_ns: Up to when everything is recorded.
        """
        fields: list[tuple[str, FieldValue | None]] = [
            ("ended", _json(run)),
            ("label", run.label),
            ("end", self._utc(run.end_ns)),
            ("interrupted", run.interrupted),
            ("through", self._utc(through_ns)),
            *counts,
        ]
        return format_line(self._head("runs"), fields, self._start_ns)

    def target(self, state: TargetState, version: int, text: str) -> str | None:
        """Return a target's point; each `version` of its state, which is `text` in JSON, is one."""
        target = state.target
        head = self._head("targets", ("target", encode_target(target.id)), ("kind", target.kind.value))
        fields: list[tuple[str, FieldValue | None]] = [
            ("name", target.name),
            ("region", target.region),
            ("interface", target.interface),
            ("url", target.url),
            ("host", target.host),
            ("project", target.project or target.project_id),
            ("server", target.server or target.server_id),
            ("retired", self._utc(state.retired_ns)),
            ("state", text),
        ]
        return format_line(head, fields, self._start_ns + state.discovered_ns + version)

    def span(self, span: Span, *, is_open: bool) -> str | None:
        """Return a span's point, as it stands or as it ended."""
        head = self._head(
            "spans",
            ("target", encode_target(span.target)),
            ("check", span.check),
            ("verdict", span.verdict.value),
        )
        fields: list[tuple[str, FieldValue | None]] = [
            ("last_sent", self._utc(span.last_sent_ns)),
            ("max_gap", span.max_gap_ns),
            ("dated", self._utc(span.dated_ns)),
            ("watched", self._utc(span.watched_ns)),
            ("probes", span.probes),
            ("widest", span.widest_ns),
            ("causes", _json(span.causes) if span.causes else None),
            ("incarnation", span.incarnation),
        ]
        if is_open:
            fields = [("open", _json(span))]
        return format_line(head, fields, self._start_ns + span.first_sent_ns)

    def progress(self, progress: Progress) -> str | None:
        """Return how far a worker is with a check."""
        fields = [
            ("through", self._utc(progress.through_ns)),
            ("interval", progress.interval_ns),
            ("widest", progress.widest_ns),
        ]
        head = self._head("progress", ("incarnation", progress.incarnation), ("check", progress.check))
        return format_line(head, fields, self._start_ns)

    def mark(self, mark: Mark) -> str | None:
        """Return a mark's point."""
        head = self._head("marks", ("key", _digest(mark.text)))
        return format_line(head, [("text", mark.text)], self._start_ns + mark.at_ns)

    def event(self, event: Event) -> str | None:
        """Return an event's point."""
        head = self._head("events", ("kind", event.kind), ("key", _digest(event.text)))
        fields = [("text", event.text), ("word", event.kind)]
        return format_line(head, fields, self._start_ns + event.at_ns)

    # --- for dashboards ---

    def know(self, target: Target) -> None:
        """Learn by what tags details of this target are told."""
        if target.kind is Kind.SERVICE:
            self._services[target.id] = service_tags(target)
        elif target.kind is Kind.ADDRESS:
            self._addresses[target.id] = (target.name, target.project or target.project_id)
        for check in ("", "answers", "works", "login"):
            self._heads.pop((target.id, check), None)

    def sample(self, sample: Sample) -> str | None:
        """Return one probe of a service."""
        key = (sample.target, sample.check)
        head = self._heads.get(key)
        if head is None:
            tags = self._services.get(sample.target, (("service", sample.target),))
            head = self._heads[key] = self._head("service_response", *tags, ("check", sample.check))
        fields: list[tuple[str, FieldValue | None]] = [
            ("value", _seconds(sample.latency_ns)),
            ("status_code", sample.status),
            ("up", None if sample.up is None else int(sample.up)),
            ("cause", sample.cause),
        ]
        return format_line(head, fields, self._start_ns + sample.sent_ns)

    def address(self, window: AddressWindow) -> str:
        """Return one window of an address."""
        key = (window.target, "")
        head = self._heads.get(key)
        if head is None:
            name, project = self._addresses.get(window.target, (window.target, None))
            head = self._heads[key] = self._head("floating_ip_pings", ("address", name), ("project", project))
        # Not by `format_line`, which takes three times as long: there may be ten thousand a second.
        trips = "".join(
            f",{name}={length_ns / SECOND_NS!r}"
            for name, length_ns in (
                ("rtt_min", window.rtt_min_ns),
                ("rtt_mean", window.rtt_mean_ns),
                ("rtt_max", window.rtt_max_ns),
            )
            if length_ns is not None
        )
        return f"{head} sent={window.sent}i,lost={window.lost}i{trips} {self._start_ns + window.start_ns}"

    def outage(self, target: TargetId, name: str, outage: CheckOutage) -> str | None:
        """Return an outage that has ended, as one check saw it; `name` is the target's for people."""
        start, end = outage.start, outage.end
        head = self._head(
            "outages",
            ("target", encode_target(target)),
            ("check", outage.check),
            ("name", name),
        )
        fields: list[tuple[str, FieldValue | None]] = [
            ("start", self._utc(start.at_ns)),
            ("end", self._utc(end.at_ns)),
            ("duration_s", _seconds(end.at_ns - start.at_ns)),
            ("min_s", _seconds(end.after_ns - start.by_ns)),
            ("max_s", _seconds(end.by_ns - start.after_ns)),
        ]
        return format_line(head, fields, self._start_ns + start.by_ns)

    # --- parts ---

    def _head(self, measurement: str, *tags: tuple[str, str | None]) -> str:
        return format_head(measurement, self._common + format_tags(tags))

    def _utc(self, at_ns: int | None) -> int | None:
        return None if at_ns is None else self._start_ns + at_ns


def _seconds(length_ns: int | None) -> float | None:
    return None if length_ns is None else length_ns / SECOND_NS


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _digest(text: str) -> str:
    """Tell apart what happened at the same instant."""
    return f"{zlib.crc32(text.encode(errors='replace')):08x}"
