"""An assertion is read as it is meant, and what is none gets one line that says what would be right."""

from fractions import Fraction

import pytest

from downtimer.assertions import Case, Judgement, Measure, Result, holds, parse
from downtimer.errors import ConfigError
from downtimer.model import SECOND_NS, Target
from tests.unit.runs import address, service

NOVA = service("nova").target
GLANCE = service("glance").target
FIRST = address("10.0.0.5").target


@pytest.mark.parametrize(
    ("text", "measure", "limit"),
    [
        ("service:nova <= 30s", Measure.DOWN, 30 * SECOND_NS),
        ("service:nova down <= 500ms", Measure.DOWN, SECOND_NS // 2),
        ("service:* longest <= 1.5min", Measure.LONGEST, 90 * SECOND_NS),
        ("service:*<=1 h", Measure.DOWN, 3600 * SECOND_NS),
        ("address:* <= 0.1%", Measure.SHARE, Fraction(1, 1000)),
        ("outages <= 3", Measure.OUTAGES, 3),
        ("observed >= 99%", Measure.OBSERVED, Fraction(99, 100)),
        ("<= 0s", Measure.DOWN, 0),
    ],
)
def test_measure_and_limit_are_read_exactly(text: str, measure: Measure, limit: Fraction | int) -> None:
    assertion = parse(f" {text} ")
    assert (assertion.text, assertion.measure, assertion.limit) == (text, measure, limit)


@pytest.mark.parametrize(
    ("text", "strict"), [("<= 1s", False), ("< 1s", True), ("observed >= 1%", False), ("observed > 1%", True)]
)
def test_strict_operator_leaves_the_limit_out(text: str, strict: bool) -> None:  # noqa: FBT001
    assert parse(text).is_strict is strict


@pytest.mark.parametrize(
    ("selector", "target", "name", "fits"),
    [
        ("", NOVA, "nova", True),
        ("", FIRST, "10.0.0.5", True),
        ("service:nova", NOVA, "nova", True),
        ("service:nova", GLANCE, "glance", False),
        ("service:*", FIRST, "10.0.0.5", False),
        ("service:nova", NOVA, "nova (RegionTwo)", True),
        ("service:nova (RegionTwo)", NOVA, "nova (RegionTwo)", True),
        ("service:nova (RegionOne)", NOVA, "nova (RegionTwo)", False),
        ("service:* (RegionTwo)", NOVA, "nova (RegionTwo)", True),
        ("service:n[ao]*", NOVA, "nova", True),
        ("address:*", FIRST, "10.0.0.5", True),
        ("address:*", NOVA, "nova", False),
        ("address:10.0.0.5", FIRST, "10.0.0.5", True),
        ("address:10.0.0.0/24", FIRST, "10.0.0.5", True),
        ("address:10.0.1.0/24", FIRST, "10.0.0.5", False),
        ("address:fd00::/64", FIRST, "10.0.0.5", False),
        ("address:10.0.*", FIRST, "10.0.0.5", True),
        ("project:shop", FIRST, "10.0.0.5", True),
        ("project:f00*", FIRST, "10.0.0.5", True),
        ("project:bank", FIRST, "10.0.0.5", False),
        ("project:*", NOVA, "nova", False),
    ],
)
def test_selector_fits_what_it_names(selector: str, target: Target, name: str, fits: bool) -> None:  # noqa: FBT001
    assert parse(f"{selector} longest <= 5s").selector.fits(target, name) is fits


def test_name_with_brackets_fits_itself_though_they_are_a_glob_too() -> None:
    odd = service("web [1]").target
    assert parse("service:web [1] <= 5s").selector.fits(odd, "web [1]")


@pytest.mark.parametrize(
    ("name", "measure", "key"),
    [
        ("zero-downtime", Measure.NO_FAILURE, "service"),
        ("accessible", Measure.NO_FAILURES_IN_A_ROW, "address"),
    ],
)
def test_two_promises_have_a_name(name: str, measure: Measure, key: str) -> None:
    assertion = parse(name)
    assert (assertion.text, assertion.measure, assertion.selector.key) == (name, measure, key)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an assertion is empty; one is, for example, 'service:nova <= 30s'"),
        ("x" * 501, "an assertion is longer than 500 characters"),
        ("zero-downtme", "it compares nothing; did you mean zero-downtime?"),
        ("service:nova", "it compares nothing; one is, for example, 'service:nova <= 30s'"),
        ("nova <= 30s", "'nova' names no kind of target; write service:nova"),
        ("servce:nova <= 30s", "not 'servce:'; did you mean service?"),
        ("service: <= 30s", "nothing comes after 'service:'; write service:* for all"),
        ("service:nova <= 30", "the limit '30' has no unit; write it as 500ms, 30s, 2min, 1h or 1%"),
        ("service:nova <= 30m", "the limit '30m' has the unit 'm'; write it as 500ms, 30s"),
        ("service:nova <=", "the limit '' is no number with a unit"),
        ("service:nova <= 1,5s", "the limit '1,5s' is no number with a unit"),
        ("service:nova <= -1s", "the limit '-1s' is no number with a unit"),
        ("service:nova >= 30s", "'down' is limited by <= or <, not by >="),
        ("observed <= 99%", "'observed' is limited by >= or >, not by <="),
        ("observed >= 10s", "the limit '10s' has the unit 's'; write it as 99%"),
        ("longest <= 5%", "the limit '5%' has the unit '%'; write it as 500ms, 30s, 2min or 1h"),
        ("outages <= 3s", "the limit of 'outages' is a whole number, as 3"),
        ("outages <= 1.5", "the limit of 'outages' is a whole number, as 3"),
        ("address:* <= 101%", "101% is more than all of the time"),
        ("service:nova == 30s", "unknown operator '=='; did you mean <=?"),
        ("service:nova ≤ 30s", "unknown operator '≤'; did you mean <=?"),
        ("service:nova longst <= 30s", "unknown measure 'longst'; did you mean longest?"),
        ("lngest <= 30s", "unknown measure 'lngest'; did you mean longest?"),
        ("address:10.0.0.5/24 <= 30s", "10.0.0.5/24 has host bits set; write 10.0.0.0/24"),
        ("address:10.0.0.0/99 <= 30s", "'10.0.0.0/99' is no address, CIDR block or pattern"),
        ("address:web <= 30s", "'web' is no address, CIDR block or pattern such as 10.0.0.*"),
        ("ser\x1b[31m:nova <= 30s", r"not 'ser\x1b[31m:'"),
    ],
)
def test_what_is_no_assertion_gets_one_line_that_says_what_is_right(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def judgement(result: Result) -> Judgement:
    return Judgement("outages <= 3", result, "", (Case(None, None, result, ""),))


@pytest.mark.parametrize(
    ("results", "strictly", "leniently"),
    [
        ([], True, True),
        ([Result.PASS], True, True),
        ([Result.PASS, Result.UNDECIDED], False, True),
        ([Result.UNDECIDED, Result.FAIL], False, False),
    ],
)
def test_undecided_holds_for_the_lenient_only(
    results: list[Result],
    strictly: bool,  # noqa: FBT001
    leniently: bool,  # noqa: FBT001
) -> None:
    judgements = [judgement(result) for result in results]
    assert holds(judgements) is strictly
    assert holds(judgements, is_lenient=True) is leniently
