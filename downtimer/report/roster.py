"""Which targets a run has, how each is called, and in what order a report has them. Pure.

Of a hundred thousand addresses no more than ids is kept: a report reads the rest again, with the spans.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from socket import AF_INET, inet_pton

from downtimer.checks import is_identity
from downtimer.model import Kind, Target, TargetId, TargetState
from downtimer.vantage import PATIENCE_NS, timely_ns

_Numeric = tuple[int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The targets of a run, by what they are to a report.

    Attributes:
        targets: Services by name, then addresses numerically, IPv4 first; no references.
        agents: By name, then host.
        references: Numerically.
        keystones: Services that others need; they are among the targets.
        names: How those targets are called whose own name is not enough: ``nova (RegionTwo)``.
        patience_ns: So long a timely answer of any check may take.
    """

    targets: Sequence[TargetId]
    agents: Sequence[TargetId]
    references: Sequence[TargetId]
    keystones: Sequence[TargetId]
    names: Mapping[TargetId, str]
    patience_ns: int


def call(states: Iterable[TargetState]) -> Roster:
    """Return the roster of a run.

    Args:
        states: Of all its targets, ordered by id.
    """
    services: list[Target] = []
    agents: list[Target] = []
    addresses: list[tuple[_Numeric, TargetId]] = []
    references: list[tuple[_Numeric, TargetId]] = []
    patience_ns = PATIENCE_NS
    for state in states:
        target = state.target
        for check, baseline in state.baselines.items():
            patience_ns = max(patience_ns, timely_ns(check, baseline.latency_ns))
        if target.kind is Kind.ADDRESS:
            listed = references if target.reference else addresses
            listed.append((_numerically(target.name), target.id))
        else:
            (agents if target.kind is Kind.AGENT else services).append(target)
    names = _name([*services, *_namesakes(services, addresses)])
    services.sort(key=lambda target: (target.name, names.get(target.id, target.name)))
    agents.sort(key=lambda target: (target.name, target.host or "", target.region or ""))
    return Roster(
        targets=[*(target.id for target in services), *(id_ for _, id_ in sorted(addresses))],
        agents=[target.id for target in agents],
        references=[id_ for _, id_ in sorted(references)],
        keystones=[target.id for target in services if is_identity(target)],
        names=names,
        patience_ns=patience_ns,
    )


def _namesakes(services: Iterable[Target], addresses: Iterable[tuple[_Numeric, TargetId]]) -> list[Target]:
    """Return the addresses that are called like a service; odd, but a static URL may be named anyhow."""
    taken = {target.name for target in services}
    return [Target(id=id_, kind=Kind.ADDRESS, name=name) for (_, _, name), id_ in addresses if name in taken]


def _name(targets: Sequence[Target]) -> dict[TargetId, str]:
    """Return how targets are called, so that no two are called alike if that can be helped.

    Where a name has several regions every one carries its region; where that does not tell two
    apart they carry the URL, and then the interface, too. Who carries nothing is left out.
    """
    regions = Counter(name for name, _ in {(t.name, t.region) for t in targets})
    places = Counter((t.name, t.region) for t in targets)
    urls = Counter((t.name, t.region, t.url) for t in targets)
    names = {}
    for target in targets:
        place, url = (target.name, target.region), (target.name, target.region, target.url)
        parts = [
            target.region if regions[target.name] > 1 else None,
            target.url if places[place] > urls[url] else None,
            target.interface if urls[url] > 1 else None,
        ]
        suffix = ", ".join(part for part in parts if part)
        if suffix:
            names[target.id] = f"{target.name} ({suffix})"
    return names


def _numerically(name: str) -> _Numeric:
    """Rank an address, IPv4 first; what is none comes last."""
    with suppress(OSError, ValueError):  # most are of this kind; ten times as fast as what follows
        return 4, int.from_bytes(inet_pton(AF_INET, name), "big"), name
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return 9, 0, name
    return address.version, int(address), name
