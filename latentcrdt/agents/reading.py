"""Reading: what the agents of one task know, as fragments, and the renders of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latentcrdt.core.documents import ReceiptDocument, receipt_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.gset import GSet
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.rendered import Render
from latentcrdt.errors import InvalidRequestError
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, run_digests


@dataclass(frozen=True, slots=True)
class Reading:
    """The fragments of a task's agents, and what they were captured behind."""

    prefixes: tuple[Fragment, ...]
    """The chain of shared prefixes, outermost first; none where each agent began at 0."""
    fragments: tuple[Fragment, ...]
    """One for each agent, in the task's order; agents that read the same have the same one."""

    @property
    def by_id(self) -> dict[FragmentId, Fragment]:
        """Every fragment once, prefixes included."""
        return {f.fragment_id: f for f in (*self.prefixes, *self.fragments)}

    @property
    def num_bytes(self) -> int:
        """Bytes of the fragment files that the final agent is sent."""
        return sum(fragment.num_bytes for fragment in self.by_id.values())

    def canonical(self) -> list[Fragment]:
        """Return the set of the agents' fragments in canonical order."""
        held = self.by_id
        members = GSet(fragment.fragment_id for fragment in self.fragments)
        return [held[i] for i in canonical_order((sort_key(held[i]), i) for i in members)]

    def in_order(self, order: Sequence[int]) -> list[Fragment]:
        """Return the fragments in an order of the agents, each once.

        Raises InvalidRequestError unless ``order`` is a permutation of the agents' indices.
        """
        if sorted(order) != list(range(len(self.fragments))):
            raise InvalidRequestError(
                f"order: expected each of {len(self.fragments)} agents once, got {list(order)}"
            )
        chosen = {self.fragments[i].fragment_id: self.fragments[i] for i in order}
        return list(chosen.values())

    def agents_of(self, ordered: Sequence[Fragment]) -> list[int]:
        """Return the index of an agent that made each fragment: the first of several."""
        ids = [fragment.fragment_id for fragment in self.fragments]
        return [ids.index(fragment.fragment_id) for fragment in ordered]

    def plan(self, ordered: Sequence[Fragment]) -> RenderPlan:
        """Return the plan that lays fragments one after another behind the prefixes."""
        return place([f.header for f in ordered], [p.header for p in self.prefixes])

    def render(self, ordered: Sequence[Fragment]) -> Render:
        """Return fragments as one cache, one after another behind the prefixes."""
        return render(self.plan(ordered), self.by_id)

    def receipt(self, plan: RenderPlan) -> ReceiptDocument:
        """Return the receipt of a plan of these fragments."""
        held = self.by_id
        keys = tuple(sort_key(held[p.fragment_id]) for p in plan.placements)
        return receipt_document(Receipt(plan, keys, tuple(run_digests(plan, held))))
