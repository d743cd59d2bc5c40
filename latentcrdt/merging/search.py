"""Search for the weights of a merge (FACTS section 6, rows 20 to 23).

A search needs an objective, which needs a model; its result does not: it is a strategy with the
weights that were found, which any replica applies. So a search is no render option.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

GRID = (0.3, 0.4, 0.5, 0.6, 0.7)
"""The weights that are tried."""


@dataclass(frozen=True, slots=True)
class Search:
    """One way to look for weights."""

    name: str
    strategy: str
    """The rule whose weights are looked for."""
    by_layer: bool = False
    """Whether each layer gets a weight of its own, or all get one."""


SEARCHES: dict[str, Search] = {
    search.name: search
    for search in (
        Search("weight-search", "uniform-average"),
        Search("layer-weight-search", "layer-weights", by_layer=True),
        Search("late-v-slerp-search", "late-v-slerp"),
        Search("head-gated-v-search", "head-gated-v"),
    )
}

Objective = Callable[[str, Sequence[Mapping[str, float]]], Sequence[float]]
"""What is made as small as possible, of a strategy's name and sets of parameters: a value each."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best weights that a search came upon."""

    strategy: str
    parameters: dict[str, float]
    objective: float
    num_trials: int


def search(wanted: Search, num_layers: int, objective: Objective) -> Found:
    """Return the weights with the least objective; of equals the first tried.

    One weight for all: the grid. A weight for each layer: from the best of these, one pass over the
    layers from the last to the first, each taking its best weight with the others held; a whole
    grid of 5^L would take for ever.
    """
    trials: list[dict[str, float]] = [{"weight": weight} for weight in GRID]
    best, least = _first_of_least(trials, objective(wanted.strategy, trials))
    num_trials = len(trials)
    if wanted.by_layer:
        for layer in reversed(range(num_layers)):
            trials = [{**best, f"weight-{layer}": weight} for weight in GRID]
            found, value = _first_of_least(trials, objective(wanted.strategy, trials))
            num_trials += len(trials)
            if value < least:
                best, least = found, value
    return Found(wanted.strategy, best, least, num_trials)


def _first_of_least(
    trials: list[dict[str, float]], values: Sequence[float]
) -> tuple[dict[str, float], float]:
    least = min(values)
    return trials[list(values).index(least)], least
