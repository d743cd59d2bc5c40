"""A trial: merge two branches, and look at what the model makes of it.

It costs a forward pass of the probes behind three caches, that of either branch and the merge. The
merge that is tried is a plain average, which prefers no branch; what it shows holds for other
strategies as far as a calibration says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import LATENT_TOKEN
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout
from latentcrdt.hf.cache import load_cache
from latentcrdt.hf.tensors import from_bytes
from latentcrdt.merging.branches import BranchMerge
from latentcrdt.merging.gate.metrics import Tokens, late_value_cosine, metrics_of
from latentcrdt.merging.gate.probes import next_distributions
from latentcrdt.render.stream import render

STRATEGY = "uniform-average"
"""What is tried."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What can be seen of two branches before their merge is used."""

    late_cosine: float
    """Mean cosine of the branches' values, row by row, in the upper half of the layers."""
    balance: float
    """Of the trial, as in `Metrics`; positive where the first branch weighs more."""
    mass_share: float
    """Of the trial, as in `Metrics`."""


def try_merge(
    model: PreTrainedModel,
    probes: Sequence[int],
    prefixes: Sequence[Fragment],
    first: Fragment,
    second: Fragment,
) -> Trial:
    """Return what a trial merge of two branches shows, behind the chain of their prefixes.

    ``probes`` are those of `probe_ids`. The branches' own words are told apart by their token ids;
    where these are withheld, by what either branch makes likely. Raises IncompatibleFragmentsError
    unless the branches are equally long, and ModelMismatchError for another model's.
    """
    behind = [prefix.header for prefix in prefixes]
    both = place([first.header, second.header], behind, layout=Layout.PARALLEL)
    held = {f.fragment_id: f for f in (*prefixes, first, second)}
    merged = BranchMerge(STRATEGY).apply(both, held)
    held[merged.fragment_id] = merged
    alone_a, alone_b, together = (
        next_distributions(model, load_cache(whole, model), whole.plan.next_position, probes)[0]
        for whole in (
            render(place([branch.header], behind), held) for branch in (first, second, merged)
        )
    )
    tokens = Tokens.of(_token_ids(first), _token_ids(second), alone_a, alone_b)
    metrics = metrics_of(together, alone_a, alone_b, tokens)
    cosine = late_value_cosine(_values(first), _values(second))
    return Trial(cosine, metrics.balance, metrics.mass_share)


def _token_ids(branch: Fragment) -> tuple[int, ...]:
    """Return the tokens of a branch; none of them where the sender withholds them."""
    return tuple(token for token in branch.header.token_ids or () if token != LATENT_TOKEN)


def _values(branch: Fragment) -> list[NDArray[np.float64]]:
    """Return the values ``[H, T, D]`` of each layer."""
    geometry = branch.header.geometry
    found = []
    for layer, spec in enumerate(geometry.layers):
        shape = (spec.num_kv_heads, spec.rows(branch.header.seq_len), spec.value_dim)
        values = from_bytes(branch.values(layer), geometry.dtype, shape, torch.device("cpu"))
        found.append(values.double().numpy())
    return found
