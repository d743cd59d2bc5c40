"""One forward pass that fills a cache, leaving the model as it was found."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import Cache, PreTrainedModel


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Hold the model in evaluation mode without gradients; every module's mode is put back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def prefill(
    model: PreTrainedModel, token_ids: Sequence[int], *, position: int, cache: Cache
) -> None:
    """Append the keys and values of the tokens, placed from ``position`` on, to the cache."""
    input_ids = torch.tensor([token_ids], dtype=torch.long, device=model.device)
    positions = torch.arange(position, position + len(token_ids), device=model.device)
    fill(model, cache, input_ids=input_ids, position_ids=positions[None])  # [1, T]


def fill(model: PreTrainedModel, cache: Cache, **inputs: Any) -> None:
    """Run the model once, for the sake of what it adds to the cache."""
    with evaluation(model):
        model(
            **inputs,
            past_key_values=cache,
            use_cache=True,
            **keep_logits(model, 1),
        )


def keep_logits(model: PreTrainedModel, count: int) -> dict[str, int]:
    """Return the argument by which a model computes the last ``count`` tokens' logits alone.

    Only a language model head takes it; without it, it would compute logits for every token.
    """
    takes_it = "logits_to_keep" in inspect.signature(model.forward).parameters
    return {"logits_to_keep": count} if takes_it else {}
