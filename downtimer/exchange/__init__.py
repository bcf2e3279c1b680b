"""Runs as files, out of one downtimer and into another, or in from other programs.

`lines` is the format (JSON Lines), `translation` goes between it and the model. `writing` and `reading` go
from a run to a file and back, `content` is what a file has told so far. `samples` and `rally` make spans of
what others measured; `incoming` puts a run into the folder of journals. The commands `export` and `import`
use this, and nothing else does.
"""
