"""The Grafana dashboard, and its queries with the variables filled in as Grafana does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

PATH: Final = Path(__file__).parent.parent / "etc" / "grafana" / "downtimer.json"


class Query(NamedTuple):
    """A query of the dashboard: where it stands, and its text."""

    where: str
    text: str


def load() -> dict[str, Any]:
    """Return the dashboard."""
    found: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def queries(dashboard: dict[str, Any]) -> Iterator[Query]:
    """Yield all its queries: of variables, annotations and panels."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield Query(f"variable {variable['name']}", variable["query"])
    for annotation in dashboard["annotations"]["list"]:
        yield Query(f"annotation {annotation['name']}", annotation["query"])
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            where = f"panel {panel['id']} {panel['title']} {target['refId']}"
            yield Query(where, target["query"])


def filled(text: str, *, run: str, projects: list[str] | None, since_ms: int, until_ms: int) -> str:
    """Return a query as Grafana sends it.

    Args:
        text: As it stands in the dashboard.
        run: The run that is chosen.
        projects: Those that are chosen; None for all, as the variable defines that.
        since_ms: Of the time range, as is `until_ms`; since the epoch.
        until_ms: The end.
    """
    if projects is None:
        chosen = next(one["allValue"] for one in load()["templating"]["list"] if one["name"] == "project")
    else:
        escaped = [re.sub(r"[\\^$*+?.()|[\]{}/]", r"\\\g<0>", project) for project in projects]
        chosen = escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    values = {
        "$timeFilter": f"time >= {since_ms}ms and time <= {until_ms}ms",
        "$__interval": "1s",
        "${project:regex}": chosen,
        "$run": run,
    }
    for name, value in values.items():
        text = text.replace(name, value)
    assert "$" not in text.replace("$/", ""), text
    return text
