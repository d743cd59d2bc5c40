"""Seeds of a replica on a simulated disk: requests, a fault, an opening, and again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import FragmentNotFoundError, StateRetractedError, UnavailableError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.simulation.disk import GoneError, SimulatedDisk
from scripts.durability.faults import Fault
from scripts.durability.promises import Promises

PATH = Path("/srv/latentcrdt/data")
"""Two parents that the first opening has to make."""

LIVES = 7
"""Processes a seed: more than one joins membership segments."""

MAX_REQUESTS = 12
"""The most that a process serves."""

WEIGHTS = {"push": 12, "insert": 4, "hold": 2, "abandon": 1, "declare": 2, "retract": 1}
"""How often each request is made, in proportion."""

FRAGMENTS = {f.fragment_id: f for f in map(make_fragment, range(4))}
IDS = sorted(FRAGMENTS)
NAMES = [StateName(name) for name in "abc"]


@dataclass(slots=True)
class Outcome:
    """What happened to one seed."""

    seed: int
    num_acknowledged: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    """Promises that were not kept; empty when all is well."""


def run(seed: int) -> Outcome:
    """Run one seed, up to the first promise that is not kept."""
    rng = Random(seed)  # noqa: S311  # a seed must give the same run
    outcome = Outcome(seed)
    promises = Promises()
    disk = SimulatedDisk()
    for _ in range(LIVES):
        fault = Fault.drawn(rng)
        disk = disk.kill(before=fault)
        _live(disk, promises, rng)
        if fault.has_struck:
            outcome.faults[fault.kind] += 1
        if fault.kind == "power cut" or rng.random() < 0.5:
            outcome.faults["power cut"] += not (fault.has_struck and fault.kind == "power cut")
            disk = disk.cut_power(rng)
        else:
            disk = disk.kill()
        store = DirectoryStore(PATH, disk=disk)
        outcome.broken = list(promises.broken(store, FRAGMENTS))
        if outcome.broken:
            break
    outcome.num_acknowledged = promises.num_acknowledged
    return outcome


def _live(disk: SimulatedDisk, promises: Promises, rng: Random) -> None:
    """Be one process: open, serve, perhaps die."""
    try:
        replica = Replica(DirectoryStore(PATH, disk=disk))
    except (UnavailableError, GoneError):
        return
    for _ in range(rng.randint(0, MAX_REQUESTS)):
        try:
            _request(replica, promises, rng)
        except (UnavailableError, StateRetractedError, FragmentNotFoundError):
            continue
        except GoneError:
            return


def _request(replica: Replica, promises: Promises, rng: Random) -> None:
    name = rng.choice(NAMES)
    fragment_id = rng.choice(IDS)
    delta = LatentState([fragment_id])
    match rng.choices([*WEIGHTS], [*WEIGHTS.values()])[0]:
        case "push":
            promises.ask(name, delta)
            replica.push(name, FRAGMENTS[fragment_id])
        case "insert":
            promises.ask(name, delta)
            replica.insert(name, fragment_id)
        case "hold":
            with replica.begin_hold(fragment_id) as push:
                push.write(FRAGMENTS[fragment_id].to_bytes())
                push.commit()
            promises.keep(fragment_id)
            return
        case "abandon":
            with replica.begin_push(name) as push:
                push.write(FRAGMENTS[fragment_id].to_bytes())
            return
        case "declare":
            delta = LatentState(expires_at=rng.randrange(9))
            promises.ask(name, delta)
            replica.declare(name, expires_at=delta.expires_at)
        case _:
            delta = LatentState(retracted=True)
            promises.ask(name, delta)
            replica.retract(name)
    promises.acknowledge(name, delta)
