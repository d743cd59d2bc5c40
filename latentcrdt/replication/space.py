"""Space given back: which fragments nobody needs any more, and never one that somebody is adding.

Rule: a fragment is removed only under the lock under which others are kept. Reason: between the
moment a push finds its fragment held and the moment it is a member, no state names it; removed in
between, an acknowledged member would have no bytes.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError
from latentcrdt.replication.states import States
from latentcrdt.store.protocol import Store

logger = logging.getLogger(__name__)


class Space:
    """Removes fragments that states have released. May be used from any thread."""

    def __init__(
        self,
        store: Store,
        states: States,
        prefix_of: Callable[[FragmentId], FragmentId | None],
    ) -> None:
        self._store = store
        self._states = states
        self._prefix_of = prefix_of
        self._lock = threading.Lock()
        self._kept: Counter[FragmentId] = Counter()

    @contextmanager
    def keep(self, fragment_id: FragmentId) -> Iterator[None]:
        """Let no one remove a fragment while the block makes it a member."""
        with self._lock:
            self._kept[fragment_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._kept[fragment_id] -= 1
                if not self._kept[fragment_id]:
                    del self._kept[fragment_id]

    def reclaim(self, released: Iterable[FragmentId]) -> int:
        """Remove those that are no state's member, nor a prefix of one; return how many.

        Readers that have one in hand keep it: a store takes away its name, not its bytes.
        """
        members = self._states.members()
        unneeded = set(released) - members
        if unneeded:
            unneeded -= self._prefixes(members)
        removed = 0
        for fragment_id in unneeded:
            with self._lock:
                if fragment_id not in self._kept and not self._states.hold(fragment_id):
                    self._store.remove(fragment_id)
                    removed += 1
        logger.info("gave back the space of %d fragments", removed)
        return removed

    def _prefixes(self, members: Iterable[FragmentId]) -> set[FragmentId]:
        """Return every fragment that a member stands behind, at whatever distance."""
        prefixes: set[FragmentId] = set()
        waiting = list(members)
        while waiting:
            try:
                prefix = self._prefix_of(waiting.pop())
            except (FragmentNotFoundError, CorruptFragmentError):
                continue  # lost or quarantined: it stands behind nothing until it is healed
            if prefix is not None and prefix not in prefixes:
                prefixes.add(prefix)
                waiting.append(prefix)
        return prefixes
