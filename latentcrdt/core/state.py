"""LatentState: a grow-only set of fragment ids, and the digest by which replicas compare it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from latentcrdt.core.encoding import digest
from latentcrdt.core.gset import GSet
from latentcrdt.core.ids import FragmentId, RootDigest


class LatentState:
    """The CvRDT that replicas exchange.

    Its value is the set of ids alone: who inserted, when and how often leave no trace, so equal
    sets have equal roots on every replica.
    """

    __slots__ = ("_ids", "_sorted")

    def __init__(self, ids: Iterable[FragmentId] = ()) -> None:
        self._ids = GSet(ids)
        self._sorted: tuple[FragmentId, ...] | None = None

    def insert(self, fragment_id: FragmentId) -> bool:
        """Add one id; return whether the state grew."""
        return self._note(self._ids.insert(fragment_id))

    def merge(self, other: LatentState) -> bool:
        """Join another replica's state into this one; return whether it grew."""
        return self._note(self._ids.merge(other._ids))

    def delta(self, other: LatentState) -> LatentState:
        """Return the ids that this state has and ``other`` lacks, as a state."""
        return LatentState(self._ids.delta(other._ids))

    def contains(self, fragment_id: FragmentId) -> bool:
        """Return whether ``fragment_id`` is a member."""
        return self._ids.contains(fragment_id)

    @property
    def ids(self) -> tuple[FragmentId, ...]:
        """The members in ascending order of their bytes."""
        if self._sorted is None:
            self._sorted = tuple(sorted(self._ids))
        return self._sorted

    @property
    def root(self) -> RootDigest:
        """BLAKE3 over the concatenation of the sorted ids: equal exactly when the sets are."""
        return RootDigest(digest(b"".join(self.ids)))

    def __contains__(self, fragment_id: object) -> bool:
        return fragment_id in self._ids

    def __le__(self, other: LatentState) -> bool:
        return self._ids <= other._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatentState) and self._ids == other._ids

    __hash__ = None  # type: ignore[assignment]  # mutable: must not be a dictionary key

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[FragmentId]:
        return iter(self.ids)

    def __repr__(self) -> str:
        return f"LatentState({len(self)} fragments, root {self.root.hex()[:12]}…)"

    def _note(self, grew: bool) -> bool:
        if grew:
            self._sorted = None
        return grew
