"""Where measurements are kept: the journal (SQLite) is the truth, InfluxDB is fed from it."""
