"""The fragments that a replica holds: each hashed before it is used, and what is known of them.

What costs more to find out than to keep is kept: headers decoded, prefixes, sort keys.
"""

from __future__ import annotations

from collections.abc import Iterable

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.summary import Summary
from latentcrdt.render.sort_key import sort_key
from latentcrdt.replication.bounded_cache import BoundedCache
from latentcrdt.store.protocol import Store

HEADER_CACHE_BYTES = 16 << 20
"""Encoded headers kept decoded; decoded, tokens and digests take about ten times that."""

PREFIX_CACHE = 1 << 17
"""Fragments whose prefix is remembered, about 200 bytes each: all of them are asked for at once."""

KEYED_AT_ONCE_BYTES = 64 << 10
"""Of the layer that a sort key is computed from: up to here it takes under a millisecond, and is
done with the push; from a larger one when the key is first asked for."""

VERIFIED_CACHE = 1 << 17
"""Fragments remembered as hashed since the replica was opened, about 150 bytes each."""


class HeldFragments:
    """The fragments of a store, of whatever states. May be used from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._headers: BoundedCache[FragmentId, FragmentHeader] = BoundedCache(
            HEADER_CACHE_BYTES, lambda header: len(header.encoded)
        )
        self._prefixes: BoundedCache[FragmentId, FragmentId | None] = BoundedCache(PREFIX_CACHE)
        self._verified: BoundedCache[FragmentId, bool] = BoundedCache(VERIFIED_CACHE)

    def get(self, fragment_id: FragmentId) -> Fragment:
        """Return a fragment.

        The first time since the store was opened, all of it is hashed: what was damaged on disk
        would otherwise be rendered under the right name. Raises CorruptFragmentError.
        """
        if fragment_id not in self._verified:
            self._store.verify(fragment_id)
            self._verified[fragment_id] = True
        known = self._headers.get(fragment_id)
        fragment = self._store.get(fragment_id, known)
        if known is None:
            self._headers[fragment_id] = fragment.header
        return fragment

    def header(self, fragment_id: FragmentId) -> FragmentHeader:
        """Return the header of a fragment that is held."""
        header = self._headers.get(fragment_id)
        if header is None:
            header = self._headers[fragment_id] = self._store.header(fragment_id)
        return header

    def summaries(self, ids: Iterable[FragmentId]) -> dict[FragmentId, Summary]:
        """Return the summaries of fragments, in the order given, each with its sort key.

        Raises FragmentNotFoundError when one was lost or quarantined: a listing or a render of the
        rest would look like a whole one. Pushing that fragment again heals it.
        """
        return {fragment_id: self._keyed(fragment_id) for fragment_id in ids}

    def summary(self, fragment_id: FragmentId) -> Summary:
        """Return what is known of a fragment that is held without opening it, if need be read."""
        summary = self._store.summary(fragment_id)
        if summary is None:
            # Of the store, not one that is remembered: that may be of a fragment that is gone.
            summary = Summary.of(self._store.header(fragment_id))
            self._store.keep_summary(summary)
        return summary

    def sort_key(self, fragment_id: FragmentId) -> float:
        """Return the key by which canonical order sorts (RENDER_SPEC section 3); memoised."""
        key = self.summary(fragment_id).sort_key
        if key is None:
            key = sort_key(self.get(fragment_id))
            self._store.keep_summary(self.summary(fragment_id).keyed(key))
        return key

    def prefix_of(self, fragment_id: FragmentId) -> FragmentId | None:
        """Return what a fragment was captured behind, if it is held, or was a while ago."""
        try:
            return self._prefixes[fragment_id]
        except KeyError:
            prefix = self._prefixes[fragment_id] = self.summary(fragment_id).prefix
            return prefix

    def note(self, fragment: Fragment) -> None:
        """Remember of a fragment that was hashed a moment ago what costs more to find out later."""
        header = fragment.header
        self._verified[header.fragment_id] = True
        layer = header.geometry.key_layer
        is_small = header.keys_section(layer).size <= KEYED_AT_ONCE_BYTES
        if is_small or self._store.summary(header.fragment_id) is None:
            key = sort_key(fragment) if is_small else None
            self._store.keep_summary(Summary.of(header, key))

    def _keyed(self, fragment_id: FragmentId) -> Summary:
        summary = self._store.summary(fragment_id)
        if summary is not None and summary.sort_key is not None:
            return summary
        return self.summary(fragment_id).keyed(self.sort_key(fragment_id))
