"""A real upgrade of a real Keystone, measured, and held against its own log and an independent prober."""
