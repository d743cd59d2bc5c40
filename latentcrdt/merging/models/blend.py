"""Blending the tensors of two models: the operators of this project, in the tensors' own dtype."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch

from latentcrdt.errors import InvalidRequestError
from latentcrdt.merging.operators import Magnitude, lerp, regmean, slerp

Operator: TypeAlias = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""From ``a``, ``b`` and the weight of ``b`` to what lies between them; vectors on the last axis."""

RIDGE = 0.1
"""Of the proximal mean: its result is 1/11 shorter than that of `lerp`. The source names none."""

OPERATORS: dict[str, Operator] = {
    "lerp": lerp,
    "slerp": slerp,
    "slerp-rms": partial(slerp, magnitude=Magnitude.RMS),
    "regmean": partial(regmean, ridge=RIDGE),
}
"""By the names that a person types."""

BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


def operator_named(name: str) -> Operator:
    """Return an operator. Raises InvalidRequestError for a name that is none."""
    if name not in OPERATORS:
        raise InvalidRequestError(f"operator: expected one of {list(OPERATORS)}, got {name!r:.80}")
    return OPERATORS[name]


def check_alpha(alpha: float) -> float:
    """Return the weight of the second model. Raises InvalidRequestError outside of [0, 1]."""
    if not (math.isfinite(alpha) and 0 <= alpha <= 1):
        raise InvalidRequestError(f"alpha: expected 0 to 1, got {alpha}")
    return float(alpha)


def blend(operator: Operator, a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return the blend in the dtype of ``a``, computed in float32 or wider.

    Where the operator returns an element of ``a`` or ``b``, its very bits come back, NaN included.
    """
    dtype = a.dtype
    wide = torch.promote_types(dtype, torch.float32)
    wide_a, wide_b = a.to(wide), b.to(wide)
    merged = operator(wide_a, wide_b, alpha)
    if dtype == wide:
        return merged
    # Rounding to 16 bits spells every NaN the same way; what is taken over keeps its own.
    bits = BITS[wide]
    narrow = torch.where(_same(merged, wide_b, bits), b, merged.to(dtype))
    return torch.where(_same(merged, wide_a, bits), a, narrow)


def _same(a: torch.Tensor, b: torch.Tensor, bits: torch.dtype) -> torch.Tensor:
    return a.contiguous().view(bits) == b.contiguous().view(bits)
