"""What a replica acknowledged, and what it may hold at most; asked of its store after a fault."""

from __future__ import annotations

from collections.abc import Iterator

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import LatentCRDTError
from latentcrdt.store.protocol import Store

States = dict[StateName, LatentState]


class Promises:
    """Bounds: every state lies between what was acknowledged and what was ever asked for."""

    def __init__(self) -> None:
        self.num_acknowledged = 0
        self._acknowledged: States = {}
        self._asked: States = {}
        self._ever_in: dict[StateName, set[FragmentId]] = {}
        self._kept: set[FragmentId] = set()
        """Fragments acknowledged into no state."""

    def ask(self, name: StateName, delta: LatentState) -> None:
        """Note a request that is about to be made."""
        self._asked.setdefault(name, LatentState()).merge(delta)
        ever_in = self._ever_in.setdefault(name, set())
        ever_in.update(delta)
        if delta.is_retracted:
            self._kept -= ever_in  # the end of a state takes what no other one needs

    def acknowledge(self, name: StateName, delta: LatentState) -> None:
        """Note that it was answered."""
        self._acknowledged.setdefault(name, LatentState()).merge(delta)
        self.num_acknowledged += 1

    def keep(self, fragment_id: FragmentId) -> None:
        """Note that a fragment was taken into no state."""
        self._kept.add(fragment_id)
        self.num_acknowledged += 1

    def broken(self, store: Store, originals: dict[FragmentId, Fragment]) -> Iterator[str]:
        """Yield every promise that a store, opened again, does not keep."""
        states = store.states()
        for name in {**self._asked, **states}:
            if not self._acknowledged.get(name, LatentState()) <= states.get(name, LatentState()):
                yield f"state {name!r} lost something acknowledged"
            if name in self._acknowledged and name not in states:
                yield f"state {name!r} lost"
            if not states.get(name, LatentState()) <= self._asked.get(name, LatentState()):
                yield f"state {name!r} holds what no one asked for"
        held = set(store.ids())
        members = {fragment_id for state in states.values() for fragment_id in state}
        for fragment_id in sorted((members | self._kept) - held):
            yield f"fragment {str(fragment_id)[:8]} lost"
        for fragment_id in sorted(held):
            try:
                store.verify(fragment_id)
                whole = store.get(fragment_id).to_bytes() == originals[fragment_id].to_bytes()
            except LatentCRDTError as error:
                yield f"visible, and yet: {error}"
            else:
                if not whole:
                    yield f"fragment {str(fragment_id)[:8]} has other bytes"
