"""Power cuts, kills and failing disks, simulated: what was acknowledged lasts, no more shows."""

from __future__ import annotations

import pytest

from scripts.durability.crash_points import FAULTS, JOINS, every_point
from scripts.durability.plants import PLANTS, planted
from scripts.durability.simulated import run
from scripts.durability.simulations import broken_promises


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", logger="latentcrdt")


@pytest.mark.parametrize("block", range(3))
def test_no_seed_breaks_a_promise(block: int) -> None:
    outcomes = [run(seed) for seed in range(25 * block, 25 * block + 25)]
    assert [outcome for outcome in outcomes if outcome.broken] == []
    assert sum(outcome.num_acknowledged for outcome in outcomes) > 200
    faults = set().union(*(outcome.faults for outcome in outcomes))
    assert faults == set(FAULTS)


@pytest.mark.parametrize("processes_before", [1, JOINS])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_at_any_point_breaks_a_promise(fault: str, processes_before: int) -> None:
    points = list(every_point(fault, processes_before=processes_before))
    assert [point for point in points if point.broken] == []
    assert points[-1].operation > 6


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_caught(name: str) -> None:
    with planted(name):
        assert next(broken_promises(), None) is not None
