"""How Sphinx makes the documentation, html and the man page. `make docs` has it do so."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import downtimer  # noqa: E402 - from this checkout

project = "downtimer"
author = "the downtimer authors"
copyright = "2026, the downtimer authors"  # noqa: A001 - Sphinx's name for it
release = version = downtimer.__version__

extensions = ["generated"]
exclude_patterns = ["_build"]
nitpicky = True
language = "en"
smartquotes = False  # commands and options stand in the text
highlight_language = "none"  # output of ours is in no language

html_theme = "furo"
html_title = f"downtimer {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"code-font-size": "75%"},
}

man_pages = [
    (
        "reference/index",
        "downtimer",
        "measure how long APIs and floating IPs of a cloud are down",
        [author],
        1,
    )
]
man_show_urls = False
