"""Strategies that treat keys and values apart (FACTS section 6, rows 14 to 19).

The keys say where a head looks, the values what it takes from there.
"""

from __future__ import annotations

from latentcrdt.merging.operators import gate, lerp, slerp
from latentcrdt.merging.strategies.heads import WHOLE
from latentcrdt.merging.strategies.layers import WEIGHT, blend
from latentcrdt.merging.strategies.rule import (
    Family,
    Head,
    KeysAndValues,
    Parameters,
    Strategy,
)
from latentcrdt.merging.sums import Axes


def _values_only(head: Head, parameters: Parameters) -> KeysAndValues:
    return head.anchor[0], blend(head, parameters["weight"])[1]


def _values_only_other_keys(head: Head, parameters: Parameters) -> KeysAndValues:
    return head.other[0], blend(head, parameters["weight"])[1]


def _cross_wired(head: Head, _parameters: Parameters) -> KeysAndValues:
    return head.anchor[0], head.other[1]


def _gated_values(head: Head, parameters: Parameters, axes: Axes) -> KeysAndValues:
    keys, a = head.anchor
    b = head.other[1]
    mixed = lerp(a, b, parameters["weight"])
    return keys, gate(a, b, mixed, parameters["threshold"], axes)


def _alignment_gated_values(head: Head, parameters: Parameters) -> KeysAndValues:
    return _gated_values(head, parameters, axes=-1)


def _late_values_slerp(head: Head, parameters: Parameters) -> KeysAndValues:
    if not head.is_late:
        return head.anchor
    keys, values = head.anchor
    return keys, slerp(values, head.other[1], parameters["weight"])


def _head_gated_values(head: Head, parameters: Parameters) -> KeysAndValues:
    return _gated_values(head, parameters, axes=WHOLE)


COMPONENT_STRATEGIES = (
    Strategy(
        "v-only",
        Family.COMPONENT,
        _values_only,
        "A's keys, averaged values",
        defaults=WEIGHT,
        many=True,
    ),
    Strategy(
        "v-only-b-keys",
        Family.COMPONENT,
        _values_only_other_keys,
        "B's keys, averaged values",
        defaults=WEIGHT,
    ),
    Strategy(
        "cross-wired",
        Family.COMPONENT,
        _cross_wired,
        "A's keys, B's values",
    ),
    Strategy(
        "alignment-gated-v",
        Family.COMPONENT,
        _alignment_gated_values,
        "A's keys; rows of values averaged where cos(V_A, V_B) > threshold",
        defaults={**WEIGHT, "threshold": 0.7},
    ),
    Strategy(
        "late-v-slerp",
        Family.COMPONENT,
        _late_values_slerp,
        "A's keys; values turned by slerp in the upper half of the layers",
        defaults=WEIGHT,
    ),
    Strategy(
        "head-gated-v",
        Family.COMPONENT,
        _head_gated_values,
        "A's keys; values averaged in heads with cos(V_A, V_B) > threshold",
        defaults={**WEIGHT, "threshold": 0.7},
        takes_whole_heads=True,
    ),
)
