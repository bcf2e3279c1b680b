"""Tests of the documentation: what it says is so."""
