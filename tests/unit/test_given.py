"""Checks of what the command line, or the environment, has given."""

import pytest

from downtimer.errors import ConfigError
from downtimer.given import check_choice, check_text


def test_what_is_known_and_what_is_text_passes() -> None:
    check_choice("--format", "text", ("text", "json"))
    check_text("--label", "nova 28 → 29", most=12)


def test_unknown_word_is_told_with_those_that_are_known_and_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"^--format jsno: there are text, json; did you mean json\?$"):
        check_choice("--format", "jsno", ("text", "json"))


def test_what_is_too_long_or_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--label: longer than 3 characters$"):
        check_text("--label", "nova", most=3)
    with pytest.raises(ConfigError, match=r"^OS_PASSWORD: not UTF-8 text$"):
        check_text("OS_PASSWORD", "\udcff")
