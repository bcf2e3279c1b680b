"""Tests with real processes, a real Keystone and a real InfluxDB."""
