"""Decoding from a render: what ``model.generate`` has to be told, and the short way to an answer.

transformers takes the number of cached rows for the next position. That holds for the sequential
layout; under ``parallel`` and ``slotted`` rows and positions part ways, so positions are always
passed. And without a mask over the cached tokens too, generate would take the new ids for the whole
sequence and cut as many of them off as the cache holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.core.rendered import LayeredRender
from latentcrdt.hf.cache import load_cache
from latentcrdt.hf.prefill import evaluation
from latentcrdt.hf.tokens import token_ids_of


def decode_inputs(
    render: LayeredRender, model: PreTrainedModel, token_ids: Sequence[int]
) -> dict[str, Any]:
    """Return the keyword arguments with which ``model.generate`` continues from a render.

    ``token_ids`` are the new tokens (a question), at least one; they are placed from the render's
    ``next_position`` on. The cache among the arguments is a fresh copy, good for one call. Use it
    as ``model.generate(**decode_inputs(render, model, token_ids), max_new_tokens=64)``.
    """
    ids = token_ids_of(model, None, token_ids, begins=False)
    plan = render.plan
    positions = torch.arange(plan.next_position, plan.next_position + len(ids))
    return {
        "input_ids": torch.tensor([ids], dtype=torch.long, device=model.device),
        "attention_mask": torch.ones(
            (1, plan.num_tokens + len(ids)), dtype=torch.long, device=model.device
        ),
        "position_ids": positions[None].to(model.device),  # [1, T]
        "past_key_values": load_cache(render, model),
    }


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    render: LayeredRender,
    text_or_token_ids: str | Sequence[int],
    **generate_kwargs: Any,
) -> str:
    """Continue from a render with a text, such as a question, and return what the model answers.

    Further arguments (``max_new_tokens``, ``do_sample``, ...) go to ``model.generate``. The text is
    tokenised without special tokens, since it does not begin the sequence. The render is not
    changed. Raises as `load_cache` does, and InvalidRequestError for no tokens.
    """
    token_ids = token_ids_of(model, tokenizer, text_or_token_ids, begins=False)
    with evaluation(model):
        run: Any = model.generate  # typed by transformers as a tensor, as any module attribute
        sequences = run(**decode_inputs(render, model, token_ids), **generate_kwargs)
    answer = tokenizer.decode(sequences[0, len(token_ids) :], skip_special_tokens=True)
    return str(answer)
