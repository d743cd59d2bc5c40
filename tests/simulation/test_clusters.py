"""Whole clusters under faults: every seed keeps its promises, and every planted bug is caught."""

from __future__ import annotations

import pytest

from latentcrdt.testing.simulation.checks import ViolationError
from latentcrdt.testing.simulation.planted import PLANTED
from latentcrdt.testing.simulation.run import simulate

SEEDS_A_TEST = 100
"""`python -m scripts.simulate` runs as many as one likes."""

ENOUGH_SEEDS = 300
"""Within so many, each planted bug shows; the slowest took about 100 when it was planted."""


@pytest.mark.parametrize("first", range(0, 2000, SEEDS_A_TEST))
def test_nothing_acknowledged_is_lost_and_machines_that_meet_are_equal(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        simulate(seed)


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug: str) -> None:
    def run_until_caught() -> None:
        for seed in range(ENOUGH_SEEDS):
            simulate(seed)

    with PLANTED[bug](), pytest.raises(ViolationError, match=r"^seed "):
        run_until_caught()


def test_a_seed_that_fails_fails_the_same_way_again() -> None:
    with PLANTED["the last writer wins"]():
        messages = []
        for _ in range(2):
            with pytest.raises(ViolationError) as caught:
                simulate(0)
            messages.append(str(caught.value))
    assert messages[0] == messages[1]
