"""Comparison across shards: two hands, each in a shard of its own.

"Anna shows rock." in one shard and "Ben shows paper." in another: who wins? The order is cyclic on
purpose. Of two ages, one alone already makes an answer likely; of two hands, one says nothing. Each
shard shows all three hands, so that the rest of a shard says nothing either.
"""

from __future__ import annotations

from itertools import combinations

from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.partitioned.question import Ask, Context
from latentcrdt.evals.partitioned.words import FACTS_PER_SHARD, HANDS, NAMES, text_of


def comparison(draws: Draws, num_shards: int) -> Context:
    """Return a context in which each shard shows each hand once."""
    size = FACTS_PER_SHARD
    names = draws.sample(NAMES, size * num_shards)
    hands = [hand for _ in range(num_shards) for hand in draws.shuffled(range(len(HANDS)))]
    asks = []
    for i, j in combinations(range(len(names)), 2):
        if i // size == j // size or hands[i] == hands[j]:
            continue
        a, b = draws.shuffled([i, j])
        # rock < paper < scissors < rock: each is beaten by the next.
        winner = a if hands[a] == (hands[b] + 1) % len(HANDS) else b
        question = f"Who wins, {names[a]} or {names[b]}?"
        asks.append(Ask(question, names[winner], tuple(sorted((names[a], names[b])))))
    facts = [f"{name} shows {HANDS[hand]}." for name, hand in zip(names, hands, strict=True)]
    shards = [text_of(facts[i : i + size]) for i in range(0, len(facts), size)]
    return Context(tuple(draws.shuffled(shards)), tuple(asks))
