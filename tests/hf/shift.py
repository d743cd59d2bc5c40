"""How far a fragment that was moved is from a capture at the place to which it was moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.core.plan import Layout
from latentcrdt.hf import capture
from latentcrdt.hf.prefill import prefill
from latentcrdt.hf.self_test import rotate
from tests.hf.oracle import BOUNDS, Layer, last_rows, layers_of, render_of

FILLER = [5, 17, 40, 3, 88, 61, 29, 70, 12]
MOVED = [9, 33, 21, 50, 4, 77, 65]

DISTANCE = 210
"""Tokens by which a fragment is moved."""

ROUTED_BF16_BOUND = 2e-1
"""In place of BOUNDS for bf16 where a router picks experts.

Two experts nearly tie for some token, and the last bit of bf16 decides: K and V of later layers
differ as much between two runs of the model itself (measured: up to 7e-2, and 1e-5 in f32).
"""


class ShiftErrors(NamedTuple):
    """The worst layer's relative error, by Frobenius norm."""

    keys: float
    values: float


def bound_of(model: PreTrainedModel, dtype: Dtype) -> float:
    """Return the error that two forward passes of a tiny model stay below."""
    routed = any("expert" in name for name, _ in model.named_parameters())
    return ROUTED_BF16_BOUND if routed and dtype is Dtype.BF16 else BOUNDS[dtype]


def shift_errors(model: PreTrainedModel) -> ShiftErrors:
    """Capture at 0, render to DISTANCE, and compare with a capture there."""
    return worst_errors(*moved_and_there(model))


def moved_and_there(model: PreTrainedModel) -> tuple[list[Layer], list[Layer]]:
    """Return the rows of a fragment rendered to DISTANCE, and those of a capture there."""
    filler, moved = capture(model, None, FILLER), capture(model, None, MOVED)
    rendered = render_of([filler, moved], layout=Layout.SLOTTED, stride=DISTANCE)
    assert [placement.delta for placement in rendered.plan.placements] == [0, DISTANCE]
    there = capture(model, None, MOVED, start=DISTANCE)
    return last_rows(layers_of(rendered), moved), layers_of(there)


def unchecked_errors(
    model: PreTrainedModel, style: RopeStyle | None, distance: int = DISTANCE
) -> ShiftErrors:
    """Return what a rotation would leave on a model that `capture` refuses.

    The frequencies are the live ones of position 0; ``style`` None rotates nothing.
    """
    near = _cached(model, 0)
    rope = None if style is None else _live_rope(model, style)
    moved = [(rotate(keys, rope, distance).numpy(), values.numpy()) for keys, values in near]
    there = [(keys.numpy(), values.numpy()) for keys, values in _cached(model, distance)]
    return worst_errors(moved, there)


def worst_errors(actual: Sequence[Layer], expected: Sequence[Layer]) -> ShiftErrors:
    """Return the largest relative error of K, and of V, of any layer."""
    errors = [
        [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(got, wanted, strict=True)]
        for got, wanted in zip(actual, expected, strict=True)
    ]
    keys, values = (float(max(column)) for column in zip(*errors, strict=True))
    return ShiftErrors(keys, values)


def _cached(model: PreTrainedModel, position: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    cache = DynamicCache(config=model.config)
    prefill(model, MOVED, position=position, cache=cache)
    return [(layer.keys.double(), layer.values.double()) for layer in cache.layers]


def _live_rope(model: PreTrainedModel, style: RopeStyle) -> RopeDescriptor:
    inv_freq = model.model.rotary_emb.inv_freq
    return RopeDescriptor(style, 2 * len(inv_freq), inv_freq.numpy().astype("<f4").tobytes())
