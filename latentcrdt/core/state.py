"""LatentState: a grow-only set of fragment ids with an end, and the digest that compares it.

Rule: a state is a point in a lattice, and every change moves it up. Ids are joined by union,
lifetimes by the later end, and retraction is the top: whatever is merged into a retracted state,
now or by a replica that comes back after a year, it stays retracted. Nothing ever moves down, so
replicas need neither clocks nor agreement to converge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from latentcrdt.core.encoding import digest
from latentcrdt.core.gset import GSet
from latentcrdt.core.ids import FragmentId, RootDigest

RETRACTED_ROOT = RootDigest(digest(b"latentcrdt.retracted"))
"""Root of every retracted state; no set has it, for the ids of a set come in wholes of 32 bytes."""


EMPTY_ROOT = RootDigest(digest(b""))
"""Root of a state without members."""


class LatentState:
    """The CvRDT that replicas exchange; also its own delta.

    Its value is the ids, the lifetime and whether it was retracted: who did what, when and how
    often leave no trace.
    """

    __slots__ = ("_expires_at", "_ids", "_new", "_retracted", "_root", "_sorted")

    def __init__(
        self,
        ids: Iterable[FragmentId] = (),
        *,
        expires_at: int | None = None,
        retracted: bool = False,
    ) -> None:
        """``expires_at``: end of the lifetime in Unix seconds; None: none was ever declared."""
        self._retracted = retracted
        self._ids: GSet[FragmentId] = GSet(() if retracted else ids)
        self._expires_at = None if retracted else expires_at
        self._sorted: tuple[FragmentId, ...] = ()
        self._new = list(self._ids)
        """Members that are not among the sorted ones yet: those of a large state stay sorted."""
        self._root: RootDigest | None = None

    def insert(self, fragment_id: FragmentId) -> bool:
        """Add one id; return whether the state grew. A retracted state takes none."""
        grew = not self._retracted and self._ids.insert(fragment_id)
        if grew:
            self._note([fragment_id])
        return grew

    def merge(self, other: LatentState) -> bool:
        """Join another replica's state into this one; return whether it grew."""
        if self._retracted:
            return False
        if other._retracted:
            self._retracted, self._ids, self._expires_at = True, GSet(), None
            self._sorted, self._new, self._root = (), [], None
            return True
        lasts_longer = _end(other) > _end(self)
        if lasts_longer:
            self._expires_at = other._expires_at
        new = other._ids.delta(self._ids)
        if self._ids.merge(new):
            self._note(new)
            return True
        return lasts_longer

    def delta(self, other: LatentState) -> LatentState:
        """Return a state that brings ``other`` up to this one when merged into it."""
        if self._retracted or other._retracted:
            return LatentState(retracted=self._retracted and not other._retracted)
        lasts_longer = _end(self) > _end(other)
        return LatentState(
            self._ids.delta(other._ids), expires_at=self._expires_at if lasts_longer else None
        )

    def contains(self, fragment_id: FragmentId) -> bool:
        """Return whether ``fragment_id`` is a member."""
        return self._ids.contains(fragment_id)

    def copy(self) -> LatentState:
        """Return a state of its own with the same value."""
        copied = LatentState(expires_at=self._expires_at, retracted=self._retracted)
        copied._ids = GSet(self._ids)
        copied._sorted, copied._new, copied._root = self._sorted, list(self._new), self._root
        return copied

    @property
    def ids(self) -> tuple[FragmentId, ...]:
        """The members in ascending order of their bytes."""
        if self._new:
            # Python's sort sees that the old ones are sorted, and merges the few others in.
            self._sorted, self._new = tuple(sorted([*self._sorted, *sorted(self._new)])), []
        return self._sorted

    @property
    def root(self) -> RootDigest:
        """BLAKE3 over the concatenation of the sorted ids: equal exactly when the sets are.

        A retracted state has `RETRACTED_ROOT`; the lifetime is no part of it.
        """
        if self._retracted:
            return RETRACTED_ROOT
        if self._root is None:
            self._root = RootDigest(digest(b"".join(self.ids)))
        return self._root

    @property
    def expires_at(self) -> int | None:
        """End of the lifetime in Unix seconds; None when none was declared, or it is retracted."""
        return self._expires_at

    @property
    def is_retracted(self) -> bool:
        """Whether this state was withdrawn, for good."""
        return self._retracted

    def __contains__(self, fragment_id: object) -> bool:
        return fragment_id in self._ids

    def __le__(self, other: LatentState) -> bool:
        if self._retracted or other._retracted:
            return other._retracted
        return self._ids <= other._ids and _end(self) <= _end(other)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LatentState)
            and self._retracted == other._retracted
            and self._expires_at == other._expires_at
            and self._ids == other._ids
        )

    __hash__ = None  # type: ignore[assignment]  # mutable: must not be a dictionary key

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[FragmentId]:
        return iter(self.ids)

    def __repr__(self) -> str:
        if self._retracted:
            return "LatentState(retracted)"
        return f"LatentState({len(self)} fragments, root {self.root.hex()[:12]}…)"

    def _note(self, new: Iterable[FragmentId]) -> None:
        self._new.extend(new)
        self._root = None


def _end(state: LatentState) -> int:
    """Return the end of a lifetime, and what is below every end when none was declared."""
    return -1 if state.expires_at is None else state.expires_at
