"""What fragments were captured behind: read from each header once, for it never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError


class Lineage:
    """Remembers the prefix of each fragment, about 150 bytes each. May be used from any thread."""

    def __init__(self) -> None:
        self._prefix_of: dict[FragmentId, FragmentId | None] = {}

    def prefixes(
        self, ids: Iterable[FragmentId], header_of: Callable[[FragmentId], FragmentHeader]
    ) -> set[FragmentId]:
        """Return every fragment that one of these was captured behind, however far."""
        found: set[FragmentId] = set()
        while ids:
            # A header names its prefix by hash, so the chains end.
            prefixes = {self._prefix(fragment_id, header_of) for fragment_id in ids}
            ids = {prefix for prefix in prefixes if prefix is not None} - found
            found |= ids
        return found

    def _prefix(
        self, fragment_id: FragmentId, header_of: Callable[[FragmentId], FragmentHeader]
    ) -> FragmentId | None:
        try:
            return self._prefix_of[fragment_id]
        except KeyError:
            pass
        try:
            prefix = header_of(fragment_id).prefix
        except (FragmentNotFoundError, CorruptFragmentError):
            return None  # it may yet come, or come again
        self._prefix_of[fragment_id] = prefix
        return prefix
