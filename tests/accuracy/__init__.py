"""How accurate downtimer is: faults at random phases and lengths, held against what was really injected."""
