"""The HTML report: one file that needs nothing else, with a picture of the run and the same as tables.

`page` puts it together: `overview` is what stands on top, `rows` the table of targets, `data` what the script
draws, `notes` the rest; `assets` are its style and script. `render` is the format.
"""

from downtimer.report.html.page import render

__all__ = ["render"]
