"""The parts of the documentation that are made from the code, so that they can't drift from it.

Sphinx loads it as an extension. Each module makes reStructuredText from one source, and knows nothing of
Sphinx; here they become directives without arguments.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from generated import causes, commands, manual, options, schema

ROOT = Path(__file__).parents[2]


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of our directives, and of the files that what they say depends on."""
    package = ROOT / "downtimer"
    made: dict[str, tuple[Callable[[], str], list[Path]]] = {
        "downtimer-commands": (
            lambda: commands.text(package),
            [package / "cli.py", *sorted((package / "commands").glob("*.py"))],
        ),
        "downtimer-options": (options.text, sorted(package.glob("*.py"))),
        "downtimer-causes": (causes.text, [package / "verdicts.py"]),
        "downtimer-schema": (
            lambda: schema.text(ROOT / "doc" / "report.schema.json"),
            [ROOT / "doc" / "report.schema.json"],
        ),
    }
    for name, (text, sources) in made.items():
        app.add_directive(name, _directive(text, sources))
    app.connect("doctree-resolved", _resolved)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _resolved(app: Sphinx, tree: nodes.document, _: str) -> None:
    if app.builder.name == "man":
        manual.arrange(tree)


def _directive(text: Callable[[], str], sources: list[Path]) -> type[SphinxDirective]:
    class Generated(SphinxDirective):
        def run(self) -> list[nodes.Node]:
            for source in sources:
                self.env.note_dependency(str(source))
            return self.parse_text_to_nodes(text(), allow_section_headings=True)

    return Generated
