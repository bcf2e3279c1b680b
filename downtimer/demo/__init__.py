"""A simulated cloud with scripted faults: real processes, sockets and addresses, for the demo and the tests."""
