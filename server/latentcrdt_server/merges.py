"""Merges of a server: branches blended once, and kept as long as there is room.

What a merge makes is no member of anything: it is a function of the state, as a render is. So a
reader may ask for it, and nothing of it is stored or replicated.

Rule: one merge is made at a time, and few wait. Reason: a merge is arithmetic on whole fragments; a
second one beside it would be as late, and take the memory of both.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass

from latentcrdt.core.derivation import Derivation
from latentcrdt.core.derived import DerivedReceipt, place_derived
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import Digest, FragmentId, StateName
from latentcrdt.core.plan import LayerRange, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.errors import BusyError
from latentcrdt.merging.branches import BranchMerge
from latentcrdt.render import stream
from latentcrdt.render.sort_key import sort_key
from latentcrdt.replication.bounded_cache import BoundedCache
from latentcrdt.replication.replica import Replica

KEPT_BODIES = 4
"""Merged fragments kept whole, each in up to 8 MiB of memory or in an unnamed file: a caller asks
for the plan, the render and the receipt of one, and perhaps for it again."""

KEPT_HEADER_BYTES = 4 << 20
"""Headers kept, as encoded, of merges whose bodies are gone: enough to say that nothing changed."""

MAX_WAITING = 8
"""Requests that wait for a merge at once; each holds a thread, of which others need some."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is known of a merged fragment without its body."""

    header: FragmentHeader
    key: float
    """Its sort key."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Branches of a state, merged as a query asks for."""

    source: RenderPlan
    """The branches."""
    merge: BranchMerge
    derivation: Derivation
    made: Made
    plan: RenderPlan
    """The prefixes and the merged fragment."""


class Merges:
    """The merges of a replica's states. May be used from any thread."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._made: BoundedCache[Digest, Made] = BoundedCache(
            KEPT_HEADER_BYTES, lambda made: len(made.header.encoded)
        )
        self._bodies: BoundedCache[Digest, Fragment] = BoundedCache(KEPT_BODIES)
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_WAITING)

    def merged(self, state: StateName, query: RenderQuery) -> Merged:
        """Return what a query with ``merge`` asks for, made now unless it was before.

        Raises as `Replica.plan` and `BranchMerge` do, and BusyError where too many wait.
        """
        choice = query.merge_choice
        assert choice is not None
        merge = BranchMerge.of(choice)
        source = self._replica.plan(state, query.of_branches())
        derivation = merge.derivation(source)
        made = self._made.get(derivation.derivation_id)
        if made is None:
            fragment = self._fragment(merge, source, derivation)
            made = self._made[derivation.derivation_id] = Made(fragment.header, sort_key(fragment))
        layers = LayerRange.parse(query.layers or ":", len(source.geometry.layers))
        prefixes = [self._replica.fragments.get(p.fragment_id).header for p in source.prefixes]
        plan = place_derived(source, made.header, prefixes, layers=layers)
        return Merged(source, merge, derivation, made, plan)

    def chunks(self, merged: Merged, start: int, stop: int) -> Generator[memoryview]:
        """Yield the bytes ``start`` to ``stop`` of the render stream, in bounded memory."""
        return stream.render_chunks(merged.plan, self._held(merged), start=start, stop=stop)

    def receipt(self, merged: Merged) -> DerivedReceipt:
        """Return the receipt of what was merged, and of the branches."""
        digests = tuple(stream.run_digests(merged.plan, self._held(merged)))
        receipt = Receipt(merged.plan, (merged.made.key,), digests)
        return DerivedReceipt(receipt, merged.derivation, self._replica.receipt(merged.source))

    def _held(self, merged: Merged) -> dict[FragmentId, Fragment]:
        """Return the fragments of the merged plan, this one made again if its body is gone."""
        prefixes = {
            p.fragment_id: self._replica.fragments.get(p.fragment_id) for p in merged.plan.prefixes
        }
        fragment = self._fragment(merged.merge, merged.source, merged.derivation)
        return prefixes | {fragment.fragment_id: fragment}

    def _fragment(self, merge: BranchMerge, source: RenderPlan, derivation: Derivation) -> Fragment:
        name = derivation.derivation_id
        kept = self._bodies.get(name)
        if kept is not None:
            return kept
        if not self._places.acquire(blocking=False):
            raise BusyError(f"merges: {MAX_WAITING} wait already", limit=MAX_WAITING)
        try:
            with self._turn:
                # Whoever had the turn before may have made this one.
                kept = self._bodies.get(name)
                if kept is None:
                    kept = merge.apply(source, self._replica.fragments_of(source))
                    self._bodies[name] = kept
                return kept
        finally:
            self._places.release()
