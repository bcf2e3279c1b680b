"""``status --watch``: how things stand, at one refresh a second. Runs in the command; asks the daemon."""
