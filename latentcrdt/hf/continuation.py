"""Continuation: a model that goes on from a cache, a few tokens at a time, and says how.

`generate` is the short way to an answer. This is the way for whoever wants the logits: to score a
question, to mix several copies of a model, to time the first token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from latentcrdt.core.rendered import Render
from latentcrdt.hf.cache import load_cache
from latentcrdt.hf.layers import new_cache
from latentcrdt.hf.prefill import evaluation, keep_logits


@dataclass(slots=True)
class Continuation:
    """A cache that only this continuation writes to, and where it stands."""

    model: PreTrainedModel
    cache: DynamicCache
    num_tokens: int
    """Tokens that the cache holds."""
    next_position: int
    """Position of the next token; another number than ``num_tokens`` for layouts with gaps."""

    @classmethod
    def of_render(cls, render: Render, model: PreTrainedModel) -> Continuation:
        """Return what goes on from a render, which stays as it is; raises as `load_cache` does."""
        plan = render.plan
        return cls(model, load_cache(render, model), plan.num_tokens, plan.next_position)

    @classmethod
    def from_nothing(cls, model: PreTrainedModel) -> Continuation:
        """Return what begins a sequence."""
        return cls(model, new_cache(model), 0, 0)

    def feed(self, token_ids: Sequence[int], *, keep: int = 1) -> torch.Tensor:
        """Append tokens; return the logits ``[keep, V]`` behind the last ``keep`` of them."""
        count = len(token_ids)
        device = self.model.device
        positions = torch.arange(self.next_position, self.next_position + count, device=device)
        # As generate passes it: every cached token is seen, wherever it stands.
        mask = torch.ones((1, self.num_tokens + count), dtype=torch.long, device=device)
        with evaluation(self.model):
            answer = self.model(
                input_ids=torch.tensor([list(token_ids)], dtype=torch.long, device=device),
                attention_mask=mask,
                position_ids=positions[None],  # [1, T]
                past_key_values=self.cache,
                use_cache=True,
                **keep_logits(self.model, keep),
            )
        self.num_tokens += count
        self.next_position += count
        logits: torch.Tensor = answer.logits[0, -keep:]
        return logits


def greedy(
    logits: torch.Tensor,
    step: Callable[[int], torch.Tensor],
    *,
    max_new_tokens: int,
    stop_ids: frozenset[int],
) -> list[int]:
    """Return the most likely tokens, one after another, without the one that ended them.

    ``logits`` ``[V]`` are those of the first; ``step`` takes a token and returns the next ones'.
    """
    token_ids: list[int] = []
    while len(token_ids) < max_new_tokens:
        token_id = int(logits.argmax())
        if token_id in stop_ids:
            break
        token_ids.append(token_id)
        if len(token_ids) < max_new_tokens:
            logits = step(token_id)
    return token_ids


def stop_ids_of(model: PreTrainedModel) -> frozenset[int]:
    """Return the tokens at which ``model.generate`` stops."""
    stop: Any = getattr(model.generation_config, "eos_token_id", None)
    if stop is None:
        return frozenset()
    return frozenset([stop] if isinstance(stop, int) else stop)
