"""Constraints across shards: every shard rules out one box.

"The coin is not in the red box." in one shard and "The coin is not in the blue box." in another:
which box has the coin, red, blue or green? Of k + 1 boxes each shard rules out one for each object,
so that without one shard two boxes are equally likely.
"""

from __future__ import annotations

from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.partitioned.question import Ask, Context
from latentcrdt.evals.partitioned.words import COLOURS, FACTS_PER_SHARD, OBJECTS, listed, text_of


def constraint(draws: Draws, num_shards: int) -> Context:
    """Return a context in which each shard says of each object where it is not."""
    boxes = draws.sample(COLOURS, num_shards + 1)
    things = draws.sample(OBJECTS, FACTS_PER_SHARD)
    left = {thing: draws.shuffled(boxes) for thing in things}  # the last one is the answer
    shards = [
        text_of([f"The {t} is not in the {left[t][i]} box." for t in draws.shuffled(things)])
        for i in range(num_shards)
    ]
    asks = [
        Ask(
            f"Which box has the {thing}, {listed(draws.shuffled(boxes))}?",
            left[thing][-1],
            tuple(sorted(boxes)),
        )
        for thing in things
    ]
    return Context(tuple(shards), tuple(asks))
