"""Bugs in replicas."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "membership acknowledged before it is written",
        "latentcrdt/replication/states.py",
        "self._store.merge(name, delta)",
        "pass",
        "tests/replication",
    ),
    Mutant(
        "fragments with NaN admitted",
        "latentcrdt/replication/push.py",
        "        check_keys(fragment)\n",
        "",
        "tests/replication",
    ),
    Mutant(
        "damaged fragments rendered",
        "latentcrdt/replication/replica.py",
        "            self._store.verify(fragment_id)\n",
        "",
        "tests/replication/test_damage.py",
    ),
)
