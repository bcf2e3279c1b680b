"""Whether anything of the daemon grows with time."""
