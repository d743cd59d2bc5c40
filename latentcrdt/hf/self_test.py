"""The shift-equivariance self-test: does the live model really move as its descriptors say?

A few tokens are prefilled at position 0 and again at an offset. A model that can be re-positioned
gives the same V, and K turned by exactly that offset. Tables and versions lie; this does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from latentcrdt.core.geometry import Dtype, Geometry, RopeDescriptor, RopeStyle
from latentcrdt.errors import ShiftEquivarianceError

OFFSET = 100
"""Tokens between the two prefills: far enough to turn half of the pairs of any usual theta."""

BOUNDS = {Dtype.F32: 1e-3, Dtype.F16: 4e-2, Dtype.BF16: 2e-1}
"""Largest relative error, by Frobenius norm, of any layer.

Measured on SmolLM2's 30 layers: 2e-6, 4e-3 and 5e-2, the noise of a forward pass in that dtype. A
wrong pairing, wrong dimensions or no rotation give 0.4 to 1.5. Frequencies that are merely rounded
(2e-2) drown in the noise of bf16: `rope` compares those with the canonical ones, bit by bit.
"""


@dataclass(frozen=True, slots=True)
class ShiftReport:
    """The worst relative errors of a passed self-test."""

    offset: int
    keys_error: float
    values_error: float
    bound: float


def check_shift(
    geometry: Geometry,
    near: Sequence[tuple[torch.Tensor, torch.Tensor]],
    far: Sequence[tuple[torch.Tensor, torch.Tensor]],
    offset: int = OFFSET,
) -> ShiftReport:
    """Compare keys and values ``[1, H, T, D]`` of each layer at 0 and at ``offset``.

    Raises ShiftEquivarianceError with the figures of the first layer that exceeds the bound.
    """
    bound = BOUNDS[geometry.dtype]
    errors = []
    for layer, ((near_keys, near_values), (far_keys, far_values)) in enumerate(
        zip(near, far, strict=True)
    ):
        turned = rotate(near_keys.double(), geometry.rope_of(layer), offset)
        keys_error = _relative_error(turned, far_keys)
        values_error = _relative_error(near_values.double(), far_values)
        if not (keys_error <= bound and values_error <= bound):  # NaN must not pass
            raise ShiftEquivarianceError(
                f"{geometry.model_id}, layer {layer}: expected the keys of position 0, turned by "
                f"{offset}, and the values to equal those of position {offset} within {bound} of "
                f"their norm; keys differ by {keys_error:.3g}, values by {values_error:.3g}",
                layer=layer,
                keys_error=keys_error,
                values_error=values_error,
                bound=bound,
            )
        errors.append((keys_error, values_error))
    worst_keys, worst_values = (max(column) for column in zip(*errors, strict=True))
    return ShiftReport(offset, worst_keys, worst_values, bound)


def rotate(keys: torch.Tensor, rope: RopeDescriptor | None, delta: int) -> torch.Tensor:
    """Return float64 keys ``[..., T, D]`` turned by ``delta`` tokens, in plain float64 arithmetic.

    Independent of the render engines on purpose: the test would not see an error they share.
    """
    if rope is None:
        return keys
    angles = delta * torch.tensor(rope.frequencies, dtype=torch.float64, device=keys.device)
    cos, sin = angles.cos(), angles.sin()  # [r/2]
    r = rope.rotary_dim
    if rope.style is RopeStyle.HALF:
        first, second = slice(0, r // 2), slice(r // 2, r)
    else:
        first, second = slice(0, r, 2), slice(1, r, 2)
    a, b = keys[..., first], keys[..., second]
    turned = keys.clone()
    turned[..., first] = a * cos - b * sin
    turned[..., second] = b * cos + a * sin
    return turned


def _relative_error(expected: torch.Tensor, actual: torch.Tensor) -> float:
    difference = (actual.double() - expected).norm()
    return float(difference / expected.norm().clamp_min(torch.finfo(torch.float64).tiny))
