"""Strategies that blend by head (FACTS section 6, rows 7 to 13).

A head's norm and the cosine of two heads are taken over all of its rows at once, ``[T, D]``, for K
and for V each by itself.
"""

from __future__ import annotations

from latentcrdt.merging.operators import (
    gate,
    inject_orthogonal,
    lerp,
    longest,
    share_of_norm,
    slerp,
)
from latentcrdt.merging.strategies.layers import WEIGHT, blend
from latentcrdt.merging.strategies.rule import (
    Family,
    Head,
    KeysAndValues,
    Parameters,
    Strategy,
    Symmetry,
)
from latentcrdt.merging.sums import Array

WHOLE = (-2, -1)
"""The axes of a head's rows and dimensions: one vector a head."""


def _cosine_gated(head: Head, parameters: Parameters) -> KeysAndValues:
    def gated(a: Array, b: Array) -> Array:
        return gate(a, b, lerp(a, b, parameters["weight"]), parameters["threshold"], WHOLE)

    (keys_a, values_a), (keys_b, values_b) = head.branches
    return gated(keys_a, keys_b), gated(values_a, values_b)


def _max_norm_head(head: Head, _parameters: Parameters) -> KeysAndValues:
    keys = longest([keys for keys, _ in head.branches], WHOLE)
    return keys, longest([values for _, values in head.branches], WHOLE)


def _norm_weighted_slerp(head: Head, _parameters: Parameters) -> KeysAndValues:
    def turned(a: Array, b: Array) -> Array:
        return slerp(a, b, share_of_norm(a, b, WHOLE), WHOLE)

    (keys_a, values_a), (keys_b, values_b) = head.branches
    return turned(keys_a, keys_b), turned(values_a, values_b)


def _sparse_interleaved(head: Head, parameters: Parameters) -> KeysAndValues:
    chosen = head.head % int(parameters["every"]) == 0
    return blend(head, parameters["weight"]) if chosen else head.anchor


def _cumulative(head: Head, parameters: Parameters) -> KeysAndValues:
    return blend(head, parameters["weight"] * head.depth)


def _odd_even_heads(head: Head, _parameters: Parameters) -> KeysAndValues:
    return head.other if head.head % 2 else head.anchor


def _orthogonal_injection(head: Head, parameters: Parameters) -> KeysAndValues:
    (keys_a, values_a), (keys_b, values_b) = head.branches
    weight = parameters["weight"]
    return (
        inject_orthogonal(keys_a, keys_b, weight),
        inject_orthogonal(values_a, values_b, weight),
    )


HEAD_STRATEGIES = (
    Strategy(
        "cosine-gated",
        Family.HEAD,
        _cosine_gated,
        "average of heads with cos(A, B) > threshold, else A",
        defaults={**WEIGHT, "threshold": 0.7},
        takes_whole_heads=True,
    ),
    Strategy(
        "max-norm-head",
        Family.HEAD,
        _max_norm_head,
        "the branch whose head has the larger norm",
        Symmetry.ALWAYS,
        many=True,
        takes_whole_heads=True,
    ),
    Strategy(
        "norm-weighted-slerp",
        Family.HEAD,
        _norm_weighted_slerp,
        "slerp of whole heads with w = |B| / (|A| + |B|)",
        Symmetry.ALWAYS,
        takes_whole_heads=True,
    ),
    Strategy(
        "sparse-interleaved",
        Family.HEAD,
        _sparse_interleaved,
        "average of every n-th head, else A",
        defaults={**WEIGHT, "every": 2.0},
    ),
    Strategy(
        "cumulative",
        Family.HEAD,
        _cumulative,
        "average with a weight that grows with depth, w l/(L-1)",
        defaults=WEIGHT,
    ),
    Strategy(
        "odd-even-heads",
        Family.HEAD,
        _odd_even_heads,
        "even heads from A, odd heads from B",
    ),
    Strategy(
        "orthogonal-injection",
        Family.HEAD,
        _orthogonal_injection,
        "A + w (B - proj_A B), row by row",
        defaults=WEIGHT,
    ),
)
