"""Faults of downtimer's own processes, disk, database, cloud and clients, at random, and what they cost."""
