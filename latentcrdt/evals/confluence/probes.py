"""What a model would say next behind a cache, after each of four probe tokens."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.confluence.fork import Fork, Rows, behind
from latentcrdt.hf.prefill import evaluation

PROBES = (" The", ".", " about", " It")

AT_ONCE = 32
"""Candidates in one forward pass: enough to fill the processor, few enough for its memory."""


def probe_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the first token of each probe; InvalidRequestError for a tokenizer without them."""
    ids = []
    for probe in PROBES:
        found = tokenizer(probe, add_special_tokens=False)["input_ids"]
        if not found:
            raise InvalidRequestError(f"probe {probe!r}: expected a token, got none")
        ids.append(int(found[0]))
    return ids


def next_distributions(
    model: PreTrainedModel, forked: Fork, candidates: list[Rows], probes: list[int]
) -> NDArray[np.float64]:
    """Return the next-token probabilities ``[candidates, probes, vocabulary]``."""
    parts = [
        _distributions(model, forked, candidates[first : first + AT_ONCE], probes)
        for first in range(0, len(candidates), AT_ONCE)
    ]
    return np.concatenate(parts)


def _distributions(
    model: PreTrainedModel, forked: Fork, candidates: list[Rows], probes: list[int]
) -> NDArray[np.float64]:
    cache = behind(model, forked, candidates)
    cache.batch_repeat_interleave(len(probes))
    rows = len(candidates) * len(probes)
    with evaluation(model):
        logits = model(
            input_ids=torch.tensor(probes * len(candidates), device=model.device)[:, None],
            position_ids=torch.full((rows, 1), forked.num_tokens, device=model.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
    probabilities: NDArray[np.float64] = logits[:, -1].double().softmax(-1).cpu().numpy()
    return probabilities.reshape(len(candidates), len(probes), -1)
