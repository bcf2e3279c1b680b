"""The command line: what is said of words that are wrong, and that each command tells of itself."""

import importlib
import keyword
import re

import pytest

from downtimer import cli


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = cli.main(words)
    shown = capsys.readouterr()
    return code, shown.err or shown.out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "no command given; there are run, start, stop, "),
        (["begin"], "unknown command 'begin'; there are run, start, stop, "),
        (["strat"], "unknown command 'strat'; did you mean start?"),
        (["--json", "status"], "unknown option --json; an option comes after the command"),
        (["start", "--labl", "x"], "unknown option --labl; did you mean --label?"),
        (["start", "--label"], "--label needs a value (TEXT)"),
        (["start", "--l"], "--l needs a value (TEXT)"),
        (["report", "--f", "text"], "--f may be --format or --from"),
        (["runs", "--json=yes"], "--json takes no value"),
        (["start", "--new", "--resume"], "wrong usage: start --new --resume; it is downtimer start ["),
        (["status", "nova"], "wrong usage: status nova; it is downtimer status ["),
    ],
)
def test_wrong_words_are_one_line_that_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    code, text = said(capsys, *words)
    assert code == 2
    assert text.startswith(f"downtimer: {problem}")
    assert text.count("\n") == 1


def test_the_configuration_may_be_named_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["--config", "/no/such", "status"],
        ["status", "-c", "/no/such"],
        ["--config=/no/such", "status"],
    ):
        code, text = said(capsys, *words)
        assert code == 2
        assert text.startswith("downtimer: /no/such: cannot read the configuration")


def test_help_fits_a_screen_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "--help")
    assert code == 0
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "Example: downtimer " in text
    assert all(re.search(rf"\b{name}\b", text) for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_tells_of_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, text = said(capsys, name, "--help")
    module = importlib.import_module(f"downtimer.commands.{name}{'_' * keyword.iskeyword(name)}")
    assert code == 0
    assert text.strip() == (module.__doc__ or "").strip()
    assert f"Usage: downtimer {name}" in text
    assert max(map(len, text.splitlines())) <= 80
    assert callable(module.run)
