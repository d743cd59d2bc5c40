"""What a replica learned since it was opened, in that order, for others to follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import MAX_PAGE_ENTRIES, Cursor, FeedPage
from latentcrdt.errors import CursorExpiredError


class Feed:
    """A log in memory: one entry an id, or a change of a state's lifetime. Not thread-safe."""

    def __init__(self, epoch: str) -> None:
        """``epoch``: 16 hexadecimal digits that no other opening of a replica has."""
        self._epoch = epoch
        self._entries: list[tuple[StateName, FragmentId | None]] = []
        """None: the state itself changed, being declared, given a lifetime or retracted."""

    @property
    def cursor(self) -> Cursor:
        """The end of the feed."""
        return Cursor(self._epoch, len(self._entries))

    def append(self, name: StateName, ids: Iterable[FragmentId]) -> None:
        """Note that ids became members; no ids: that the state itself changed."""
        self._entries += [(name, i) for i in ids] or [(name, None)]

    def page(self, after: Cursor | None, states: Mapping[StateName, LatentState]) -> FeedPage:
        """Return what follows a cursor, or the beginning, as it adds to what came before.

        Raises CursorExpiredError for a cursor of another opening.
        """
        if after is not None and (
            after.epoch != self._epoch or after.position > len(self._entries)
        ):
            raise CursorExpiredError(
                f"feed: expected a cursor of epoch {self._epoch}, got {after}", cursor=str(after)
            )
        start = 0 if after is None else after.position
        entries = self._entries[start : start + MAX_PAGE_ENTRIES]
        ids: dict[StateName, list[FragmentId]] = {}
        for name, fragment_id in entries:
            known = ids.setdefault(name, [])
            if fragment_id is not None:
                known.append(fragment_id)
        stop = start + len(entries)
        deltas = {
            name: LatentState(
                found,
                expires_at=states[name].expires_at,
                retracted=states[name].is_retracted,
            )
            for name, found in ids.items()
        }
        return FeedPage(Cursor(self._epoch, stop), stop == len(self._entries), deltas)
