"""LegoLink-k: compute the first k tokens of every fragment but the first again.

EPIC, arXiv 2410.15332. A fragment's first tokens were captured as if nothing stood before them, and
draw as much attention as a beginning does, which they should not in the middle of a sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from latentcrdt.agents.repair.replay import Replay, derivation_of
from latentcrdt.agents.repair.rows import fragment_of
from latentcrdt.agents.repair.selective import recompute
from latentcrdt.agents.repair.self_test import check_recompute
from latentcrdt.core.derivation import Derivation
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.errors import InvalidRequestError


@dataclass(frozen=True, slots=True, eq=False)
class LegoLink:
    """The repair; its cost is that of prefilling ``rows`` tokens for each further fragment."""

    model: PreTrainedModel
    rows: int = 16
    """Tokens of each fragment; EPIC uses 8 to 32. A shorter fragment is computed in whole."""

    def __post_init__(self) -> None:
        if self.rows < 0:
            raise InvalidRequestError(f"rows: expected at least 0, got {self.rows}")

    def derivation(self, plan: RenderPlan) -> Derivation:
        """Return the name of the result; raises as `derivation_of` does."""
        return derivation_of(plan, self.model, "legolink", {"rows": self.rows})

    def apply(self, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]) -> Fragment:
        """Return the repaired rows.

        Raises as `derivation`, `check_recompute` and `recompute` do.
        """
        self.derivation(plan)
        check_recompute(self.model)
        replay = Replay.of(plan, fragments, self.model)
        recompute(replay, self.select(plan))
        return fragment_of(plan, fragments, replay.layers)

    def select(self, plan: RenderPlan) -> torch.Tensor:
        """Return the rows of the whole sequence that are computed again, ascending."""
        first_position = plan.base - sum(p.seq_len for p in plan.prefixes)
        chosen = [
            torch.arange(p.new_start, p.new_start + min(self.rows, p.seq_len)) - first_position
            for p in plan.placements[1:]
        ]
        if not chosen:
            return torch.arange(0)
        return torch.cat(chosen)
