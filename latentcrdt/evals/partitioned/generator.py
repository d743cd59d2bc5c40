"""Seeded questions, in two splits that share no context.

A context belongs to a split by the SHA-256 of its sorted shards. So the shards of a held-out
question were never seen together in training: not in another order, not behind another question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.partitioned.families import FAMILIES, NUM_SHARDS
from latentcrdt.evals.partitioned.question import Ask, Context, Question

SPLITS = ("train", "held-out")
HELD_OUT_ONE_IN = 8
"""One context in so many is held out."""


def split_of(shards: tuple[str, ...]) -> str:
    """Return the split that a context belongs to, by its shards in any order."""
    digest = hashlib.sha256("\n".join(sorted(shards)).encode()).digest()
    return "held-out" if digest[0] % HELD_OUT_ONE_IN == 0 else "train"


def contexts(family: str, *, num_shards: int, split: str, seed: int = 0) -> Iterator[Context]:
    """Yield contexts of a split, without end. Raises InvalidRequestError as `questions` does."""
    if family not in FAMILIES:
        raise InvalidRequestError(f"family: expected one of {list(FAMILIES)}, got {family!r:.80}")
    if num_shards not in NUM_SHARDS:
        raise InvalidRequestError(
            f"num_shards: expected {NUM_SHARDS[0]} to {NUM_SHARDS[-1]}, got {num_shards}"
        )
    if split not in SPLITS:
        raise InvalidRequestError(f"split: expected one of {list(SPLITS)}, got {split!r:.80}")
    return _contexts(family, num_shards, split, Draws.named(family, num_shards, split, seed))


def _contexts(family: str, num_shards: int, split: str, draws: Draws) -> Iterator[Context]:
    while True:
        context = FAMILIES[family].make(draws, num_shards)
        if split_of(context.shards) == split:
            yield context


def questions(
    family: str, *, num_shards: int, count: int, split: str, seed: int = 0
) -> tuple[Question, ...]:
    """Return different questions, one to a context: fewer are a prefix of more.

    Raises InvalidRequestError for a family, number of shards, split or count that does not exist.
    """
    if count < 0:
        raise InvalidRequestError(f"count: expected at least 0, got {count}")
    draws = Draws.named("question", family, num_shards, split, seed)
    found: dict[str, Question] = {}
    stream = contexts(family, num_shards=num_shards, split=split, seed=seed)
    while len(found) < count:
        context = next(stream)
        question = _question(family, context, draws.one_of(context.asks))
        found.setdefault(question.question_id, question)
    return tuple(found.values())


def _question(family: str, context: Context, ask: Ask) -> Question:
    content = "\n".join((*context.shards, ask.question)).encode()
    return Question(
        question_id=f"{family}-{len(context.shards)}-{hashlib.sha256(content).hexdigest()[:16]}",
        family=family,
        shards=context.shards,
        question=ask.question,
        answer=ask.answer,
        choices=ask.choices,
    )
