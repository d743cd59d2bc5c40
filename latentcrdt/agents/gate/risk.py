"""Risk: the probability that answering from a merge hurts, by logistic regression on signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentcrdt.agents.gate.signals import Signals
from latentcrdt.errors import InvalidRequestError

RIDGE = 1.0
"""Weight of the squared coefficients, in examples: a calibration split is small."""

MAX_STEPS = 50
"""Of Newton's method, which takes about six."""


@dataclass(frozen=True, slots=True)
class RiskModel:
    """Coefficients over standardised features, and the features' means and scales."""

    intercept: float
    coefficients: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def fit(cls, signals: Sequence[Signals], hurt: Sequence[bool]) -> RiskModel:
        """Return the ridge logistic regression of ``hurt`` on the signals' features.

        Raises InvalidRequestError for no examples. Where nothing hurts, or all does, the risk is
        nearly that everywhere.
        """
        if not signals:
            raise InvalidRequestError("calibration: expected at least one example, got none")
        features = np.array([one.features() for one in signals], dtype=np.float64)  # [n, f]
        means, scales = features.mean(axis=0), features.std(axis=0)
        scales[scales == 0] = 1.0  # what never varies gets no weight
        design = np.column_stack([np.ones(len(features)), (features - means) / scales])
        weights = _newton(design, np.array(hurt, dtype=np.float64))
        intercept, *coefficients = weights.tolist()
        return cls(intercept, tuple(coefficients), tuple(means.tolist()), tuple(scales.tolist()))

    def probability(self, signals: Signals) -> float:
        """Return the predicted probability of harm."""
        standard = (np.array(signals.features()) - self.means) / self.scales
        return float(_logistic(self.intercept + standard @ np.array(self.coefficients)))


def _newton(design: NDArray[np.float64], hurt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficients, the intercept first; it is penalised too, so that it stays finite.

    One thousandth of the others' penalty: enough where all examples are of one kind.
    """
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = RIDGE / 1000
    weights = np.zeros(design.shape[1])
    for _ in range(MAX_STEPS):
        risks = _logistic(design @ weights)
        gradient = design.T @ (risks - hurt) + penalty * weights
        curvature = (design.T * (risks * (1 - risks))) @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return weights


def _logistic(x: NDArray[np.float64] | float) -> NDArray[np.float64]:
    # By tanh: exp of a large number would overflow.
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(x))))
