"""Promises that were broken once, each found by the simulation, as plain tests."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.simulation.disk import Before, GoneError, SimulatedDisk

PATH, NAME, STATE = Path("/srv/data"), StateName("a"), LatentState(expires_at=1)


def at_sync_of_a_segment(error: BaseException) -> Before:
    def before(operation: str, path: Path) -> None:
        if operation == "sync" and path.suffix == ".log":
            raise error

    return before


def merge(disk: SimulatedDisk) -> None:
    DirectoryStore(PATH, disk=disk).merge(NAME, STATE)


def states_after_power_cuts(disk: SimulatedDisk) -> list[dict[StateName, LatentState]]:
    left = [disk.cut_power(Random(seed)) for seed in range(12)]
    return [DirectoryStore(PATH, disk=each).states() for each in left]


@pytest.fixture
def disk() -> SimulatedDisk:
    """One on which the store was opened before."""
    disk = SimulatedDisk()
    DirectoryStore(PATH, disk=disk)
    return disk.kill()


def test_a_membership_written_by_a_process_killed_before_its_sync_lasts_once_acknowledged(
    disk: SimulatedDisk,
) -> None:
    disk = disk.kill(at_sync_of_a_segment(GoneError()))
    with pytest.raises(GoneError):
        merge(disk)
    disk = disk.kill()
    merge(disk)  # known already, so nothing is written
    assert states_after_power_cuts(disk) == [{NAME: STATE}] * 12


def test_a_membership_whose_sync_failed_is_not_known_to_the_next_process(
    disk: SimulatedDisk,
) -> None:
    disk = disk.kill(at_sync_of_a_segment(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(StoreFailedError):
        merge(disk)
    disk = disk.kill()
    merge(disk)
    assert states_after_power_cuts(disk) == [{NAME: STATE}] * 12


def test_a_store_in_directories_that_someone_else_made_keeps_its_name() -> None:
    disk = SimulatedDisk()
    disk.make_directory(PATH.parent)
    disk.make_directory(PATH)
    merge(disk)
    assert states_after_power_cuts(disk) == [{NAME: STATE}] * 12
