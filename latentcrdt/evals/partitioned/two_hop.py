"""Two hops across shards: who has which key, and what each key opens.

"Anna has the silver key." in one shard and "The silver key opens the barn." in another: what can
Anna open? Two shards are about the same three keys, one of each kind; every other shard, of either
kind, is about keys that occur once. No shard mixes the kinds: next to who has which key, what
another key opens would already exclude a place.
"""

from __future__ import annotations

from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.partitioned.question import Ask, Context
from latentcrdt.evals.partitioned.words import COLOURS, FACTS_PER_SHARD, NAMES, PLACES, text_of


def two_hop(draws: Draws, num_shards: int) -> Context:
    """Return a context of ``num_shards`` shards, two of which are about the same keys."""
    size = FACTS_PER_SHARD
    names = iter(draws.sample(NAMES, size * (num_shards - 1)))
    keys = iter(draws.sample(COLOURS, size * (num_shards - 1)))
    places = iter(draws.sample(PLACES, size * (num_shards - 1)))
    shards = []
    owned = {next(names): next(keys) for _ in range(size)}
    shards.append(_owning(owned))
    opened = {key: next(places) for key in draws.shuffled(list(owned.values()))}
    shards.append(_opening(opened))
    answers = {name: opened[key] for name, key in owned.items()}
    for _ in range(num_shards - 2):
        if draws.below(2):
            shards.append(_owning({next(names): next(keys) for _ in range(size)}))
        else:
            others = {next(keys): next(places) for _ in range(size)}
            shards.append(_opening(others))
            opened |= others
    choices = tuple(sorted(opened.values()))
    asks = [Ask(f"What can {name} open?", answer, choices) for name, answer in answers.items()]
    return Context(tuple(draws.shuffled(shards)), tuple(asks))


def _owning(keys: dict[str, str]) -> str:
    return text_of([f"{name} has the {key} key." for name, key in keys.items()])


def _opening(places: dict[str, str]) -> str:
    return text_of([f"The {key} key opens the {place}." for key, place in places.items()])
