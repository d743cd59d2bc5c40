"""The 23 strategies for blending branches, by name. Adding one is a rule and a row.

Nineteen are rules with fixed parameters; four search for weights with a model and an objective, and
what they find is one of the rules again with those weights: `latentcrdt.merging.search`.
"""

from __future__ import annotations

from latentcrdt.errors import InvalidRequestError
from latentcrdt.merging.search import SEARCHES
from latentcrdt.merging.strategies.components import COMPONENT_STRATEGIES
from latentcrdt.merging.strategies.heads import HEAD_STRATEGIES
from latentcrdt.merging.strategies.layers import LAYER_STRATEGIES
from latentcrdt.merging.strategies.rule import Strategy

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (*LAYER_STRATEGIES, *HEAD_STRATEGIES, *COMPONENT_STRATEGIES)
}


def strategy_named(name: str) -> Strategy:
    """Return a strategy; InvalidRequestError lists the names for one that is none.

    For the name of a search it says what to ask for instead.
    """
    if name in SEARCHES:
        rule = SEARCHES[name].strategy
        raise InvalidRequestError(
            f"merge {name}: a search needs a model, and no render has one; expected what it finds: "
            f"{rule} with weights",
            expected=rule,
        )
    if name not in STRATEGIES:
        raise InvalidRequestError(
            f"merge: expected one of {sorted(STRATEGIES)}, got {name!r:.60}",
            expected=sorted(STRATEGIES),
        )
    return STRATEGIES[name]
