"""Replay: a rendered sequence in a model's hands, whose rows can be computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from transformers import Cache, DynamicCache, PreTrainedModel

from latentcrdt.agents.repair.inputs import Inputs
from latentcrdt.agents.repair.rows import LayerRows, rows_of
from latentcrdt.core.derivation import Derivation, Operation
from latentcrdt.core.derived import check_repairable
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.hf.cache import cache_of, check_geometry
from latentcrdt.hf.contract import ModelContract
from latentcrdt.hf.prefill import fill


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """The rows of a sequence, and what its tokens behind the prefixes were computed from."""

    model: PreTrainedModel
    layers: Sequence[LayerRows]
    inputs: Inputs
    """Of the tokens from row ``base_row`` on."""
    base_row: int
    """Rows of the prefixes, which nothing changes: all that stands before them is there."""
    first_position: int
    """Position of row 0; the rows after it have the positions after it."""

    @classmethod
    def of(
        cls, plan: RenderPlan, fragments: Mapping[FragmentId, Fragment], model: PreTrainedModel
    ) -> Replay:
        """Return the replay of a plan that `derivation_of` accepts.

        Raises UnrepairableError for fragments that do not say what they were computed from.
        """
        inputs = Inputs.of(plan, fragments, model)
        layers = rows_of(plan, fragments, model.device)
        base_row = sum(prefix.seq_len for prefix in plan.prefixes)
        return cls(model, layers, inputs, base_row, plan.base - base_row)

    @property
    def num_rows(self) -> int:
        """Tokens of the sequence, prefixes included."""
        return self.layers[0].keys.shape[2]

    def fresh(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return K and V ``[1, H, N, D]`` that a prefill of all tokens would have in one layer.

        Of the rows behind the prefixes; only the layers below are run.
        """
        cache = _UpToLayer(self._prefix_cache(), layer)
        first = self.first_position + self.base_row
        positions = torch.arange(first, self.first_position + self.num_rows)
        try:
            fill(
                self.model,
                cache,
                **self.inputs.arguments(slice(None)),
                position_ids=positions[None].to(self.model.device),  # [1, N]
            )
        except _ReachedError as reached:
            return reached.keys, reached.values
        raise AssertionError("unreachable: every layer updates the cache")

    def _prefix_cache(self) -> DynamicCache:
        """Return the rows of the prefixes as a cache of their own."""
        layers = []
        for rows in self.layers:
            first = 0 if rows.window is None else max(0, self.base_row - (rows.window - 1))
            kept = slice(first, self.base_row)
            layers.append((rows.keys[:, :, kept].clone(), rows.values[:, :, kept].clone()))
        return cache_of(self.model, layers, self.base_row)


def derivation_of(
    plan: RenderPlan, model: PreTrainedModel, method: str, parameters: Mapping[str, object]
) -> Derivation:
    """Return the name of what a repair makes of a plan.

    Raises UnrepairableError for another layout than sequential or for some layers only,
    ModelMismatchError unless this very model made the fragments.
    """
    check_repairable(plan)
    check_geometry(
        plan.geometry, ModelContract.of(model).geometry, f"repair of render {plan.render_id}"
    )
    inputs = tuple(p.fragment_id for p in plan.placements)
    return Derivation.of(Operation.REPAIR, method, parameters, plan.class_id, inputs)


class _ReachedError(Exception):
    """Ends a forward pass with the keys and values of the layer that it was run for."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys = keys
        self.values = values


class _UpToLayer(Cache):
    """A cache at whose layer ``last`` a forward pass ends."""

    def __init__(self, cache: DynamicCache, last: int) -> None:
        super().__init__(layers=cache.layers)
        self._last = last

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append rows to a layer; raise _ReachedError with those of the last one."""
        if layer_idx == self._last:
            raise _ReachedError(key_states, value_states)
        keys, values = super().update(key_states, value_states, layer_idx)
        return keys, values
