"""The Grafana dashboard is one that Grafana knows in all its parts."""

import itertools
import json
from typing import Any, Final

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models

from tests.dashboard import load, queries

WIDTH: Final = 24

KNOWN_TO_INFLUXDB: Final = {"query", "textColumn", "tagsColumn"}
"""What an annotation says to its data source, which the model of dashboards does not know."""


@pytest.fixture
def dashboard() -> dict[str, Any]:
    """The dashboard."""
    return load()


def lost(given: Any, back: Any, where: str = "") -> list[str]:  # noqa: ANN401 - JSON
    """Return what is not there any more, or is another, in what came back."""
    if isinstance(given, dict) and isinstance(back, dict):
        return [
            gone
            for name, value in given.items()
            for gone in (lost(value, back[name], f"{where}.{name}") if name in back else [f"{where}.{name}"])
        ]
    if isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        pairs = enumerate(zip(given, back, strict=True))
        return [gone for i, (one, other) in pairs for gone in lost(one, other, f"{where}[{i}]")]
    return [] if given == back else [where]


def test_grafanas_own_model_knows_all_that_it_says(dashboard: dict[str, Any]) -> None:
    """What a model does not know, as an option that is misspelt, is gone when it tells what it has read."""
    register_default_plugins()
    back = json.loads(JSONEncoder().encode(models.Dashboard.from_json(dashboard)))
    unknown = lost(dashboard, back)
    assert {gone.rpartition(".")[2] for gone in unknown} == KNOWN_TO_INFLUXDB
    assert all(gone.startswith(".annotations.") for gone in unknown)
    misspelt = json.loads(json.dumps(dashboard).replace("rowHeight", "rowHight"))
    assert lost(misspelt, json.loads(JSONEncoder().encode(models.Dashboard.from_json(misspelt)))) != unknown


def test_panels_are_of_grafanas_own_kinds_and_told_apart(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert {panel["type"] for panel in panels} == {"stat", "state-timeline", "table", "timeseries"}
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        names = [target["refId"] for target in panel["targets"]]
        assert names == ["A", "B"][: len(names)]
        assert {target["resultFormat"] for target in panel["targets"]} <= {"time_series", "table"}
        assert all(target["rawQuery"] for target in panel["targets"])
        assert panel["description"]


def test_panels_do_not_overlap_and_leave_no_hole(dashboard: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for place in places
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(set(cells)) == len(cells)
    height = max(y for _, y in cells) + 1
    assert set(cells) == set(itertools.product(range(WIDTH), range(height)))


def test_everything_comes_from_the_chosen_database_and_of_the_chosen_run(dashboard: dict[str, Any]) -> None:
    source = {"type": "influxdb", "uid": "${datasource}"}
    parts = [*dashboard["panels"], *dashboard["annotations"]["list"]]
    parts += [target for panel in dashboard["panels"] for target in panel["targets"]]
    parts += [one for one in dashboard["templating"]["list"] if one["type"] == "query"]
    assert all(part["datasource"] == source for part in parts)
    about_all_runs = {query.where for query in queries(dashboard) if "$run" not in query.text}
    assert {where.split()[0] + " " + where.split()[-2] for where in about_all_runs} == {
        "variable variable",
        "panel Runs",
    }
    assert dashboard["schemaVersion"] >= 38
