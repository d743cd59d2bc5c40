"""How much a replica holds, for the metrics: asked every few seconds, so only news is looked at.

Follows the replica's own feed. To walk a directory of 100,000 fragments takes a second at every
scrape, and to list a bucket costs money.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import Cursor
from latentcrdt.errors import LatentCRDTError
from latentcrdt.replication.replica import Replica

MEASURE_S = 1.0
"""Longest time that one count spends reading headers: Prometheus waits ten seconds for a scrape."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the states of a replica hold, each fragment counted once."""

    num_states: int
    """Those that live."""
    num_fragments: int
    """Members of a state."""
    num_bytes: int
    """Of the fragment files of those members whose headers were read."""
    num_unmeasured: int
    """Members whose headers were not: not yet, since the server started, or they are lost."""


class Inventory:
    """Counts members and their bytes; about 220 bytes a member. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursor: Cursor | None = None
        self._members: dict[StateName, set[FragmentId]] = {}
        self._num_states_of: Counter[FragmentId] = Counter()
        self._sizes: dict[FragmentId, int] = {}
        self._num_bytes = 0
        self._unmeasured: dict[FragmentId, None] = {}
        """A set in order: what could not be measured goes to the end, and holds up no other."""

    def count(self, replica: Replica) -> Holdings:
        """Return what the replica holds. Costs what is new since the last call."""
        with self._lock:
            for page in replica.pages(self._cursor):
                for name, delta in page.deltas.items():
                    self._take(name, delta)
                self._cursor = page.cursor
            self._measure(replica)
            return Holdings(
                num_states=len(self._members),
                num_fragments=len(self._num_states_of),
                num_bytes=self._num_bytes,
                num_unmeasured=len(self._unmeasured),
            )

    def _take(self, name: StateName, delta: LatentState) -> None:
        if delta.is_retracted:
            self._release(self._members.pop(name, set()))
            return
        members = self._members.setdefault(name, set())
        for fragment_id in delta:
            if fragment_id not in members:
                members.add(fragment_id)
                if not self._num_states_of[fragment_id]:
                    self._unmeasured[fragment_id] = None
                self._num_states_of[fragment_id] += 1

    def _release(self, members: set[FragmentId]) -> None:
        for fragment_id in members:
            self._num_states_of[fragment_id] -= 1
            if not self._num_states_of[fragment_id]:
                del self._num_states_of[fragment_id]
                self._num_bytes -= self._sizes.pop(fragment_id, 0)
                self._unmeasured.pop(fragment_id, None)

    def _measure(self, replica: Replica) -> None:
        """Look at members that were not measured yet, each at most once a call, for a while."""
        deadline = time.monotonic() + MEASURE_S
        for fragment_id in list(self._unmeasured):
            if time.monotonic() > deadline:
                return
            del self._unmeasured[fragment_id]
            try:
                size = replica.fragments.summary(fragment_id).file_bytes
            except LatentCRDTError:
                # Lost, damaged, or a disk that fails: metrics are needed most when that happens.
                self._unmeasured[fragment_id] = None
                continue
            self._sizes[fragment_id] = size
            self._num_bytes += size
