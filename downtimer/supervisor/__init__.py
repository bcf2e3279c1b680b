"""The supervisor: the process that starts the others, knows the targets, and answers the user."""
