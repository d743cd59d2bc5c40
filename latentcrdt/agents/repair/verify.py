"""Verify a derived fragment by making it again: for whoever does not trust who made it.

The same machine makes the same bytes. Another one makes rows that differ by the noise of a model
run, which is bounded; a fragment that somebody made up is not that close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from latentcrdt.core.derived import Repair
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.plan import RenderPlan
from latentcrdt.errors import DigestMismatchError, IncompatibleFragmentsError
from latentcrdt.hf.self_test import BOUNDS
from latentcrdt.hf.tensors import from_bytes


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely a derived fragment is what was made again."""

    is_equal: bool
    """To the byte."""
    error: float
    """Largest relative error, by Frobenius norm, of any layer's K or V."""
    bound: float


def verify_derived(
    repair: Repair,
    plan: RenderPlan,
    fragments: Mapping[FragmentId, Fragment],
    derived: Fragment,
) -> Agreement:
    """Return how a derived fragment agrees with what the repair makes of the plan here.

    Raises IncompatibleFragmentsError for a fragment of another shape or other tokens,
    DigestMismatchError, naming the layer, for rows beyond the noise of a model run. CacheBlend may
    choose another row on another machine where two are almost equally far: then it raises, too.
    """
    made = repair.apply(plan, fragments)
    bound = BOUNDS[plan.geometry.dtype]
    if made.fragment_id == derived.fragment_id:
        return Agreement(is_equal=True, error=0.0, bound=bound)
    if _place(made.header) != _place(derived.header):
        raise IncompatibleFragmentsError(
            f"derived fragment {derived.fragment_id}: expected geometry, place and tokens of "
            f"{made.fragment_id}, which was made here",
            id=str(derived.fragment_id),
        )
    worst = 0.0
    for layer in range(len(plan.geometry.layers)):
        for part in ("keys", "values"):
            expected, actual = (getattr(fragment, part)(layer) for fragment in (made, derived))
            error = _relative_error(expected, actual, plan.geometry.dtype)
            if not error <= bound:  # NaN must not pass
                raise DigestMismatchError(
                    f"derived fragment {derived.fragment_id}, layer {layer}, {part}: expected rows "
                    f"within {bound} of those that were made here, got {error:.3g}",
                    id=str(derived.fragment_id),
                    layer=layer,
                    part=part,
                    error=error,
                )
            worst = max(worst, error)
    return Agreement(is_equal=False, error=worst, bound=bound)


def _place(header: FragmentHeader) -> tuple[object, ...]:
    """Return everything of a header but the digests of its rows."""
    return (
        header.geometry,
        header.start,
        header.seq_len,
        header.prefix,
        header.token_bytes,
        header.latent_inputs,
    )


def _relative_error(expected: memoryview, actual: memoryview, dtype: Dtype) -> float:
    a, b = (
        from_bytes(data, dtype, (len(data) // dtype.itemsize,), torch.device("cpu")).double()
        for data in (expected, actual)
    )
    return float((a - b).norm() / a.norm().clamp_min(torch.finfo(torch.float64).tiny))
