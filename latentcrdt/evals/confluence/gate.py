"""The gate: which merges to refuse, and how well its two signals tell (FACTS section 6).

Late-layer cosine of the values predicts washout before anything is merged; a trial merge's balance
detects collapse. How well is measured by the receiver operating characteristic of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets a merge pass, or not."""

    least_cosine: float
    """Late-layer cosine of the values below which the branches are expected to wash out."""
    most_balance: float
    """|balance| of a trial merge above which one branch is expected to be lost."""

    def passes(self, late_cosine: float, trial_balance: float) -> bool:
        """Return whether a merge of these signals is worth making."""
        return late_cosine >= self.least_cosine and abs(trial_balance) <= self.most_balance


@dataclass(frozen=True, slots=True)
class ROC:
    """How a signal separates the cases from the others, over all thresholds."""

    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]
    area: float
    """Probability that a case has the greater signal than another (ties count half)."""
    num_cases: int
    num_others: int


def roc(signal: Sequence[float], is_case: Sequence[bool]) -> ROC | None:
    """Return the curve of a signal that is greater for cases; None unless there are both kinds."""
    num_cases = sum(is_case)
    num_others = len(is_case) - num_cases
    if not num_cases or not num_others:
        return None
    ordered = sorted(zip(signal, is_case, strict=True), key=lambda entry: -entry[0])
    false_positive, true_positive, area = [0.0], [0.0], 0.0
    hits = misses = 0
    for i, (value, case) in enumerate(ordered):
        hits, misses = hits + case, misses + (not case)
        if i + 1 < len(ordered) and ordered[i + 1][0] == value:
            continue  # equal signals fall on the same side of every threshold
        x, y = misses / num_others, hits / num_cases
        area += (x - false_positive[-1]) * (y + true_positive[-1]) / 2
        false_positive.append(x)
        true_positive.append(y)
    return ROC(tuple(false_positive), tuple(true_positive), area, num_cases, num_others)
