"""Databases that take what InfluxDB 1.x takes: 2.x and 3.x, as they document it, and VictoriaMetrics."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from downtimer.errors import StoreError
from downtimer.store.influx import InfluxReader, list_runs
from downtimer.store.influxclient import AccessError, NoDatabaseError
from downtimer.store.journal import JournalReader, JournalWriter
from downtimer.store.ship import ship
from tests.integration.influx_env import InfluxServer, section
from tests.integration.influx_front import V2, V3, Front
from tests.integration.influx_run import STATES, client, count, everything, filled_journal, notes
from tests.integration.victoria_env import VictoriaMetrics
from tests.unit.runs import ns
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

TOKEN = "s3cr3t-t0k3n=="

SHOWN = {
    "token": {"token": TOKEN},
    "password": {"user": "downtimer", "password": TOKEN},
}
"""Both ways in which a token may be shown."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    """A journal with one of everything, of a run that has ended."""
    with filled_journal(tmp_path) as writer:
        writer.end_run(ns(50))
        yield writer


@pytest.fixture(params=[V2, V3])
def version(request: pytest.FixtureRequest, tmp_path: Path, influxdb: InfluxServer) -> Iterator[Front]:
    """InfluxDB of a later version, which wants a token."""
    with Front(tmp_path / "front", influxdb, version=request.param, token=TOKEN) as running:
        yield running


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    """A VictoriaMetrics of this test's own."""
    with VictoriaMetrics(tmp_path / "victoria") as server:
        yield server


@pytest.mark.parametrize("shown", SHOWN)
def test_a_run_reads_the_same_from_a_later_version(
    journal: JournalWriter, version: Front, shown: str
) -> None:
    db = section(version, **SHOWN[shown])
    assert ship(journal.path, db, 30).left == 0
    assert everything(InfluxReader(db, None)) == everything(JournalReader(journal.path))
    assert notes(db) == []
    assert list_runs(db) == [journal.run]
    scheme = "Token " if shown == "token" else "Basic "
    assert all(request["authorization"].startswith(scheme) for request in version.record())


@pytest.mark.parametrize(
    "shown",
    [{"token": "wrong-token"}, {"user": "downtimer", "password": "wrong-token"}, {}],
    ids=["token", "password", "nothing"],
)
def test_a_wrong_token_is_told_at_once_and_never_shown(
    journal: JournalWriter, version: Front, shown: dict[str, str]
) -> None:
    with pytest.raises(AccessError, match=r"rejects the credentials of \[db\]") as caught:
        ship(journal.path, section(version, **shown), 30)
    assert "wrong-token" not in f"{caught.value!r} {section(version, **shown)!r}"
    assert len(version.record()) == 1
    assert ship(journal.path, section(version, token=TOKEN), 30).left == 0


def test_points_of_another_type_are_set_apart_by_a_later_version(
    journal: JournalWriter, version: Front, influxdb: InfluxServer
) -> None:
    other, at_ns = client(influxdb), journal.run.start_utc_ns
    other.create_database("downtimer")
    other.write([f"service_response value=1i {at_ns}"], {"db": "downtimer"}, 204, "line")
    other.close()
    shipped = ship(journal.path, section(version, token=TOKEN), 60)
    journal.outbox.reload()
    assert (shipped.rejected, journal.outbox.rejected, shipped.left) == (100, 100, 0)
    assert notes(section(version, token=TOKEN)) == []


def test_a_bucket_that_2_lacks_is_one_line_that_says_what_to_do(
    journal: JournalWriter, tmp_path: Path, influxdb: InfluxServer
) -> None:
    with Front(tmp_path / "front", influxdb, version=V2, token=TOKEN, database="other") as version:
        with pytest.raises(NoDatabaseError, match="influx v1 dbrp create --db downtimer") as caught:
            ship(journal.path, section(version, token=TOKEN), 30)
        assert "no dbrp mapping found" in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(StoreError, match="default retention policy not set for: downtimer"):
            InfluxReader(section(version, token=TOKEN), None)
        assert ship(journal.path, section(version, token=TOKEN, name="other"), 30).left == 0


def test_a_database_that_3_lacks_is_made_by_writing_to_it(
    journal: JournalWriter, tmp_path: Path, influxdb: InfluxServer
) -> None:
    with Front(tmp_path / "front", influxdb, version=V3, token=TOKEN) as version:
        with pytest.raises(NoDatabaseError, match="database not found: downtimer"):
            InfluxReader(section(version, token=TOKEN), None)
        assert ship(journal.path, section(version, token=TOKEN), 30).left == 0
        assert not [request for request in version.record() if "CREATE" in request["path"]]
    assert count(influxdb, "service_response", "value") == 100


# --- VictoriaMetrics ---


def test_victoria_metrics_takes_a_run_and_keeps_its_numbers(
    journal: JournalWriter, victoria: VictoriaMetrics
) -> None:
    shipped = ship(journal.path, section(victoria), 60)
    assert (shipped.rejected, shipped.left) == (0, 0)
    labels = f'run="{journal.run.id}",db="downtimer"'
    values = victoria.samples(f"service_response_value{{{labels}}}", 100)
    assert values == [number / 1e9 for number in range(100)]
    assert victoria.samples(f"floating_ip_pings_lost{{{labels}}}", 10) == [1.0] * 10
    durations = victoria.samples(f"outages_duration_s{{{labels}}}", len(STATES))
    assert len(durations) == len(STATES)
    assert victoria.samples(f"runs_spans{{{labels}}}", 1)


def test_a_report_from_victoria_metrics_is_one_line_that_says_whence_to_make_it(
    journal: JournalWriter, victoria: VictoriaMetrics
) -> None:
    assert ship(journal.path, section(victoria), 60).left == 0
    for run in (None, journal.run.id):
        with pytest.raises(StoreError, match="make the report without --from influxdb") as caught:
            InfluxReader(section(victoria), run)
        assert "\n" not in str(caught.value)


def test_victoria_metrics_killed_in_between_gets_the_rest_later(
    journal: JournalWriter, victoria: VictoriaMetrics
) -> None:
    victoria.kill()
    with pytest.raises(StoreError, match="Connection refused"):
        ship(journal.path, section(victoria), 30)
    victoria.start()
    assert ship(journal.path, section(victoria), 60).left == 0
    labels = f'run="{journal.run.id}",db="downtimer"'
    wait_until(
        lambda: len(victoria.samples(f"service_response_up{{{labels}}}", 100)) == 100,
        timeout_s=30,
        what="every sample",
    )
