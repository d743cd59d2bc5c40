"""Calibrate the gate of branch merges on a battery's records, and see what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latentcrdt.evals.confluence.regimes import Outcome
from latentcrdt.evals.confluence.roc import ROC
from latentcrdt.evals.confluence.signals import SIGNALS, Example
from latentcrdt.evals.statistics import Interval, wilson
from latentcrdt.merging.gate import Gate

FOLDS = 5
"""Of pairs: each is judged by a gate that was calibrated on the other four fifths."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def interval(self) -> Interval:
        """Wilson's interval of the share; all of [0, 1] for none of none."""
        return wilson(self.count, self.of) if self.of else Interval(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A gate, and how it does on pairs that it was not calibrated on."""

    gate: Gate
    """Calibrated on all pairs."""
    curves: dict[str, ROC | None]
    """Of each signal, for the regime that it should tell."""
    curves_elsewhere: dict[str, ROC | None]
    """The same, of a trial behind another prefix (`examples_elsewhere`)."""
    kept: Share
    """Confluent merges that pass, of all confluent ones."""
    stopped: Share
    """Other merges that do not pass, of all others."""
    confluent: Share
    """Confluent merges, of all: what one gets without a gate."""
    confluent_passed: Share
    """Confluent merges, of those that pass: what one gets with it."""


def calibrated_gate(examples: Sequence[Example]) -> Gate:
    """Return the limits at which each signal tells its regime from the others best.

    A signal whose area under the curve may as well be that of a coin is not asked.
    """
    limits: dict[str, float] = {}
    for signal in SIGNALS:
        curve = signal.curve(examples)
        if curve is not None and curve.interval.low > 1 / 2:
            limits[signal.limit] = signal.best_limit(curve)
    return Gate(**limits)


def calibrate(examples: Sequence[Example], elsewhere: Sequence[Example] = ()) -> Calibration:
    """Return the gate of all examples, and the figures of gates that saw other pairs only."""
    numbers = {pair: i for i, pair in enumerate(dict.fromkeys(e.pair_id for e in examples))}
    folds = [numbers[example.pair_id] % FOLDS for example in examples]
    passed: dict[int, bool] = {}
    for fold in range(FOLDS):
        gate = calibrated_gate([e for e, own in zip(examples, folds, strict=True) if own != fold])
        passed |= {
            i: gate.passes(example.trial)
            for i, (example, own) in enumerate(zip(examples, folds, strict=True))
            if own == fold
        }
    good = [example.outcome is Outcome.CONFLUENCE for example in examples]
    num_good, num_passed = sum(good), sum(passed.values())
    good_passed = sum(passed[i] for i, is_good in enumerate(good) if is_good)
    num_bad = len(good) - num_good
    return Calibration(
        gate=calibrated_gate(examples),
        curves=_curves(examples),
        curves_elsewhere=_curves(elsewhere),
        kept=Share(good_passed, num_good),
        stopped=Share(num_bad - (num_passed - good_passed), num_bad),
        confluent=Share(num_good, len(good)),
        confluent_passed=Share(good_passed, num_passed),
    )


def _curves(examples: Sequence[Example]) -> dict[str, ROC | None]:
    return {f"{s.name}, {s.tells}": s.curve(examples) for s in SIGNALS}
