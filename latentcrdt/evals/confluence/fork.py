"""Fork a text: one prefix, two branches of equal length in tokens, as keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.confluence.battery import Pair
from latentcrdt.hf.layers import new_cache, plain_layers
from latentcrdt.hf.prefill import prefill

Rows: TypeAlias = list[tuple[NDArray[np.float64], NDArray[np.float64]]]
"""K and V ``[H, T, D]`` of each layer, of the branch's own tokens, exact in binary64."""

MOST_TRIMMED = 2
"""Tokens that the longer branch may lose at its end so that both are equally long."""

PADDING = (
    "The village lies between two low hills, a little way from the road. In the morning the baker "
    "opens first, and later the school, the post office and the small shop beside the church. On "
    "most days nothing happens that anyone would write down. People work, eat and sleep, the bus "
    "comes twice, and in the evening the lamps are lit along the only street. Those who left for "
    "the city come back in summer, sit in the old gardens and say that everything is as it was. "
    "The river is narrow here and turns the wheel of a mill that grinds no corn any more. "
)
"""Neutral text that makes a shared prefix longer."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A prefix in a cache, and what two branches would add to it."""

    prefix: DynamicCache
    prefix_tokens: int
    a_ids: tuple[int, ...]
    b_ids: tuple[int, ...]
    a: Rows
    b: Rows
    trimmed: int
    """Tokens cut off the end of the longer branch."""

    @property
    def num_tokens(self) -> int:
        """Rows of the prefix and of one branch."""
        return self.prefix_tokens + len(self.a_ids)


class UnequalBranchesError(InvalidRequestError):
    """Raised when two branches cannot be made equally long, or do not differ, in tokens."""


def fork(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pair: Pair, *, padding_tokens: int
) -> Fork:
    """Prefill the prefix, behind so many tokens of neutral text, and each branch behind it.

    Raises UnequalBranchesError, a refusal that a report lists, when the branches differ in length
    by more than `MOST_TRIMMED` tokens, or hold a token that the tokenizer does not know.
    """
    prefix_ids = _prefix_ids(tokenizer, pair.prefix, padding_tokens)
    a_ids, b_ids = (_ids(tokenizer, f" {text}") for text in (pair.a, pair.b))
    unknown = tokenizer.unk_token_id
    # Byte-level tokenizers name some ordinary token as unknown, and never use it for that.
    if unknown is not None and unknown in {*prefix_ids, *a_ids, *b_ids}:
        raise UnequalBranchesError(f"{pair.pair_id}: the tokenizer does not know all of its words")
    trimmed = abs(len(a_ids) - len(b_ids))
    if trimmed > MOST_TRIMMED:
        raise UnequalBranchesError(
            f"{pair.pair_id}: {len(a_ids)} and {len(b_ids)} tokens; expected a difference of at "
            f"most {MOST_TRIMMED}"
        )
    length = min(len(a_ids), len(b_ids))
    a_ids, b_ids = a_ids[:length], b_ids[:length]
    if a_ids == b_ids:
        raise UnequalBranchesError(f"{pair.pair_id}: both branches are the same tokens")
    cache = new_cache(model)
    prefill(model, prefix_ids, position=0, cache=cache)
    a, b = (_branch_rows(model, cache, len(prefix_ids), ids) for ids in (a_ids, b_ids))
    return Fork(cache, len(prefix_ids), tuple(a_ids), tuple(b_ids), a, b, trimmed)


def behind(model: PreTrainedModel, forked: Fork, candidates: list[Rows]) -> DynamicCache:
    """Return a cache of one sequence a candidate: the prefix, and the candidate's rows behind it.

    The prefix is copied; the fork stays as it is.
    """
    cache = new_cache(model)
    layers = zip(plain_layers(cache), plain_layers(forked.prefix), strict=True)
    for i, (layer, prefix) in enumerate(layers):
        assert prefix.keys is not None
        assert prefix.values is not None
        keys, values = (
            torch.cat(
                [old.expand(len(candidates), -1, -1, -1), _stack(candidates, i, part, old)], 2
            )
            for part, old in ((0, prefix.keys), (1, prefix.values))
        )
        _fill(layer, keys, values, forked.num_tokens)
    return cache


def _prefix_ids(tokenizer: PreTrainedTokenizerBase, prefix: str, padding_tokens: int) -> list[int]:
    """Return the token ids of the prefix, with whatever begins a sequence, behind the padding."""
    begun = [int(i) for i in tokenizer(PADDING + prefix)["input_ids"]]
    padding = _ids(tokenizer, PADDING.rstrip())
    special = len(begun) - len(_ids(tokenizer, PADDING + prefix))
    own = _ids(tokenizer, f" {prefix}" if padding_tokens else prefix)
    if padding_tokens > len(padding):
        raise InvalidRequestError(
            f"padding: expected at most {len(padding)} tokens, got {padding_tokens}"
        )
    return [*begun[:special], *padding[len(padding) - padding_tokens :], *own]


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return [int(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]


def _branch_rows(
    model: PreTrainedModel, prefix: DynamicCache, position: int, token_ids: list[int]
) -> Rows:
    """Return the rows that the tokens add behind the prefix, which stays as it is."""
    cache = new_cache(model)
    for layer, old in zip(plain_layers(cache), plain_layers(prefix), strict=True):
        assert old.keys is not None
        assert old.values is not None
        _fill(layer, old.keys.clone(), old.values.clone(), position)
    prefill(model, token_ids, position=position, cache=cache)
    rows = []
    for layer in plain_layers(cache):
        assert layer.keys is not None
        assert layer.values is not None
        pair = [
            t[0, :, -len(token_ids) :].double().cpu().numpy() for t in (layer.keys, layer.values)
        ]
        rows.append((pair[0], pair[1]))
    return rows


def _fill(layer: DynamicLayer, keys: torch.Tensor, values: torch.Tensor, num_tokens: int) -> None:
    """Make ``[B, H, T, D]`` what a layer holds of so many tokens; a sliding one, the last."""
    # A layer that is not initialised would drop its rows, silently, at the first update.
    layer.lazy_initialization(keys, values)
    if isinstance(layer, DynamicSlidingWindowLayer):
        kept = layer.sliding_window - 1
        keys, values = keys[:, :, -kept:], values[:, :, -kept:]
        layer.cumulative_length = num_tokens
    layer.keys, layer.values = keys, values


def _stack(candidates: list[Rows], layer: int, part: int, like: torch.Tensor) -> torch.Tensor:
    rows = torch.from_numpy(np.stack([candidate[layer][part] for candidate in candidates]))
    return rows.to(device=like.device, dtype=like.dtype)
