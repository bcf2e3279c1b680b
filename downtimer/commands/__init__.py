"""The commands, a module each: `run` takes docopt's arguments and returns an exit code; errors are raised.

Only the one that was asked for is imported: what a report needs would hold up a start.
"""
