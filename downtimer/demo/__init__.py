"""A simulated cloud with scripted faults, of real processes and addresses: for the demo and the tests."""
