"""Training text: rows of a context and much that can be said about it.

Behind the context stand, in a drawn order, questions with their answers, and facts once more. A
fact said again trains what every family needs first, finding the sentence of a name, at a fraction
of the tokens of a question. Facts of the family `constraint` are not said again: several boxes
could come next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import torch

from latentcrdt.evals.partitioned import FAMILIES, PLAIN, Ask, Context, contexts
from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.reference.tokenizer import BOS, EOS, PADDING_ID, POOLS, words_of

POOLED = frozenset(word for pool in POOLS for word in pool)
MAX_ASKS = 6
"""Questions behind one context; a comparison over five shards has 60."""


@dataclass(slots=True)
class Row:
    """Words, and which of them are told by what stands before them."""

    words: list[str] = field(default_factory=list)
    told: list[bool] = field(default_factory=list)

    def say(self, words: list[str], told: int | None = None) -> None:
        """Append words; the one at the index ``told`` is told by what stands before it."""
        self.told += [i == told for i in range(len(words))]
        self.words += words


def make_row(family: str, num_shards: int, seed: int) -> Row:
    """Return the row of a seed, from the train split."""
    context = next(contexts(family, num_shards=num_shards, split="train", seed=seed))
    draws = Draws.named("row", family, num_shards, seed)
    row = Row()
    row.say([BOS])
    for shard in context.shards:
        row.say(words_of(PLAIN.shard_text(shard)))
    items: list[Ask | str] = [*draws.sample(context.asks, min(MAX_ASKS, len(context.asks)))]
    if family != "constraint":
        items += _facts(context)
    for item in draws.shuffled(items):
        if isinstance(item, Ask):
            row.say(words_of(PLAIN.question.format(question=item.question)))
            row.say([*words_of(PLAIN.answer_text(item.answer)), EOS], told=0)
        else:
            words = words_of(item)
            row.say(words, told=_object_of(words))
    return row


def make_batch(
    num_rows: int, num_shards: int, first_seed: int, ids: dict[str, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and what is told ``[B, T]``, the families in turn, padded on the right."""
    families = list(FAMILIES)
    rows = [
        make_row(families[i % len(families)], num_shards, first_seed + i) for i in range(num_rows)
    ]
    longest = max(len(row.words) for row in rows)
    token_ids = torch.full((num_rows, longest), PADDING_ID)
    told = torch.zeros((num_rows, longest), dtype=torch.bool)
    for i, row in enumerate(rows):
        token_ids[i, : len(row.words)] = torch.tensor([ids[word] for word in row.words])
        told[i, : len(row.told)] = torch.tensor(row.told)
    return token_ids, told


def _facts(context: Context) -> list[str]:
    return [fact for shard in context.shards for fact in re.findall(r"[^.]+\.", shard)]


def _object_of(words: list[str]) -> int:
    """Return the index of a fact's second word of the pools: what its first one leads to."""
    return [i for i, word in enumerate(words) if word in POOLED][1]
