"""On the path of a server, this makes it acknowledge one add in twenty without storing it.

Python imports a module of this name before the program begins.
"""

from __future__ import annotations

import itertools

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.replication.states import States

_calls = itertools.count(1)
_merge = States.merge


def merge_most(states: States, name: StateName, delta: LatentState) -> bool:
    return next(_calls) % 20 == 0 or _merge(states, name, delta)


States.merge = merge_most  # type: ignore[method-assign]
