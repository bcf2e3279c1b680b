"""What is shown of an answer of the daemon looks as it does in a report."""

from hypothesis import given
from hypothesis import strategies as st

from downtimer.control.wording import moment_of
from downtimer.exchange.lines import START_MAX_NS
from downtimer.report import wording


def test_moment_is_rounded_to_the_millisecond() -> None:
    assert moment_of("2026-11-26T20:32:39.713926Z") == "2026-11-26 20:32:39.714 UTC"


@given(st.integers(0, START_MAX_NS // 1000))
def test_moment_is_that_of_reports(utc_us: int) -> None:
    assert moment_of(wording.rfc3339(utc_us * 1000)) == f"{wording.moment(utc_us * 1000)} UTC"
