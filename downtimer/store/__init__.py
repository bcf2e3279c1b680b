"""Where measurements are kept: the journal (SQLite), which is the truth, and InfluxDB, which is fed from it."""
