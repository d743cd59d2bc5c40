"""Think: read a text, go on for some latent steps, and hand over what that left in the cache.

A latent step feeds the last hidden state back as the next input (LatentMAS, arXiv 2511.20639;
Coconut, arXiv 2412.06769): the model goes on without choosing a token. Every latent row's input
embedding is kept beside its K and V, so that a repair can compute the row again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.agents.realignment import Realignment
from latentcrdt.agents.regime import Rows
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import LATENT_TOKEN
from latentcrdt.errors import InvalidRequestError
from latentcrdt.hf.capture import (
    cache_behind,
    chain_of,
    fragment_from_cache,
    start_behind,
)
from latentcrdt.hf.contract import ModelContract
from latentcrdt.hf.prefill import evaluation
from latentcrdt.hf.tensors import to_bytes
from latentcrdt.hf.tokens import token_ids_of


def think(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text_or_token_ids: str | Sequence[int],
    *,
    num_steps: int,
    prefix: Fragment | Sequence[Fragment] | None = None,
    start: int | None = None,
    rows: Rows = Rows.ALL,
) -> Fragment:
    """Prefill a model with a text, take latent steps, and return the rows as a fragment.

    ``prefix`` and ``start`` are as in `latentcrdt.hf.capture`, and no step at all gives what it
    gives. One sequence at a time: what a batch would pad, steps would attend to. Raises as
    `capture` does; InvalidRequestError for fewer than no steps, or latent rows where none are;
    UnsupportedModelError for a model whose states cannot be fed back.
    """
    if num_steps < (1 if rows is Rows.LATENT else 0):
        raise InvalidRequestError(f"num_steps: expected more for rows {rows}, got {num_steps}")
    chain = chain_of(prefix)
    token_ids = token_ids_of(model, tokenizer, text_or_token_ids, begins=not chain)
    ModelContract.of(model)
    start = start_behind(chain, start)
    cache = cache_behind(chain, model)
    ids = torch.tensor([token_ids], dtype=torch.long, device=model.device)
    hidden = forward(model, cache, position=start, input_ids=ids)[-1]
    stop = start + len(token_ids)
    latent = latent_steps(model, cache, hidden, position=stop, num_steps=num_steps)
    marks = [LATENT_TOKEN] * num_steps
    every = rows is Rows.ALL
    return fragment_from_cache(
        cache,
        model,
        start=start if every else stop,
        seq_len=num_steps + (len(token_ids) if every else 0),
        prefix=chain[-1].fragment_id if chain else None,
        token_ids=[*token_ids, *marks] if every else marks,
        latent_inputs=(latent.shape[1], to_bytes(latent)) if num_steps else None,
    )


def latent_steps(
    model: PreTrainedModel,
    cache: DynamicCache,
    hidden: torch.Tensor,
    *,
    position: int,
    num_steps: int,
) -> torch.Tensor:
    """Append latent rows to a cache; return what was fed for each, ``[num_steps, d]``.

    ``hidden`` ``[d]`` is the last token's state after the final norm; ``position`` is the next one.
    """
    inputs = hidden.new_empty((num_steps, hidden.shape[0]))
    if num_steps:
        realign = Realignment.of(model)
        for step in range(num_steps):
            inputs[step] = realign(hidden)
            fed = inputs[step][None, None]  # [1, 1, d]
            hidden = forward(model, cache, position=position + step, inputs_embeds=fed)[-1]
    return inputs


def forward(
    model: PreTrainedModel, cache: DynamicCache, *, position: int, **inputs: torch.Tensor
) -> torch.Tensor:
    """Append what is fed, from ``position`` on; return its states ``[T, d]`` after the last norm.

    ``inputs`` is ``input_ids`` ``[1, T]`` or ``inputs_embeds`` ``[1, T, d]``.
    """
    (fed,) = inputs.values()
    positions = torch.arange(position, position + fed.shape[1], device=model.device)
    live: Any = model  # transformers leaves its accessors untyped
    with evaluation(model):
        answer = live.get_decoder()(
            **inputs,
            position_ids=positions[None],  # [1, T]
            past_key_values=cache,
            use_cache=True,
        )
    states: torch.Tensor = answer.last_hidden_state[0]
    return states
