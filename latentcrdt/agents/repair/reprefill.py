"""Full re-prefill: compute everything behind the prefixes again, as one text. The upper bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from latentcrdt.agents.repair.inputs import Inputs
from latentcrdt.agents.repair.replay import derivation_of
from latentcrdt.agents.repair.rows import joined_latent_inputs, joined_token_ids
from latentcrdt.core.derivation import Derivation
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.hf.cache import load_cache
from latentcrdt.hf.capture import fragment_from_cache, in_place
from latentcrdt.hf.layers import new_cache
from latentcrdt.hf.prefill import fill


@dataclass(frozen=True, slots=True, eq=False)
class Reprefill:
    """The repair; it costs what a prefill of the joined tokens does, and is as good."""

    model: PreTrainedModel

    def derivation(self, plan: RenderPlan) -> Derivation:
        """Return the name of the result; raises as `derivation_of` does."""
        return derivation_of(plan, self.model, "reprefill", {})

    def apply(self, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]) -> Fragment:
        """Return the rows of a prefill; of the fragments, only their tokens are used.

        Raises as `derivation` does, and UnrepairableError for tokens that are not known.
        """
        self.derivation(plan)
        model, placed = self.model, [fragments[p.fragment_id] for p in plan.placements]
        inputs = Inputs.of(plan, fragments, model)
        chain = [fragments[p.fragment_id] for p in plan.prefixes]
        cache = load_cache(in_place(chain), model) if chain else new_cache(model)
        positions = torch.arange(plan.base, plan.next_position, device=model.device)
        fill(model, cache, **inputs.arguments(slice(None)), position_ids=positions[None])  # [1, N]
        return fragment_from_cache(
            cache,
            model,
            start=plan.base,
            seq_len=len(positions),
            prefix=plan.prefixes[-1].fragment_id if chain else None,
            token_ids=joined_token_ids(placed),
            latent_inputs=joined_latent_inputs(placed),
        )
