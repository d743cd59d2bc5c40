"""The states of one replica: durable first, then seen by readers, then told to those who follow."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

from latentcrdt.core.ids import FragmentId, RootDigest, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.core.sync.roots import Roots, StateRoot
from latentcrdt.errors import StateNotFoundError, StateRetractedError
from latentcrdt.replication.feed import Feed
from latentcrdt.store.protocol import Store


@dataclass(frozen=True, slots=True)
class StateOverview:
    """A state from afar."""

    root: RootDigest
    num_fragments: int


class States:
    """Named states over a store. Every method may be called from any thread."""

    def __init__(self, store: Store) -> None:
        """Load every state that the store knows."""
        self._store = store
        self._lock = threading.Lock()
        self._states = store.states()
        self._feed = Feed(secrets.token_hex(8))
        for name, state in self._states.items():
            self._feed.append(name, state.ids)

    def merge(self, name: StateName, delta: LatentState) -> bool:
        """Merge ``delta`` into a state, durably; return whether the state grew.

        A state that was retracted takes everything and keeps nothing. No ids and no lifetime: the
        state is declared, and has grown if it was not.
        """
        with self._lock:
            state = self._states.get(name)
            if state is not None and delta <= state:
                return False
        self._store.merge(name, delta)
        return self._adopt(name, delta)

    def refresh(self) -> None:
        """Take over what other processes merged into the same store."""
        for name, delta in self._store.refresh().items():
            self._adopt(name, delta)

    def names(self) -> list[StateName]:
        """Return the names of the states that live, sorted."""
        with self._lock:
            return sorted(name for name, s in self._states.items() if not s.is_retracted)

    def overview(self) -> dict[StateName, StateOverview]:
        """Return root and size of every state that lives; copies none."""
        with self._lock:
            return {
                name: StateOverview(state.root, len(state))
                for name, state in self._states.items()
                if not state.is_retracted
            }

    def get(self, name: StateName) -> LatentState:
        """Return a copy of a state as it is now.

        Raises StateNotFoundError, or StateRetractedError.
        """
        with self._lock:
            state = self._states.get(name)
            if state is None:
                raise StateNotFoundError(f"state {name!r}: never declared or added to", state=name)
            _refuse_retracted(name, state)
            return state.copy()

    def refuse_retracted(self, name: StateName) -> None:
        """Raise StateRetractedError if the state was retracted; costs nothing in a large one."""
        with self._lock:
            state = self._states.get(name)
            if state is not None:
                _refuse_retracted(name, state)

    def expired(self, now: float) -> list[StateName]:
        """Return the states whose lifetime has ended; ``now`` in Unix seconds."""
        with self._lock:
            return [
                name
                for name, state in self._states.items()
                if state.expires_at is not None and state.expires_at <= now
            ]

    def members(self) -> set[FragmentId]:
        """Return the members of all states together."""
        with self._lock:
            return {fragment_id for state in self._states.values() for fragment_id in state}

    def hold(self, fragment_id: FragmentId) -> bool:
        """Return whether any state has the fragment as a member."""
        with self._lock:
            return any(fragment_id in state for state in self._states.values())

    def roots(self) -> Roots:
        """Return the roots of all states, the retracted ones included."""
        with self._lock:
            roots = {name: StateRoot.of(state) for name, state in self._states.items()}
            return Roots(self._feed.cursor, roots)

    def changes(self, after: Cursor | None) -> FeedPage:
        """Return what was learned since a cursor, or from the beginning: a page of it."""
        with self._lock:
            return self._feed.page(after, self._states)

    def _adopt(self, name: StateName, delta: LatentState) -> bool:
        """Show readers, and tell followers, what is durable."""
        with self._lock:
            state = self._states.get(name)
            if state is None:
                state = self._states[name] = LatentState()
            elif delta <= state:
                return False
            if delta.is_retracted:
                self._feed.retract(name, len(state))
            else:
                self._feed.append(name, delta.delta(state))
            state.merge(delta)
            return True


def _refuse_retracted(name: StateName, state: LatentState) -> None:
    if state.is_retracted:
        raise StateRetractedError(
            f"state {name!r}: retracted, for good; choose another name", state=name
        )
