"""How good a calibration is: reliability of the risk, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latentcrdt.agents.gate.policy import Example, Outcome
from latentcrdt.agents.gate.risk import RiskModel

NUM_BINS = 10
"""Bins of predicted risk, each a tenth wide."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Examples whose predicted risk lies in one tenth."""

    predicted: float
    """Mean predicted risk."""
    observed: float
    """Share that was hurt."""
    count: int


@dataclass(frozen=True, slots=True)
class Point:
    """What a single threshold between latent and text would give."""

    threshold: float
    latent_share: float
    accuracy: float
    mean_cost: float
    """Tokens prefilled by the final agent."""


def reliability(model: RiskModel, examples: Sequence[Example]) -> list[Bin]:
    """Return predicted against observed risk, in bins that are not empty, ascending."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for example in examples:
        risk = model.probability(example.signals)
        bins.setdefault(min(int(risk * NUM_BINS), NUM_BINS - 1), []).append((risk, example.is_hurt))
    return [
        Bin(
            predicted=sum(risk for risk, _ in members) / len(members),
            observed=sum(hurt for _, hurt in members) / len(members),
            count=len(members),
        )
        for _, members in sorted(bins.items())
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: the mean distance, weighted by the bins' counts."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.predicted - one.observed) for one in bins) / total


def accuracy_cost_curve(model: RiskModel, examples: Sequence[Example]) -> list[Point]:
    """Return a point for every threshold that changes anything, from never latent to always."""
    risks = [model.probability(example.signals) for example in examples]
    points = []
    for threshold in (-1.0, *sorted(set(risks))):
        chosen = [Outcome.LATENT if risk <= threshold else Outcome.TEXT for risk in risks]
        pairs = list(zip(examples, chosen, strict=True))
        points.append(
            Point(
                threshold,
                chosen.count(Outcome.LATENT) / len(chosen),
                sum(example.right[outcome] for example, outcome in pairs) / len(pairs),
                sum(example.cost[outcome] for example, outcome in pairs) / len(pairs),
            )
        )
    return points
