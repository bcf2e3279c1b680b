"""A minute of it: what leaks at every probe, span or commit shows by then."""

from pathlib import Path
from typing import Final

from tests.soak.__main__ import MEMORY_MOST, compose
from tests.soak.soak import soak

SECONDS: Final = 60.0


def test_nothing_grows_with_time(tmp_path: Path) -> None:
    result = soak(tmp_path, seconds=SECONDS)
    assert len(result.growths) == 5
    for one in result.growths:
        assert one.last.descriptors <= one.first.descriptors, compose(result)
        assert one.last.threads <= one.first.threads, compose(result)
        assert one.memory_bytes <= MEMORY_MOST, compose(result)
    assert result.spans_per_hour > 0
