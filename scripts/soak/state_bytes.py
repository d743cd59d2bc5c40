"""What a state leaves behind for good, measured: that it was retracted must never be forgotten."""

from __future__ import annotations

import tracemalloc

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment

NUM_STATES = 400
"""So many that the steps in which dictionaries grow are small beside it."""

OURS = [tracemalloc.Filter(inclusive=True, filename_pattern="*/latentcrdt/*")]


def retracted_state_bytes() -> float:
    """Return the memory of a replica that each state still takes once it was retracted, in bytes.

    Python's own count of what it handed out to our code, in this process, without a server. Of
    states a store in memory keeps what one in a directory does.
    """
    replica = Replica(MemoryStore())
    ids = [make_fragment(seed).fragment_id for seed in range(10)]
    tracemalloc.start()
    sizes = []
    for n in range(2 * NUM_STATES + 1):
        if n % NUM_STATES == 0:
            traces = tracemalloc.take_snapshot().filter_traces(OURS).traces
            sizes.append(sum(trace.size for trace in traces))
        replica.merge(StateName(f"soak-{n}"), LatentState(ids))
        replica.merge(StateName(f"soak-{n}"), LatentState(retracted=True))
    tracemalloc.stop()
    return (sizes[2] - sizes[1]) / NUM_STATES
