"""A machine in memory whose faults are chosen by a seed."""
