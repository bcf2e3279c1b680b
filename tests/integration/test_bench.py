"""The benchmarks measure what they say: a short run of each kind, and what a document is made of."""

from pathlib import Path

import pytest

from downtimer.demo.netns import Namespaces
from downtimer.demo.processes import Spawner
from tests.bench import document, figures
from tests.bench.echoes import BLOCK, EchoBench
from tests.bench.figures import Figure, Growth, Results

ADDRESSES = 2_000


def test_two_thousand_addresses_are_probed_once_a_second_without_a_loss(tmp_path: Path) -> None:
    """By a real worker, with all its work; each probe that was sent is in a span."""
    spawner = Spawner()
    try:
        with Namespaces(spawner) as network:
            network.add_block(BLOCK)
            found = EchoBench(tmp_path, spawner, network).ours(ADDRESSES, 4)
    finally:
        spawner.close()
    assert found["lost"] == 0
    assert 3 * ADDRESSES <= found["sent"] <= 6 * ADDRESSES
    assert found["probes"] + found["unknown"] >= found["sent"] + ADDRESSES
    assert found["cpu_us"] > 0
    assert found["peak_mb"] > 10


@pytest.mark.parametrize(
    ("values", "at_most", "at_least", "is_kept"),
    [((1.0, 9.0, 2.0), 2.0, None, True), ((3.0, 9.0, 2.0), 2.0, None, False), ((3.0, 4.0), None, 3.6, False)],
)
def test_promise_is_held_against_the_median(
    values: tuple[float, ...], at_most: float | None, at_least: float | None, *, is_kept: bool
) -> None:
    """One run of several may be worse."""
    figure = Figure(what="it", values=values, unit="s", at_most=at_most, at_least=at_least)
    assert figure.is_kept is is_kept
    table = figures.table_of_figures([figure])
    assert ("NO" in table) is not is_kept


def test_document_has_a_section_for_each_benchmark() -> None:
    """With its figures, and how they grow."""
    growth = Growth(what="How it grows", columns=("Size", "Cost, s"), rows=((1_000, 0.1), (10_000, 1.0)))
    figure = Figure(what="it", values=(1.0,), unit="s", at_most=2.0)
    text = document.compose([("Echoes.\n\nWhat is measured.", Results([figure], [growth]))])
    assert "Echoes\n------\n\nWhat is measured.\n" in text
    assert "10,000" in text
    assert "≤ 2 s" in text
