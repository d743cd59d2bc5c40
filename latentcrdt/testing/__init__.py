"""Shipped test pieces: fragments to test with, strategies, and suites for other implementations."""
