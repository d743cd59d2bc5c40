"""Calibration of a gate: what its confidence was worth, and what each threshold would have cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from latentcrdt.evals.statistics.interval import Interval
from latentcrdt.evals.statistics.proportion import wilson


@dataclass(frozen=True, slots=True)
class Judged:
    """One question on which a gate had a say."""

    confidence: float
    """In [0, 1]: how sure the gate was that the merge would do."""
    merge_right: bool
    """Whether the merge answered right."""
    fallback_right: bool
    """Whether what the gate falls back to answered right."""
    merge_cost: float
    fallback_cost: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Questions of about one confidence."""

    count: int
    confidence: float
    """Their mean confidence."""
    accuracy: float
    """The share of them that the merge answered right."""
    interval: Interval


@dataclass(frozen=True, slots=True)
class Operating:
    """What the gate would have done at one threshold."""

    threshold: float
    """The merge is used from this confidence on."""
    merged: float
    """The share of questions on which it is used."""
    accuracy: float
    cost: float
    """Mean, in the unit of the costs that were given."""


def reliability(judged: Sequence[Judged], num_bins: int = 10) -> list[Bin]:
    """Return confidence against accuracy over bins of equal width; empty ones are left out."""
    ordered = sorted(judged, key=lambda j: j.confidence)
    grouped = groupby(ordered, key=lambda j: min(int(j.confidence * num_bins), num_bins - 1))
    bins = []
    for _, members in grouped:
        group = list(members)
        right = sum(j.merge_right for j in group)
        mean = sum(j.confidence for j in group) / len(group)
        bins.append(Bin(len(group), mean, right / len(group), wilson(right, len(group))))
    return bins


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: mean |confidence - accuracy|, weighted by count."""
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / total


def operating_curve(judged: Sequence[Judged]) -> list[Operating]:
    """Return accuracy and cost at every threshold that makes a difference, ascending.

    The first merges always; the last, above every confidence, never does.
    """
    thresholds = sorted({j.confidence for j in judged})
    thresholds = [0.0, *(t for t in thresholds if t > 0), float("inf")]
    curve = []
    for threshold in thresholds:
        merges = [j.confidence >= threshold for j in judged]
        paired = list(zip(judged, merges, strict=True))
        right = sum(j.merge_right if merged else j.fallback_right for j, merged in paired)
        cost = sum(j.merge_cost if merged else j.fallback_cost for j, merged in paired)
        n = len(judged)
        curve.append(Operating(threshold, sum(merges) / n, right / n, cost / n))
    return curve
