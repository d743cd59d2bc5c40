"""Counting across shards: every shard adds nought, one or two.

"Anna has a dog. Ben has a cat. Cora has a dog." and further shards: how many people have a dog?
Each shard has two of one animal, one of another and none of the third, so that without one shard
three totals are equally likely.
"""

from __future__ import annotations

from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.partitioned.question import Ask, Context
from latentcrdt.evals.partitioned.words import ANIMALS, FACTS_PER_SHARD, NAMES, NUMBERS, text_of


def counting(draws: Draws, num_shards: int) -> Context:
    """Return a context in which each shard counts for each animal's question."""
    names = iter(draws.sample(NAMES, FACTS_PER_SHARD * num_shards))
    totals = dict.fromkeys(ANIMALS, 0)
    shards = []
    for _ in range(num_shards):
        twice, once = draws.sample(ANIMALS, 2)
        totals[twice] += 2
        totals[once] += 1
        animals = draws.shuffled([twice, twice, once])
        shards.append(text_of([f"{next(names)} has a {animal}." for animal in animals]))
    choices = NUMBERS[: 2 * num_shards + 1]
    asks = [
        Ask(f"How many people have a {animal}?", NUMBERS[total], choices)
        for animal, total in totals.items()
    ]
    return Context(tuple(shards), tuple(asks))
