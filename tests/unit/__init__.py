"""Tests of pure code: no socket, no process, no sleep."""
