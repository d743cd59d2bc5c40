"""Strategies that blend by layer (FACTS section 6, rows 1 to 6, 20 and 21)."""

from __future__ import annotations

from decimal import Decimal, localcontext

from latentcrdt.merging.operators import lerp, mean, slerp
from latentcrdt.merging.strategies.rule import (
    Family,
    Head,
    KeysAndValues,
    Parameters,
    Strategy,
    Symmetry,
)

WEIGHT = {"weight": 0.5}


def blend(head: Head, weight: float) -> KeysAndValues:
    """Return keys and values, interpolated element by element; of many branches, their mean."""
    if len(head.branches) > 2:
        return mean([k for k, _ in head.branches]), mean([v for _, v in head.branches])
    (keys_a, values_a), (keys_b, values_b) = head.branches
    return lerp(keys_a, keys_b, weight), lerp(values_a, values_b, weight)


def _uniform_average(head: Head, parameters: Parameters) -> KeysAndValues:
    return blend(head, parameters["weight"])


def _uniform_slerp(head: Head, parameters: Parameters) -> KeysAndValues:
    (keys_a, values_a), (keys_b, values_b) = head.branches
    weight = parameters["weight"]
    return slerp(keys_a, keys_b, weight), slerp(values_a, values_b, weight)


def _late_only(head: Head, parameters: Parameters) -> KeysAndValues:
    return blend(head, parameters["weight"]) if head.is_late else head.anchor


def _early_only(head: Head, parameters: Parameters) -> KeysAndValues:
    return head.anchor if head.is_late else blend(head, parameters["weight"])


def _sigmoid_ramp(head: Head, parameters: Parameters) -> KeysAndValues:
    share = sigmoid(parameters["steepness"] * (head.depth - 0.5))
    return blend(head, parameters["weight"] * share)


def _last_layer_only(head: Head, parameters: Parameters) -> KeysAndValues:
    is_last = head.layer == head.num_layers - 1
    return blend(head, parameters["weight"]) if is_last else head.anchor


def _layer_weights(head: Head, parameters: Parameters) -> KeysAndValues:
    return blend(head, parameters.get(f"weight-{head.layer}", parameters["weight"]))


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)) by decimal arithmetic, whose exp is the same everywhere."""
    with localcontext() as context:
        context.prec = 30
        return float(1 / (1 + (-Decimal(x)).exp()))


LAYER_STRATEGIES = (
    Strategy(
        "uniform-average",
        Family.LAYER,
        _uniform_average,
        "(1-w) A + w B on K and V",
        Symmetry.AT_HALF,
        WEIGHT,
        many=True,
    ),
    Strategy(
        "uniform-slerp",
        Family.LAYER,
        _uniform_slerp,
        "slerp of each row's direction, linear magnitude; linear when nearly parallel",
        Symmetry.AT_HALF,
        WEIGHT,
    ),
    Strategy(
        "late-only",
        Family.LAYER,
        _late_only,
        "average in the upper half of the layers, else A",
        defaults=WEIGHT,
    ),
    Strategy(
        "early-only",
        Family.LAYER,
        _early_only,
        "average in the lower half of the layers, else A",
        defaults=WEIGHT,
    ),
    Strategy(
        "sigmoid-ramp",
        Family.LAYER,
        _sigmoid_ramp,
        "average with w sigmoid(s (l/(L-1) - 1/2))",
        defaults={**WEIGHT, "steepness": 10.0},
    ),
    Strategy(
        "last-layer-only",
        Family.LAYER,
        _last_layer_only,
        "average in the last layer, else A",
        defaults=WEIGHT,
    ),
    Strategy(
        "layer-weights",
        Family.LAYER,
        _layer_weights,
        "average with a weight of its own for each layer: weight-0, weight-1, ...",
        Symmetry.AT_HALF,
        defaults=WEIGHT,
        layer_weights=True,
    ),
)
