"""Policy: from a risk to what is done about it, with thresholds fitted on a calibration split.

The outcomes form a ladder: from what costs the final agent least to what it trusts most. The higher
the risk, the further up. Thresholds are the cheapest whose accuracy, on the calibration split, is
within a tolerance of the best that any thresholds reach there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations_with_replacement

import numpy as np

from latentcrdt.agents.gate.risk import RiskModel
from latentcrdt.agents.gate.signals import Signals
from latentcrdt.agents.method import Purpose
from latentcrdt.errors import InvalidRequestError

TOLERANCE = 0.01
"""Share of answers that may be lost against the best thresholds for being cheaper."""

FOLDS = 5
"""Parts of a calibration split, each of which is judged by a model of the others."""

MAX_CUTS = 41
"""Thresholds tried: quantiles of the risks of the calibration split."""


class Outcome(StrEnum):
    """What a gate does with a merge."""

    LATENT = "latent"
    """Answer from it."""
    REPAIRED = "repaired"
    """Compute some of it again, and answer from that."""
    TEXT = "text"
    """Leave it: merge the texts, and prefill them."""
    DENSE = "dense"
    """Let one agent read everything in its own order: what judges get."""


LADDER = (Outcome.LATENT, Outcome.REPAIRED, Outcome.TEXT)
"""From cheap to safe."""


@dataclass(frozen=True, slots=True)
class Example:
    """One task of a calibration split, answered in every way."""

    signals: Signals
    right: Mapping[Outcome, bool]
    """Whether each outcome would have been right: latent, text, and repaired where there is one."""
    cost: Mapping[Outcome, float]
    """What each outcome costs, in tokens prefilled by the final agent."""

    @property
    def is_hurt(self) -> bool:
        """Whether the merge loses what the texts would have got right."""
        return self.right[Outcome.TEXT] and not self.right[Outcome.LATENT]


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome, and the risk that led to it."""

    outcome: Outcome
    risk: float | None
    """None for judges, whose merges are not tried."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A risk model, and up to which risk each rung of the ladder is good enough."""

    risk: RiskModel
    thresholds: tuple[tuple[Outcome, float], ...]
    """Ascending in both; above the last one, ``text``."""

    def decide(self, signals: Signals) -> Decision:
        """Return what is done about a merge."""
        risk = self.risk.probability(signals)
        for outcome, threshold in self.thresholds:
            if risk <= threshold:
                return Decision(outcome, risk)
        return Decision(Outcome.TEXT, risk)

    @classmethod
    def calibrate(cls, examples: Sequence[Example], *, tolerance: float = TOLERANCE) -> Policy:
        """Fit the risk on a calibration split, and thresholds on the risks of its held-out folds.

        Raises InvalidRequestError for no examples, or ones that know different outcomes.
        """
        rungs = _rungs(examples)
        risks = np.array(held_out_risks(examples))
        right = np.array([[e.right[rung] for rung in rungs] for e in examples], dtype=float)
        cost = np.array([[e.cost[rung] for rung in rungs] for e in examples], dtype=float)
        tried = []
        for cuts in combinations_with_replacement(_cuts(risks), len(rungs) - 1):
            chosen = np.searchsorted(cuts, risks, side="left")  # the rung that each risk gets
            rows = np.arange(len(examples))
            tried.append((right[rows, chosen].mean(), cost[rows, chosen].mean(), cuts))
        enough = max(accuracy for accuracy, _, _ in tried) - tolerance
        _, _, best = min((t for t in tried if t[0] >= enough - 1e-12), key=lambda t: t[1])
        return cls(_fit(examples), tuple(zip(rungs[:-1], map(float, best), strict=True)))


def held_out_risks(examples: Sequence[Example]) -> list[float]:
    """Return the risk of each example by a model that was fitted on the other folds.

    A small split is fitted nearly without error: its own risks would call for thresholds that hold
    nowhere else. A single example has no others.
    """
    folds = min(FOLDS, len(examples))
    models = [
        _fit([e for i, e in enumerate(examples) if i % folds != fold] or examples)
        for fold in range(folds)
    ]
    return [models[i % folds].probability(e.signals) for i, e in enumerate(examples)]


def needs_no_trial(purpose: Purpose) -> Decision | None:
    """Return the decision that is made without looking: judges read everything themselves."""
    return Decision(Outcome.DENSE, None) if purpose is Purpose.JUDGE else None


def _fit(examples: Sequence[Example]) -> RiskModel:
    return RiskModel.fit([e.signals for e in examples], [e.is_hurt for e in examples])


def _rungs(examples: Sequence[Example]) -> tuple[Outcome, ...]:
    if not examples:
        raise InvalidRequestError("calibration: expected at least one example, got none")
    rungs = tuple(rung for rung in LADDER if rung in examples[0].right)
    for example in examples:
        known = {rung for rung in LADDER if rung in example.right and rung in example.cost}
        if known != set(rungs) or not {Outcome.LATENT, Outcome.TEXT} <= known:
            raise InvalidRequestError(
                f"calibration: expected latent and text, and the same outcomes in every example, "
                f"got {sorted(known)} after {sorted(rungs)}"
            )
    return rungs


def _cuts(risks: np.typing.NDArray[np.float64]) -> list[float]:
    """Return thresholds to try, ascending; -1 stands for never."""
    levels = np.unique(np.quantile(risks, np.linspace(0, 1, MAX_CUTS - 1), method="higher"))
    return [-1.0, *levels.tolist()]
