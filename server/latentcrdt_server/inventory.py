"""How much a store holds, for the metrics: asked often, so each header is read once."""

from __future__ import annotations

import threading

from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError
from latentcrdt.store.protocol import Store


class Inventory:
    """Sizes of all fragments held, brought up to date when asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes: dict[FragmentId, int] = {}
        self._lock = threading.Lock()

    def count(self) -> tuple[int, int]:
        """Return how many fragments are held and how many bytes their sections have."""
        with self._lock:
            known = self._sizes
            self._sizes = {i: known.get(i) or self._size(i) for i in self._store.ids()}
            return len(self._sizes), sum(self._sizes.values())

    def _size(self, fragment_id: FragmentId) -> int:
        try:
            return self._store.header(fragment_id).body_bytes
        except (FragmentNotFoundError, CorruptFragmentError):
            return 0  # taken out of sight since it was listed
