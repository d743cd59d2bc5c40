"""Nemesis: lets one fault after the other begin, last and end, and writes it into the history."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass

from latentcrdt.testing.jepsen.faults import Cluster, Fault
from latentcrdt.testing.jepsen.recorder import Recorder

BEGINS, BEGUN, ENDS, ENDED = "begins", "begun", "ends", "ended"
"""What the history says of a fault; BEGINS is followed by what it is exactly."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take: least and most, in seconds."""

    calm_s: tuple[float, float]
    """Before each fault."""
    fault_s: tuple[float, float]
    """From when a fault has begun until it is undone."""


async def torment(
    cluster: Cluster,
    faults: Iterable[Fault],
    recorder: Recorder,
    timing: Timing,
    rng: random.Random,
) -> None:
    """Inflict the faults, one after the other; each has ended on return, also by an error."""
    for fault in faults:
        await asyncio.sleep(rng.uniform(*timing.calm_s))
        recorder.note(fault.name, f"{BEGINS} {fault}")
        try:
            await fault.begin(cluster)
            recorder.note(fault.name, BEGUN)
            await asyncio.sleep(rng.uniform(*timing.fault_s))
        finally:
            recorder.note(fault.name, ENDS)
            await fault.end(cluster)
            recorder.note(fault.name, ENDED)
