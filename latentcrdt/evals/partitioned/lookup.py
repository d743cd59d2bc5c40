"""Lookup across shards: one shard holds the key, another the entry that has it.

"Anna lives in Oslo." in one shard and "Cora lives in Oslo." in another: who lives in the same city
as Anna? Two shards hold the same three cities; the cities of all the others occur once.
"""

from __future__ import annotations

from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.partitioned.question import Ask, Context
from latentcrdt.evals.partitioned.words import CITIES, FACTS_PER_SHARD, NAMES, text_of


def lookup(draws: Draws, num_shards: int) -> Context:
    """Return a context of ``num_shards`` shards, two of which are about the same cities."""
    size = FACTS_PER_SHARD
    names = draws.sample(NAMES, size * num_shards)
    people = [names[i : i + size] for i in range(0, len(names), size)]
    cities = draws.sample(CITIES, size * (num_shards - 1))
    homes = [cities[i : i + size] for i in range(0, len(cities), size)]
    homes.append(draws.shuffled(homes[0]))
    asks = []
    for mine, theirs in ((0, -1), (-1, 0)):
        others = [n for shard in people if shard is not people[mine] for n in shard]
        for name, city in zip(people[mine], homes[mine], strict=True):
            answer = people[theirs][homes[theirs].index(city)]
            question = f"Who lives in the same city as {name}?"
            asks.append(Ask(question, answer, tuple(sorted(others))))
    shards = [
        text_of([f"{name} lives in {city}." for name, city in zip(*shard, strict=True)])
        for shard in zip(people, homes, strict=True)
    ]
    return Context(tuple(draws.shuffled(shards)), tuple(asks))
