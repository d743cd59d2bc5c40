"""A fault at every operation of a first process; a second one repeats its requests; power cut.

What the first left half-done is what the second finds, and acknowledges: it must last all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from random import Random

from latentcrdt.core.ids import FragmentId
from latentcrdt.core.state import LatentState
from latentcrdt.errors import UnavailableError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.membership_log import MAX_SEGMENTS
from latentcrdt.testing.simulation.disk import GoneError, SimulatedDisk
from scripts.durability.faults import KINDS, Fault
from scripts.durability.promises import Promises
from scripts.durability.simulated import FRAGMENTS, IDS, NAMES, PATH

POWER_CUTS = 4
"""Ways to lose what was not synced, for each point."""

JOINS = MAX_SEGMENTS + 1

LAST = JOINS
"""The end of a lifetime that the process under test declares, beyond those before it."""

FAULTS = tuple(kind for kind in KINDS if kind != "none")


@dataclass(frozen=True, slots=True)
class Point:
    """What came of one fault at one operation."""

    fault: str
    operation: int
    num_acknowledged: int
    broken: tuple[str, ...]


def every_point(fault: str, *, processes_before: int) -> Iterator[Point]:
    """Strike at each operation of a process in turn, until one ends before it is struck.

    Processes that served before, in peace: none leave an empty disk, `JOINS` leave so many
    membership segments that the next one joins them.
    """
    made, promised = SimulatedDisk(), Promises()
    for end in range(processes_before):
        _serve(made, promised, IDS[:2], end)
        made = made.kill()
    for operation in count():
        struck = Fault(fault, operation)
        for seed in range(POWER_CUTS):
            rng = Random(seed)  # noqa: S311  # a seed must give the same run
            struck, promises = Fault(fault, operation), deepcopy(promised)
            disk = made.cut_power(rng, before=struck)
            _serve(disk, promises, IDS[2:], LAST)
            disk = disk.cut_power(rng) if fault == "power cut" else disk.kill()
            _serve(disk, promises, IDS[2:], LAST)
            store = DirectoryStore(PATH, disk=disk.cut_power(rng))
            broken = tuple(promises.broken(store, FRAGMENTS))
            yield Point(fault, operation, promises.num_acknowledged, broken)
        if not struck.has_struck:
            return


def _serve(disk: SimulatedDisk, promises: Promises, ids: list[FragmentId], end: int) -> None:
    """Be a process that takes fragments and the end of a lifetime, unless it is struck."""
    try:
        replica = Replica(DirectoryStore(PATH, disk=disk))
        for fragment_id in ids:
            delta = LatentState([fragment_id])
            promises.ask(NAMES[0], delta)
            if replica.missing([fragment_id]):
                replica.push(NAMES[0], FRAGMENTS[fragment_id])
            else:
                replica.insert(NAMES[0], fragment_id)
            promises.acknowledge(NAMES[0], delta)
        delta = LatentState(expires_at=end)
        promises.ask(NAMES[1], delta)
        replica.declare(NAMES[1], expires_at=end)
        promises.acknowledge(NAMES[1], delta)
    except (UnavailableError, GoneError):
        return
