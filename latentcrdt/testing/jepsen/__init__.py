"""A Jepsen-style test of a grow-only set: histories, the set-full checker, faults, a workload.

Clients add fragments and read states at several servers while a nemesis injects faults. Every
operation is written to a history, and checkers judge the history alone. Starting servers is left
to the caller (`scripts/jepsen` does), who implements `nemesis.Cluster`.
"""
