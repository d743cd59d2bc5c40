"""How much of a quota is used: what states hold, as the replica's feed tells it, and what comes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.sync.feed import Cursor
from latentcrdt.errors import (
    BusyError,
    CorruptFragmentError,
    FragmentNotFoundError,
    QuotaExceededError,
)
from latentcrdt.replication.replica import Replica
from latentcrdt_server.grants import Scope
from latentcrdt_server.principals import Principal
from latentcrdt_server.roster import Roster


class Ledger:
    """Keeps the states of one principal within its quota. May be used from any thread."""

    def __init__(self, principal: Principal, roster: Roster) -> None:
        self._principal = principal
        self._roster = roster
        quota = principal.quota
        self._limits = {"bytes": quota.bytes, "fragments": quota.fragments}
        self._lock = threading.Lock()
        self._cursor: Cursor | None = None
        self._sizes: dict[FragmentId, int] = {}
        """Of what counts."""
        self._num_bytes = 0
        self._lost: set[FragmentId] = set()
        """Members whose bytes are not there: they take no room until they come again."""
        self._coming: Counter[FragmentId] = Counter()
        self._coming_sizes: dict[FragmentId, int] = {}

    @contextmanager
    def reserve(self, header: FragmentHeader, replica: Replica) -> Iterator[None]:
        """Hold room for a fragment for the duration of the block, in which it may become a member.

        A fragment that counts already needs none. Raises QuotaExceededError when there is no room,
        BusyError when there would be if nothing else were on its way in.
        """
        if not any(self._limits.values()):
            yield
            return
        fragment_id = header.fragment_id
        with self._lock:
            # What was just made a member still counts as coming until its block ends, and by its
            # id: so nothing is missed in between, and nothing counted twice.
            self._measure(replica)
            if fragment_id not in self._sizes:
                self._check(fragment_id, header.file_bytes)
            self._coming[fragment_id] += 1
            self._coming_sizes[fragment_id] = header.file_bytes
        try:
            yield
        finally:
            with self._lock:
                self._coming[fragment_id] -= 1
                if not self._coming[fragment_id]:
                    del self._coming[fragment_id], self._coming_sizes[fragment_id]

    def _measure(self, replica: Replica) -> None:
        new, self._lost = self._lost, set()
        has_shrunk = False
        for page in replica.pages(self._cursor):
            for name, delta in page.deltas.items():
                if self._counts(name):
                    has_shrunk |= delta.is_retracted
                    new.update(delta)
            self._cursor = page.cursor
        for fragment_id in new - self._sizes.keys():
            try:
                size = replica.fragments.summary(fragment_id).file_bytes
            except (FragmentNotFoundError, CorruptFragmentError):
                self._lost.add(fragment_id)
                continue
            self._sizes[fragment_id] = size
            self._num_bytes += size
        if has_shrunk:
            members = self._roster.members(replica, self._counts)
            self._lost &= members
            for gone in self._sizes.keys() - members:
                self._num_bytes -= self._sizes.pop(gone)

    def _counts(self, name: StateName) -> bool:
        return self._principal.may(Scope.ADD, name)

    def _check(self, fragment_id: FragmentId, num_bytes: int) -> None:
        others = self._coming_sizes.keys() - self._sizes.keys() - {fragment_id}
        held = {"bytes": self._num_bytes, "fragments": len(self._sizes)}
        coming = {"bytes": sum(self._coming_sizes[i] for i in others), "fragments": len(others)}
        asked = {"bytes": num_bytes, "fragments": 1}
        name = self._principal.name
        for what, limit in self._limits.items():
            if limit is None:
                continue
            if held[what] + asked[what] > limit:
                raise QuotaExceededError(
                    f"quota of principal {name!r}: {limit} {what} allowed in the states that it "
                    f"may add to, {held[what]} used, {asked[what]} more asked for",
                    what=what,
                    limit=limit,
                    used=held[what],
                )
            if held[what] + coming[what] + asked[what] > limit:
                raise BusyError(
                    f"quota of principal {name!r}: {limit} {what} allowed, {held[what]} used and "
                    f"{coming[what]} on their way in; {asked[what]} more have to wait",
                    limit=limit,
                )
