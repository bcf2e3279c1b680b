"""The tests of downtimer."""
