"""From what a person types to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.errors import InvalidRequestError


def token_ids_of(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text_or_token_ids: str | Sequence[int],
    *,
    begins: bool,
) -> list[int]:
    """Return the token ids of a text; ids are passed through once they were checked.

    ``begins`` says whether a sequence begins here: only then does the tokenizer add its special
    tokens (such as a leading BOS). Raises InvalidRequestError for no tokens, for text without a
    tokenizer, and for ids outside the model's vocabulary.
    """
    if isinstance(text_or_token_ids, str):
        if tokenizer is None:
            raise InvalidRequestError("text: expected a tokenizer to go with it, got None")
        ids = tokenizer(text_or_token_ids, add_special_tokens=begins)["input_ids"]
    else:
        ids = text_or_token_ids
    token_ids = [int(token_id) for token_id in ids]
    if not token_ids:
        raise InvalidRequestError("text: expected at least one token, got none")
    vocab_size = vocab_size_of(model)
    for token_id in token_ids:
        if not 0 <= token_id < vocab_size:
            raise InvalidRequestError(
                f"token id: expected one of the model's {vocab_size}, got {token_id}"
            )
    return token_ids


def vocab_size_of(model: PreTrainedModel) -> int:
    """Return how many token ids the model embeds; some tokenizers know more, some fewer."""
    embeddings: Any = model.get_input_embeddings()
    return int(embeddings.weight.shape[0])
