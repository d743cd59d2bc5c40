"""How much of a quota is used, measured on the store each time, with what is on its way in."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass

from latentcrdt.core.container import body_offset
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import (
    BusyError,
    CorruptFragmentError,
    FragmentNotFoundError,
    QuotaExceededError,
)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What counts towards a quota, and where to look it up."""

    ids: Callable[[], AbstractSet[FragmentId]]
    """Returns all members of the states concerned, as they are now."""
    header_of: Callable[[FragmentId], FragmentHeader]


class Ledger:
    """Keeps the states of one principal within its quota. May be used from any thread.

    Sizes are remembered; which fragments count is found out anew each time: a difference of two
    sets, 10 ms for a hundred thousand.
    """

    def __init__(self, name: str, max_bytes: int | None, max_fragments: int | None) -> None:
        self._name = name
        self._limits = {"bytes": max_bytes, "fragments": max_fragments}
        self._lock = threading.Lock()
        self._sizes: dict[FragmentId, int] = {}
        self._num_bytes = 0
        self._coming: Counter[FragmentId] = Counter()
        self._coming_sizes: dict[FragmentId, int] = {}

    @contextmanager
    def reserve(self, header: FragmentHeader, holdings: Holdings) -> Iterator[None]:
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
            self._measure(holdings)
            if fragment_id not in self._sizes:
                self._check(fragment_id, file_bytes(header))
            self._coming[fragment_id] += 1
            self._coming_sizes[fragment_id] = file_bytes(header)
        try:
            yield
        finally:
            with self._lock:
                self._coming[fragment_id] -= 1
                if not self._coming[fragment_id]:
                    del self._coming[fragment_id], self._coming_sizes[fragment_id]

    def _measure(self, holdings: Holdings) -> None:
        ids = holdings.ids()
        for gone in self._sizes.keys() - ids:
            self._num_bytes -= self._sizes.pop(gone)
        for new in ids - self._sizes.keys():
            try:
                size = file_bytes(holdings.header_of(new))
            except (FragmentNotFoundError, CorruptFragmentError):
                continue  # a member whose bytes were lost takes no room until they come again
            self._sizes[new] = size
            self._num_bytes += size

    def _check(self, fragment_id: FragmentId, num_bytes: int) -> None:
        others = self._coming_sizes.keys() - self._sizes.keys() - {fragment_id}
        held = {"bytes": self._num_bytes, "fragments": len(self._sizes)}
        coming = {"bytes": sum(self._coming_sizes[i] for i in others), "fragments": len(others)}
        asked = {"bytes": num_bytes, "fragments": 1}
        for what, limit in self._limits.items():
            if limit is None:
                continue
            if held[what] + asked[what] > limit:
                raise QuotaExceededError(
                    f"quota of principal {self._name!r}: {limit} {what} allowed in the states that "
                    f"it may add to, {held[what]} used, {asked[what]} more asked for",
                    what=what,
                    limit=limit,
                    used=held[what],
                )
            if held[what] + coming[what] + asked[what] > limit:
                raise BusyError(
                    f"quota of principal {self._name!r}: {limit} {what} allowed, {held[what]} used "
                    f"and {coming[what]} on their way in; {asked[what]} more have to wait",
                    limit=limit,
                )


def file_bytes(header: FragmentHeader) -> int:
    """Return the size of the whole fragment file that has this header."""
    return body_offset(len(header.encoded)) + header.body_bytes
