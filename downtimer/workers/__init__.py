"""The child processes: one module each, and what they share. Nothing outside imports a worker."""
