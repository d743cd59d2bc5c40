"""Compute some rows of a sequence again, layer by layer, and leave the others as they are.

A chosen token passes through the whole model: in each layer it looks at the rows of all tokens
before it, of which the chosen ones are fresh. Any model that takes an explicit mask and a cache can
do it: the cache puts fresh rows where they belong instead of at the end, and the mask says, row by
row, what lies before. Nothing in transformers is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache, PreTrainedModel

from latentcrdt.agents.repair.replay import Replay
from latentcrdt.agents.repair.rows import LayerRows
from latentcrdt.errors import UnrepairableError
from latentcrdt.hf.layers import new_cache
from latentcrdt.hf.prefill import fill

MASK_ELEMENTS = 1 << 24
"""Elements of a mask at a time (64 MiB in f32). Tokens beyond go in a further pass.

Passes go in the order of positions, so a later token sees the fresh rows of an earlier pass.
"""

Masks = torch.Tensor | dict[str, torch.Tensor]


def recompute(replay: Replay, chosen: torch.Tensor) -> None:
    """Write fresh keys and values of the chosen rows into the replay's layers.

    ``chosen`` ``[n]`` counts in the rows of the whole sequence, ascending. Raises UnrepairableError
    when a chosen row looks at one that no fragment kept.
    """
    if not len(chosen):
        return
    model, layers = replay.model, replay.layers
    chosen = chosen.to(model.device)
    check_sight(layers, chosen)
    for part in torch.split(chosen, max(1, MASK_ELEMENTS // replay.num_rows)):
        stop = int(part[-1]) + 1
        fill(
            model,
            _Scatter(model, layers, part, stop),
            **replay.inputs.arguments(part - replay.base_row),
            attention_mask=_masks(model, layers, part, stop),
            position_ids=(part + replay.first_position)[None],  # [1, n]
        )


def check_sight(layers: Sequence[LayerRows], chosen: torch.Tensor) -> None:
    """Raise UnrepairableError, naming the layer, unless all that chosen rows look at is there."""
    for i, layer in enumerate(layers):
        if layer.window is None or bool(layer.held.all()):
            continue
        there = layer.held.clone()
        there[chosen] = True
        lacking = torch.nonzero(~there)[:, 0]
        if not len(lacking):
            continue
        # The last lacking row before each token: its window reaches that one first.
        nearest = torch.searchsorted(lacking, chosen) - 1
        seen = (nearest >= 0) & (chosen - lacking[nearest.clamp_min(0)] < layer.window)
        if bool(seen.any()):
            token = int(chosen[seen.nonzero()[0, 0]])
            raise UnrepairableError(
                f"layer {i}, row {token}: expected the {layer.window - 1} rows before it, to "
                f"compute it again; a fragment keeps only its last {layer.window - 1} in this "
                f"sliding layer",
                layer=i,
                window=layer.window,
            )


def _masks(
    model: PreTrainedModel, layers: Sequence[LayerRows], chosen: torch.Tensor, stop: int
) -> Masks:
    """Return what each query may look at, as added to scores ``[1, 1, n, stop]``."""
    windows = {layer.window for layer in layers}
    dtype = layers[0].keys.dtype
    masks = {window: _mask(window, chosen, stop, dtype) for window in windows}
    if len(masks) == 1:
        return masks.popitem()[1]
    # Models with layers of two kinds take one mask for each, by the kind's name.
    config: Any = model.config.get_text_config(decoder=True)
    kinds = zip(config.layer_types, layers, strict=True)
    return {kind: masks[layer.window] for kind, layer in kinds}


def _mask(window: int | None, chosen: torch.Tensor, stop: int, dtype: torch.dtype) -> torch.Tensor:
    distance = chosen[:, None] - torch.arange(stop, device=chosen.device)  # [n, stop]
    seen = distance >= 0
    if window is not None:
        seen &= distance < window
    hidden = torch.finfo(dtype).min
    mask = torch.zeros(seen.shape, dtype=dtype, device=chosen.device)
    return mask.masked_fill_(~seen, hidden)[None, None]


class _Scatter(Cache):
    """A cache that puts new rows where they belong, and shows all rows up to the last of them."""

    def __init__(
        self, model: PreTrainedModel, rows: Sequence[LayerRows], chosen: torch.Tensor, stop: int
    ) -> None:
        super().__init__(layers=new_cache(model).layers)
        self._rows = rows
        self._chosen = chosen
        self._stop = stop

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the rows ``[1, H, n, D]`` of the chosen tokens; return all up to ``stop``."""
        rows = self._rows[layer_idx]
        rows.keys[:, :, self._chosen] = key_states
        rows.values[:, :, self._chosen] = value_states
        return rows.keys[:, :, : self._stop], rows.values[:, :, : self._stop]

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002  # transformers' signature
        """Return how many rows are there beside the chosen ones; positions are passed."""
        return self._stop - len(self._chosen)
