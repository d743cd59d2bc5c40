"""What a replica learned since it was opened, in that order, for others to follow.

What it learned of a state that was retracted meanwhile is forgotten, but that it was: nobody can
merge it any more. So a feed is as long as what lives, and not as all that ever did.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import MAX_PAGE_ENTRIES, Cursor, FeedPage
from latentcrdt.errors import CursorExpiredError


class Feed:
    """A log in memory: one entry an id, or a change of a state's lifetime. Not thread-safe.

    About 180 bytes an entry.
    """

    def __init__(self, epoch: str) -> None:
        """``epoch``: 16 hexadecimal digits that no other opening of a replica has."""
        self._epoch = epoch
        self._entries: list[tuple[StateName, FragmentId | None]] = []
        """None: the state itself changed, being declared, given a lifetime or retracted."""
        self._positions = array("q")
        """Of the entries: what was forgotten has left gaps."""
        self._end = 0
        self._retracted: set[StateName] = set()
        """States whose entries, but for the last, are to be forgotten."""
        self._num_to_forget = 0

    @property
    def cursor(self) -> Cursor:
        """The end of the feed."""
        return Cursor(self._epoch, self._end)

    def append(self, name: StateName, ids: Iterable[FragmentId]) -> None:
        """Note that ids became members; no ids: that the state itself changed."""
        new: list[tuple[StateName, FragmentId | None]] = [(name, i) for i in ids]
        new = new or [(name, None)]
        self._entries += new
        self._positions.extend(range(self._end, self._end + len(new)))
        self._end += len(new)

    def retract(self, name: StateName, num_members: int) -> None:
        """Note that a state was retracted that had so many members."""
        self.append(name, ())
        self._retracted.add(name)
        self._num_to_forget += num_members
        if 2 * self._num_to_forget > len(self._entries):  # so an entry is moved twice, on average
            self._forget()

    def page(self, after: Cursor | None, states: Mapping[StateName, LatentState]) -> FeedPage:
        """Return what follows a cursor, or the beginning, as it adds to what came before.

        Raises CursorExpiredError for a cursor of another opening.
        """
        if after is not None and (after.epoch != self._epoch or after.position > self._end):
            raise CursorExpiredError(
                f"feed: expected a cursor of epoch {self._epoch}, got {after}", cursor=str(after)
            )
        first = 0 if after is None else bisect_left(self._positions, after.position)
        last = first + MAX_PAGE_ENTRIES
        ids: dict[StateName, list[FragmentId]] = {}
        for name, fragment_id in self._entries[first:last]:
            known = ids.setdefault(name, [])
            if fragment_id is not None:
                known.append(fragment_id)
        stop = self._positions[last] if last < len(self._positions) else self._end
        deltas = {
            name: LatentState(
                found,
                expires_at=states[name].expires_at,
                retracted=states[name].is_retracted,
            )
            for name, found in ids.items()
        }
        return FeedPage(Cursor(self._epoch, stop), stop == self._end, deltas)

    def _forget(self) -> None:
        """Forget what was learned of retracted states, except of each that it was retracted."""
        told: set[StateName] = set()
        kept: list[int] = []
        for index in reversed(range(len(self._entries))):
            name, _ = self._entries[index]
            if name not in told:
                kept.append(index)
            if name in self._retracted:
                told.add(name)
        kept.reverse()
        self._entries = [self._entries[index] for index in kept]
        self._positions = array("q", [self._positions[index] for index in kept])
        self._retracted.clear()
        self._num_to_forget = 0
