"""The self-test of selective computation: does the live model heed the mask, row by row?

A few tokens are prefilled, and some of their rows spoilt and computed again. A model that looks
where the mask says gives the same rows. One that did not would still answer fluently.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from transformers import DynamicCache, PreTrainedModel

from latentcrdt.agents.repair.inputs import of_tokens
from latentcrdt.agents.repair.replay import Replay
from latentcrdt.agents.repair.rows import LayerRows
from latentcrdt.agents.repair.selective import recompute
from latentcrdt.errors import UnsupportedModelError
from latentcrdt.hf.contract import PROBE_TOKENS, ModelContract
from latentcrdt.hf.layers import new_cache, plain_layers, window_of
from latentcrdt.hf.model_id import Fingerprint, fingerprint
from latentcrdt.hf.prefill import fill
from latentcrdt.hf.self_test import BOUNDS
from latentcrdt.hf.tokens import vocab_size_of

CHOSEN = (2, 5, 6)
"""Rows that are computed again: with others before, between and after them."""

_passed: WeakKeyDictionary[PreTrainedModel, Fingerprint] = WeakKeyDictionary()


def check_recompute(model: PreTrainedModel) -> None:
    """Raise UnsupportedModelError unless rows computed alone equal those of a prefill.

    Runs once for each instance, and again when a weight was changed.
    """
    mark = fingerprint(model)
    if _passed.get(model) == mark:
        return
    error = recompute_error(model)
    bound = BOUNDS[ModelContract.of(model).geometry.dtype]
    if not error <= bound:  # NaN must not pass
        raise UnsupportedModelError(
            f"{model.config.model_type}: expected rows that are computed alone to equal those of a "
            f"prefill within {bound} of their norm, got {error:.3g}: it does not heed the mask",
            error=error,
            bound=bound,
        )
    _passed[model] = mark


def recompute_error(model: PreTrainedModel) -> float:
    """Return the largest relative error of any layer's chosen K or V, by Frobenius norm."""
    device = model.device
    token_ids = torch.arange(1, 1 + 7 * PROBE_TOKENS, 7, device=device) % vocab_size_of(model)
    inputs = of_tokens(model, token_ids, None)
    positions = torch.arange(PROBE_TOKENS, device=device)
    # Not told the configuration, it keeps the rows of sliding layers too.
    cache = DynamicCache()
    fill(model, cache, **inputs.arguments(slice(None)), position_ids=positions[None])  # [1, T]
    chosen = torch.tensor(CHOSEN, device=device)
    layers, pairs = [], []
    for layer, kind in zip(plain_layers(cache), plain_layers(new_cache(model)), strict=True):
        assert layer.keys is not None
        assert layer.values is not None
        rows = LayerRows(layer.keys, layer.values, positions >= 0, window_of(kind))
        for part in (rows.keys, rows.values):
            pairs.append((part, part[:, :, chosen].clone()))
            part[:, :, chosen] = 0
        layers.append(rows)
    recompute(Replay(model, layers, inputs, 0, 0), chosen)
    return max(_relative_error(part[:, :, chosen], expected) for part, expected in pairs)


def _relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual.double() - expected.double()).norm() / expected.double().norm())
