"""The proof in short: a few faults of every kind, and each of our own troubles once."""

import statistics
from collections.abc import Sequence

import pytest

from tests.accuracy import kinds, table
from tests.accuracy.proof import Results, measure

SEED = 1
COUNT = 4


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    directory = tmp_path_factory.mktemp("accuracy")
    return measure(directory, seed=SEED, count=COUNT, addresses=0, times=1)


def test_every_figure_is_within_its_bounds_and_none_is_invented(results: Results) -> None:
    """What is promised whatever the machine."""
    broken = [promise for promise in table.honest(results) if not promise.is_kept]
    assert not broken, f"{table.table_of_kinds(results)}\n{table.table_of_ours(results)}"


def test_every_kind_of_fault_was_found(results: Results) -> None:
    """It was really played. Half of it is long enough to be seen; where only some fail, chance decides."""
    for tally in results.tallies:
        if tally.kind.measure is not kinds.Measure.QUIET:
            least = 1 if tally.kind.measure is kinds.Measure.SHARE else COUNT // 2
            assert sum(finding.is_detected for finding in tally.findings) >= least, tally


@pytest.mark.parametrize(
    ("some", "ratio"),
    [
        pytest.param([kinds.KILLED_KEPT], 0.25, id="kept-connections"),
        pytest.param([kinds.KILLED_CLOSED, kinds.RESETTING, kinds.BROKEN, kinds.EXPIRED], 0.9, id="services"),
        pytest.param([kinds.DROPPED, kinds.REJECTED, kinds.DELAYED], 0.5, id="addresses"),
    ],
)
def test_figures_are_sharper_than_those_of_peers(
    results: Results, some: Sequence[kinds.Kind], ratio: float
) -> None:
    """In the same run, of the same faults."""
    tallies = [tally for tally in results.tallies if tally.kind in some]
    ours_s, theirs_s = table.errors_s(tallies), table.peers_errors_s(tallies)
    assert statistics.mean(ours_s) < ratio * statistics.mean(theirs_s), table.table_of_kinds(results)
