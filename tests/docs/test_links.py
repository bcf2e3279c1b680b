"""What the documentation names is there: pages, files, commands and their options, messages."""

import html as markup
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import docutils.core
import docutils.nodes
import pytest
import yaml

from downtimer import assertions
from downtimer.cli import COMMANDS
from tests.docs import words
from tests.docs.conftest import ROOT

WIDEST = 120
"""Characters of an example, as ``doc/_static/wide.css`` has room for."""

LEAST_FRAGMENT = 8
"""A shorter piece of a message, between two things that are filled in, says nothing."""


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(html: Path) -> None:
    pages = {page: page.read_text() for page in html.rglob("*.html")}
    anchors = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    assert [(page.name, link) for page, text in pages.items() for link in _broken(page, text, anchors)] == []
    foreign = re.compile(r'src(?:set)?="(?:https?:)?//|<link[^>]+href="(?:https?:)?//')
    assert [page.name for page, text in pages.items() if foreign.search(text)] == []


def _broken(page: Path, text: str, anchors: dict[Path, set[str]]) -> Iterator[str]:
    """Yield the links of a page that lead nowhere."""
    for link in re.findall(r'(?:href|src)="([^"]*)"', text):
        target, _, anchor = markup.unescape(link).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / unquote(target.partition("?")[0])).resolve() if target else page
        if not file.exists() or (anchor and unquote(anchor) not in anchors.get(file, {unquote(anchor)})):
            yield link


@pytest.mark.parametrize("name", ["README.rst", "CONTRIBUTING.rst", "CHANGELOG.rst"])
def test_what_stands_beside_the_code_is_plain_restructuredtext_with_sound_links(name: str) -> None:
    """As GitHub and PyPI render it, who know nothing of Sphinx."""
    settings = {"report_level": 2, "halt_level": 2, "file_insertion_enabled": False}
    tree = docutils.core.publish_doctree((ROOT / name).read_text(), settings_overrides=settings)
    nodes = [
        node for node in tree.findall(docutils.nodes.Element) if {"refuri", "uri"} & node.attributes.keys()
    ]
    links = [node.get("refuri") or node["uri"] for node in nodes]
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []


@pytest.mark.parametrize("source", words.SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_is_named_is_there(source: Path) -> None:
    assert [path for path in words.paths(source.read_text()) if not (ROOT / path).exists()] == []


def test_every_command_that_is_named_is_there_with_its_options(html: Path) -> None:
    pages = [page for page in sorted(html.rglob("*.html")) if page.parent.name != "decisions"]
    assert [(page.name, wrong) for page in pages for wrong in _unknown(words.code_of(page))] == []
    readme = re.findall(r"``(.+?)``|^    (.+)", (ROOT / "README.rst").read_text(), re.MULTILINE)
    assert list(_unknown("\n".join(map("".join, readme)))) == []


@pytest.mark.parametrize("recipe", sorted((ROOT / "doc" / "recipes").iterdir()), ids=lambda path: path.name)
def test_recipes_call_what_is_there(recipe: Path) -> None:
    texts = list(words.strings(yaml.safe_load(recipe.read_text())))
    assert texts
    assert list(_unknown("\n".join(texts))) == []


def _unknown(text: str) -> Iterator[str]:
    """Yield each command, and each option, that the program does not know."""
    for call in words.calls(text):
        if call.command not in COMMANDS:
            yield call.command
        else:
            known = words.usage_of(call.command)
            yield from (f"{call.command} {one}" for one in call.options - {"--help"} if one not in known)


def test_every_assertion_that_is_shown_can_be_made(html: Path) -> None:
    texts = [words.code_of(page) for page in html.rglob("*.html")]
    texts += [recipe.read_text() for recipe in (ROOT / "doc" / "recipes").iterdir()]
    shown = re.findall(
        r"""--assert,? ['"](.+?)['"]|--assert ([a-z-]+)|- "((?:service|address):.+)\"""", "\n".join(texts)
    )
    assert len(shown) > 10
    for expression in filter(None, itertools.chain(*shown)):
        assertions.parse(expression)


def test_the_container_is_made_of_what_is_there() -> None:
    copied = re.findall(r"(?m)^COPY (?!--)(.+) \S+$", (ROOT / "Containerfile").read_text())
    assert copied
    assert [path for line in copied for path in line.split() if not (ROOT / path).exists()] == []


def test_every_message_that_is_explained_is_one() -> None:
    said = words.said()
    for message in words.explained():
        pieces = [
            piece
            for piece in (part.strip(" ,:;") for part in message.split("…"))
            if len(piece) >= LEAST_FRAGMENT
        ]
        assert pieces, message
        assert [piece for piece in pieces if not any(piece in text for text in said)] == []


def test_nothing_is_installed_by_our_name_from_an_index_that_does_not_have_it() -> None:
    """Whoever took the name there would be run as root."""
    sources = [*words.SOURCES, *(ROOT / "downtimer").rglob("*.py"), *(ROOT / "doc" / "recipes").iterdir()]
    asked = re.compile(r"pip3? install [^\n`]*(?<![\w./-])downtimer(?![\w/-])")
    assert [(path.name, found[0]) for path in sources if (found := asked.search(path.read_text()))] == []


def test_no_example_is_wider_than_the_column_or_in_another_language_than_it_says(html: Path) -> None:
    """But reports of a measurement that `make` writes as they are."""
    pages = [
        page for page in html.rglob("*.html") if page.name not in ("keystone-upgrade.html", "search.html")
    ]
    assert len(pages) > 20
    lines = [(page.name, line) for page in pages for line in words.blocks_of(page)]
    assert [(name, line) for name, line in lines if len(line) > WIDEST] == []
    assert [page.name for page in pages if 'class="err"' in page.read_text()] == []
