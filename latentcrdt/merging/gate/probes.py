"""What a model would say next behind a cache, after each of four probe tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.errors import InvalidRequestError
from latentcrdt.hf.prefill import evaluation

PROBES = (" The", ".", " about", " It")


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
    model: PreTrainedModel, cache: DynamicCache, position: int, probes: Sequence[int]
) -> NDArray[np.float64]:
    """Return the next-token probabilities ``[B, probes, vocabulary]`` behind B caches in one.

    Each probe is placed at ``position``. The cache is used up.
    """
    count = cache.layers[0].keys.shape[0]  # type: ignore[union-attr]
    cache.batch_repeat_interleave(len(probes))
    rows = count * len(probes)
    with evaluation(model):
        logits = model(
            input_ids=torch.tensor([*probes] * count, device=model.device)[:, None],
            position_ids=torch.full((rows, 1), position, device=model.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
    probabilities: NDArray[np.float64] = logits[:, -1].double().softmax(-1).cpu().numpy()
    return probabilities.reshape(count, len(probes), -1)
