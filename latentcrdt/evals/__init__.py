"""Benchmarks: what a merge is worth to the agent that decodes from it."""
