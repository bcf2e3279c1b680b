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
        (["start", "--new", "--resume"], "--new and --resume exclude each other; "),
        (["start", "--label", "x", "--label=y"], "--label is given more than once; "),
        (["status", "nova"], "'nova' is one word too many; it is downtimer status ["),
        (["compare", "latest", "latest~1", "-"], "'-' is one word too many; it is downtimer compare ["),
        (["status", "-c"], "-c needs a value (FILE); "),
        (["-c", "x", "status", "-c"], "-c needs a value (FILE); "),
        (["status", "-x"], "unknown option -x; `"),
        (["status", "--foo"], "unknown option --foo; `"),
        (["mark"], "TEXT is lacking; it is downtimer mark ["),
        (["mark", "--"], "TEXT is lacking; it is downtimer mark ["),
        (["import", "--from", "rally"], "FILE is lacking; it is downtimer import ["),
        (["import", "a", "b"], "'b' is one word too many; it is downtimer import ["),
        (["demo", "cloud"], "'cloud' is one word too many; it is downtimer demo ["),
        (["demo", "--", "true"], "wrong usage: demo -- true; it is downtimer demo ["),
        (["run"], "no `--` before the command; it is downtimer run [OPTIONS] -- COMMAND; "),
        (
            ["run", "--assert", "zero-downtime", "true", "now"],
            "no `--` before the command; it is downtimer run [OPTIONS] -- true now; ",
        ),
        (["run", "true", "--", "now"], "'true' is no option; the command comes behind the `--`; "),
        (["run", "--assert", "<= 1s", "--assert", "<= 1%", "--"], "no command behind the `--`; "),
        (["-V"], "unknown option -V; did you mean --version?"),
        (["version"], "unknown command version; did you mean --version?"),
        (["help", "strat"], "unknown command 'strat'; did you mean start?"),
    ],
)
def test_wrong_words_are_one_line_that_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    code, text = said(capsys, *words)
    assert code == (125 if words[:1] == ["run"] else 2)
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
    assert said(capsys, "help", name) == (0, text)


def test_help_without_a_command_is_that_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "help") == said(capsys, "--help")
