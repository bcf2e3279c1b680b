"""The generated parts of the documentation are whole: nothing that the code has is lacking."""

import dataclasses
import html as markup
import json
import os
import re
import subprocess
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from downtimer import config
from downtimer.cli import COMMANDS
from downtimer.verdicts import CAUSES
from tests.docs import words
from tests.docs.conftest import ROOT

MAN_TIMEOUT_S = 60


def code(word: str) -> str:
    """Return how a word looks on a page as code."""
    return f'<span class="pre">{markup.escape(word)}</span>'


def test_every_section_and_option_of_the_configuration_is_there(html: Path) -> None:
    page = (html / "reference" / "configuration.html").read_text()
    of_one_service = get_args(get_type_hints(config.Config)["checks"])[1]
    for name, section in {**config.SECTIONS, "check NAME": of_one_service}.items():
        part = page.partition(f"<h2>[{name}]")[2].partition("<h2>")[0]
        assert [one.name for one in dataclasses.fields(section) if code(one.name) not in part] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_its_options(html: Path, name: str) -> None:
    page = (html / "reference" / "commands.html").read_text()
    options = set(re.findall(r"(?m)^  (?:-[a-z][ A-Z]*, )?(--[a-z-]+)", words.usage_of(name)))
    part = page.partition(f"<h2>downtimer {name}<")[2].partition("<h2>")[0]
    assert part
    assert [option for option in options if code(option) not in part] == []


def test_every_cause_is_there(html: Path) -> None:
    page = (html / "reference" / "causes.html").read_text()
    assert [cause for cause in (*CAUSES, "http-NNN") if f"<p>{cause}</p>" not in page] == []


def test_every_field_of_the_json_report_is_there(html: Path) -> None:
    page = (html / "reference" / "schema.html").read_text()
    schema = json.loads((ROOT / "doc" / "report.schema.json").read_text())
    for node in (schema, *schema["$defs"].values()):
        assert [field for field in node.get("properties", {}) if code(field) not in page] == []


def test_definitions_of_the_json_report_are_named_in_words(html: Path) -> None:
    page = (html / "reference" / "schema.html").read_text()
    assert "<h2>Phase figures<" in page
    assert re.findall(r"<h2>[^<]*_|<p>(?:list of )?[a-z]+_[a-z]+</p>", page) == []


def test_the_front_page_lists_the_chapters_of_the_reference(html: Path) -> None:
    page = (html / "index.html").read_text().partition('role="main"')[2]
    reference = page.partition(">Reference</a>")[2].partition("</ul>")[0]
    titles = re.findall(r">([^<>\n]+)</a>", reference)
    assert titles == ["Commands", "Configuration", "Causes", "Exit status", "Environment", "Files"]


def test_colons_make_no_links_of_plain_words(html: Path) -> None:
    assert 'href="service:' not in (html / "reference" / "commands.html").read_text()


def test_the_man_page_is_sound_and_has_every_command(man: Path) -> None:
    shown = manual(man)
    assert shown.stderr == ""
    assert shown.stdout.startswith("DOWNTIMER(1)")
    assert [name for name in COMMANDS if f"downtimer {name}" not in shown.stdout] == []
    assert "keystone_endpoint" in shown.stdout


def test_the_man_page_has_the_usual_sections_and_no_empty_links(man: Path) -> None:
    text = manual(man).stdout
    assert re.findall(r"(?m)^([A-Z]{2}[A-Z ]+)$", text) == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "CONFIGURATION", "CAUSES"),
        *("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"),
    ]
    assert re.findall(r"<>|<service", text) == []
    assert "see Credentials." in re.sub(r"\s+", " ", text)


def manual(page: Path) -> "subprocess.CompletedProcess[str]":
    """Return what man shows, and warns of."""
    return subprocess.run(
        ["man", "--warnings", "--local-file", str(page)],
        env=os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        timeout=MAN_TIMEOUT_S,
        check=True,
    )
