"""CacheBlend-r: compute those tokens again whose keys and values differ most from fresh ones.

EuroSys 2025, arXiv 2405.16444. How far a token's rows are from those of a prefill of everything is
seen in the second layer, the first in which a token knows what stands before it, and the tokens
that differ most there are mostly those that differ most above. LMCache does the same with K alone.
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
from latentcrdt.errors import InvalidRequestError, UnrepairableError

CHECK_LAYER = 1
"""The layer in which rows are compared; in layer 0 they depend on token and position alone."""


@dataclass(frozen=True, slots=True, eq=False)
class CacheBlend:
    """The repair; it costs one layer of a prefill of everything, and ``share`` of the others."""

    model: PreTrainedModel
    share: float = 0.15
    """Of the tokens behind the prefixes, how many are computed again: rounded to the nearest."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InvalidRequestError(f"share: expected 0 to 1, got {self.share}")

    def derivation(self, plan: RenderPlan) -> Derivation:
        """Return the name of the result; raises as `derivation_of` does."""
        parameters = {"share": float(self.share), "check-layer": CHECK_LAYER}
        return derivation_of(plan, self.model, "cacheblend", parameters)

    def apply(self, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment]) -> Fragment:
        """Return the repaired rows.

        Raises as `derivation`, `check_recompute`, `select` and `recompute` do.
        """
        self.derivation(plan)
        check_recompute(self.model)
        replay = Replay.of(plan, fragments, self.model)
        recompute(replay, self.select(replay))
        return fragment_of(plan, fragments, replay.layers)

    def select(self, replay: Replay) -> torch.Tensor:
        """Return the rows of the whole sequence that are computed again, ascending.

        The distance of a token is the sum of squares over all heads and dimensions of K and V, in
        float64; of equally distant tokens the earlier one is taken. Raises UnrepairableError where
        a sliding layer lacks rows to compare.
        """
        count = round(self.share * (replay.num_rows - replay.base_row))
        if count == 0:
            return torch.arange(0)
        layer = min(CHECK_LAYER, len(replay.layers) - 1)
        rows = replay.layers[layer]
        behind = slice(replay.base_row, None)
        if not bool(rows.held[behind].all()):
            raise UnrepairableError(
                f"layer {layer}: expected the rows of all tokens, to compare them with fresh ones; "
                f"fragments longer than {(rows.window or 0) - 1} tokens keep only their last ones "
                f"in this sliding layer",
                layer=layer,
                window=rows.window,
            )
        keys, values = replay.fresh(layer)
        distance = _squares(keys, rows.keys[:, :, behind])
        distance += _squares(values, rows.values[:, :, behind])
        farthest = distance.argsort(descending=True, stable=True)[:count]
        return farthest.sort().values + replay.base_row


def _squares(fresh: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the squared distance ``[T]`` of rows ``[1, H, T, D]``, token by token."""
    return (fresh.double() - rows.double()).square().sum((0, 1, 3))
