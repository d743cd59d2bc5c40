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
        "latentcrdt/replication/fragments.py",
        "            self._store.verify(fragment_id)\n",
        "",
        "tests/replication/test_damage.py",
    ),
    Mutant(
        "a lost prefix of a member that is held is not asked for",
        "latentcrdt/replication/prefix_chain.py",
        "            fragment_id = behind[fragment_id]\n",
        "            fragment_id = None\n",
        "tests/replication/test_anti_entropy.py",
    ),
    Mutant(
        "the feed forgets that a state was retracted",
        "latentcrdt/replication/feed.py",
        "if name not in told:",
        "if name not in self._retracted:",
        "tests/replication/test_feed.py",
    ),
    Mutant(
        "the feed never forgets",
        "latentcrdt/replication/feed.py",
        "self._num_to_forget += num_members",
        "pass",
        "tests/replication/test_feed.py",
    ),
)
