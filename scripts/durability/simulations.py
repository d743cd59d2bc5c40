"""The simulated part of the report: random seeds, every point, and the bugs that both must see."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from scripts.durability.crash_points import FAULTS, JOINS, POWER_CUTS, every_point
from scripts.durability.plants import PLANTS, planted
from scripts.durability.row import Row
from scripts.durability.simulated import run

PLACES = {"an empty disk": 0, "a store": 1, "segments to join": JOINS}
"""Where each point is tried, and the processes that served there before."""

WAY_POINTS = 8 * POWER_CUTS
"""The first points of an empty disk, at which the way to the store is made."""


def seeds(count: int) -> Row:
    """Run so many random seeds."""
    row = Row("simulated: any fault in each of 7 processes", f"{count} seeds")
    began = time.perf_counter()
    faults: Counter[str] = Counter()
    for seed in range(count):
        outcome = run(seed)
        faults += outcome.faults
        row.acknowledged += outcome.num_acknowledged
        row.broken += [f"seed {seed}: {broken}" for broken in outcome.broken]
    row.points = faults.total()
    by_kind = ", ".join(f"{kind} {number}" for kind, number in faults.most_common())
    row.note = f"{by_kind}; {count / (time.perf_counter() - began):.0f} seeds/s"
    return row


def points() -> Iterator[Row]:
    """Try each kind of fault at every operation of a process."""
    for fault in FAULTS:
        for place, processes_before in PLACES.items():
            row = Row(f"simulated: {fault}, at every operation", place)
            for point in every_point(fault, processes_before=processes_before):
                row.points += 1
                row.acknowledged += point.num_acknowledged
                row.broken += [f"operation {point.operation}: {b}" for b in point.broken]
            yield row


def plants() -> Iterator[Row]:
    """Plant each bug, and look until it is seen."""
    for name in PLANTS:
        row = Row("simulated, with a planted bug", name, points=1, is_control=True)
        with planted(name):
            row.broken += islice(broken_promises(), 1)
        yield row


def broken_promises() -> Iterator[str]:
    """Yield what seeds and points find, the quickest to find much first."""
    for seed in range(15):
        yield from run(seed).broken
    for fault in ("sync fails", "killed"):
        for point in every_point(fault, processes_before=1):
            yield from point.broken
    for point in islice(every_point("killed", processes_before=0), WAY_POINTS):
        yield from point.broken
    for point in every_point("killed", processes_before=JOINS):
        yield from point.broken
