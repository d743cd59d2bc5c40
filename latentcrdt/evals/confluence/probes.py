"""What a model would say next behind each of many candidates for one fork."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from latentcrdt.evals.confluence.fork import Fork, Rows, behind
from latentcrdt.merging.gate.probes import next_distributions

AT_ONCE = 32
"""Candidates in one forward pass: enough to fill the processor, few enough for its memory."""


def candidate_distributions(
    model: PreTrainedModel, forked: Fork, candidates: list[Rows], probes: list[int]
) -> NDArray[np.float64]:
    """Return the next-token probabilities ``[candidates, probes, vocabulary]``."""
    parts = []
    for first in range(0, len(candidates), AT_ONCE):
        cache = behind(model, forked, candidates[first : first + AT_ONCE])
        parts.append(next_distributions(model, cache, forked.num_tokens, probes))
    return np.concatenate(parts)
