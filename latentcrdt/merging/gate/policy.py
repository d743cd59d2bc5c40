"""The gate: which merges of branches to refuse, by limits on what a trial shows.

What a limit has to be depends on the model: `latentcrdt eval confluence` calibrates a gate on its
battery, and reports how often it is right on pairs that it was not calibrated on.
"""

from __future__ import annotations

from dataclasses import dataclass

from latentcrdt.merging.gate.trial import Trial


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets a merge pass, or not; a limit that is None is not asked."""

    least_cosine: float | None = None
    """Late-layer cosine of the values below which the branches are expected to wash out."""
    least_share: float | None = None
    """Mass share of the trial below which they are, too."""
    most_balance: float | None = None
    """|balance| of the trial above which one branch is expected to be lost."""

    def passes(self, trial: Trial) -> bool:
        """Return whether a merge of branches that were tried is worth making."""
        return not self.reasons(trial)

    def reasons(self, trial: Trial) -> list[str]:
        """Return each limit that a trial breaks, in words; none where it passes."""
        found = []
        if self.least_cosine is not None and trial.late_cosine < self.least_cosine:
            found.append(f"late cosine {trial.late_cosine:.3f} is below {self.least_cosine:.3f}")
        if self.least_share is not None and trial.mass_share < self.least_share:
            found.append(f"mass share {trial.mass_share:.3f} is below {self.least_share:.3f}")
        if self.most_balance is not None and abs(trial.balance) > self.most_balance:
            found.append(f"|balance| {abs(trial.balance):.3f} is above {self.most_balance:.3f}")
        return found
