"""Where fragments are: the states that each is a member of, and what was captured behind it.

Follows the replica's own feed, so that a question costs what is new since the last one, and not a
copy of every state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.sync.feed import Cursor
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError
from latentcrdt.replication.replica import Replica


class Roster:
    """About 200 bytes a fragment, once it was asked. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursor: Cursor | None = None
        self._states_of: dict[FragmentId, tuple[StateName, ...]] = {}
        self._behind: dict[FragmentId, set[FragmentId]] = {}
        """By prefix: the fragments that were captured right behind it."""
        self._is_placed: set[FragmentId] = set()
        """Prefixes that are no member, and whose own prefix is known."""

    def is_member(
        self,
        fragment_id: FragmentId,
        replica: Replica,
        of: Callable[[StateName], bool],
    ) -> bool:
        """Return whether a fragment is a member of a state that ``of`` accepts."""
        with self._lock:
            self._follow(replica)
            return any(map(of, self._states_of.get(fragment_id, ())))

    def is_within(
        self,
        fragment_id: FragmentId,
        replica: Replica,
        of: Callable[[StateName], bool],
    ) -> bool:
        """Return whether it is a member of such a state, or what a member was captured behind."""
        with self._lock:
            self._follow(replica)
            waiting, seen = [fragment_id], {fragment_id}
            while waiting:
                found = waiting.pop()
                if any(map(of, self._states_of.get(found, ()))):
                    return True
                new = self._behind.get(found, set()) - seen
                waiting += new
                seen |= new
            return False

    def members(self, replica: Replica, of: Callable[[StateName], bool]) -> set[FragmentId]:
        """Return the members of all states that ``of`` accepts."""
        with self._lock:
            self._follow(replica)
            return {i for i, names in self._states_of.items() if any(map(of, names))}

    def _follow(self, replica: Replica) -> None:
        for page in replica.pages(self._cursor):
            for name, delta in page.deltas.items():
                if delta.is_retracted:
                    self._forget(name)
                for fragment_id in delta:
                    self._place(fragment_id, replica)
                    names = self._states_of.get(fragment_id, ())
                    if name not in names:
                        self._states_of[fragment_id] = (*names, name)
            self._cursor = page.cursor

    def _forget(self, retracted: StateName) -> None:
        for fragment_id, names in list(self._states_of.items()):
            if names == (retracted,):
                del self._states_of[fragment_id]
            elif retracted in names:
                self._states_of[fragment_id] = tuple(n for n in names if n != retracted)

    def _place(self, fragment_id: FragmentId, replica: Replica) -> None:
        """Note what a fragment is behind, and what that is behind, as far as it is held.

        What is lost or damaged stands behind nothing: it is read again when the server starts.
        """
        while fragment_id not in self._states_of and fragment_id not in self._is_placed:
            try:
                prefix = replica.fragments.prefix_of(fragment_id)
            except (FragmentNotFoundError, CorruptFragmentError):
                return
            if prefix is None:
                return
            self._is_placed.add(fragment_id)
            self._behind.setdefault(prefix, set()).add(fragment_id)
            fragment_id = prefix
