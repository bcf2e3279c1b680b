"""What it costs: time, memory and disk, against peers in the same run, and how that grows with size."""
