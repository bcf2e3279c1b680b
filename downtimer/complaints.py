"""What of the configuration has no effect, held against what the cloud lists. Pure.

Each line names section and option; whoever shows it puts the file before it.
"""

from collections.abc import Iterator
from typing import Final

from downtimer import options
from downtimer.account import Account
from downtimer.catalog import Catalog
from downtimer.model import Kind
from downtimer.printable import printable
from downtimer.selection import Selection

_WHAT: Final = {Kind.SERVICE: "service of the catalog", Kind.ADDRESS: "floating IP"}


def of_choice(account: Account, catalog: Catalog) -> Iterator[str]:
    """Yield a line if the interface or the region that is to be measured has no endpoint."""
    if not catalog.interfaces or catalog.endpoints:
        return
    where, interface, region = account.origin.where, account.interface, account.region
    if interface not in catalog.interfaces:
        there = _listed(catalog.interfaces)
        yield f"{where('interface')}: the catalog has no endpoint on {interface!r}; it has {there}"
    elif region is not None and region not in catalog.regions:
        there = _listed(catalog.regions)
        yield (
            f"{where('region_name')}: the catalog has no {interface} endpoint in {region!r}; it has {there}"
        )


def of_patterns(selection: Selection, kind: Kind, catalog: Catalog) -> Iterator[str]:
    """Yield a line for each pattern of ``[targets]`` for this kind of target that has matched none yet."""
    names = {endpoint.service for endpoint in catalog.endpoints} if kind is Kind.SERVICE else set()
    for option, text in selection.idle(kind):
        yield f"[targets] {option}: {text!r} matches no {_WHAT[kind]}{options.hint(text, names)}"


def why_nothing(complaints: tuple[str, ...], services: int, addresses: int) -> str:
    """Return why there is nothing to measure, one line.

    Args:
        complaints: About the configuration.
        services: So many the catalog has, on this interface and in this region.
        addresses: So many floating IPs there are.
    """
    if complaints:
        return f"nothing to measure: {'; '.join(complaints)}"
    if services or addresses:
        return (
            f"nothing to measure: [targets] include and exclude leave nothing of {services} services and "
            f"{addresses} floating IPs"
        )
    return (
        "nothing to measure: the catalog that Keystone gives this user has no service, and there are no "
        "floating IPs; look at [global] project_name, or name targets in [static]"
    )


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(printable(word) or "(one without a name)" for word in words)
