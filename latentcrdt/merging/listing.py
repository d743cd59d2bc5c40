"""All strategies as a listing: what the command line prints and docs/merging.md shows."""

from __future__ import annotations

from typing_extensions import TypedDict

from latentcrdt.merging.search import GRID, SEARCHES, Search
from latentcrdt.merging.strategies import STRATEGIES
from latentcrdt.merging.strategies.rule import Strategy


class StrategyDocument(TypedDict):
    """One strategy: a rule, which a render can ask for, or a search that ends in one."""

    name: str
    family: str
    """What it chooses by: ``layer``, ``head`` or ``component``; ``search``."""
    rule: str
    parameters: dict[str, float]
    """What it takes, with the defaults; of a search nothing."""
    symmetric: str
    """When the result stays the same though two branches change places."""
    branches: str
    """How many it is defined for."""


def listing() -> list[StrategyDocument]:
    """Return all strategies, rules first."""
    return [*map(_of_rule, STRATEGIES.values()), *map(_of_search, SEARCHES.values())]


def _of_rule(strategy: Strategy) -> StrategyDocument:
    return {
        "name": strategy.name,
        "family": str(strategy.family),
        "rule": strategy.summary,
        "parameters": dict(strategy.defaults),
        "symmetric": str(strategy.symmetry),
        "branches": "2 or more" if strategy.many else "2",
    }


def _of_search(search: Search) -> StrategyDocument:
    grid = f"{GRID[0]} to {GRID[-1]}"
    how = "layer by layer from the last, best" if search.by_layer else "best"
    return {
        "name": search.name,
        "family": "search",
        "rule": f"{search.strategy}, {how} weight of {grid}; needs a model, so no render option",
        "parameters": {},
        "symmetric": str(STRATEGIES[search.strategy].symmetry),
        "branches": "2",
    }
