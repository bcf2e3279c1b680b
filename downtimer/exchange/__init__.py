"""Runs as files, out of one downtimer and into another, or in from other programs.

`lines` is the format (JSON Lines), `writing` and `reading` go from a run to it and back, `samples` and
`rally` make spans of what others measured, `incoming` puts a run into the folder of journals. The commands
`export` and `import` use this, and nothing else does.
"""
