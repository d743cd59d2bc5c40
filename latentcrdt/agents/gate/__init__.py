"""A gate before a merge: measure, predict harm, and answer in a safer way where it is likely."""

from latentcrdt.agents.gate.collect import collect
from latentcrdt.agents.gate.curve import accuracy_cost_curve, calibration_error, reliability
from latentcrdt.agents.gate.gated import Gated
from latentcrdt.agents.gate.policy import Decision, Example, Outcome, Policy
from latentcrdt.agents.gate.risk import RiskModel
from latentcrdt.agents.gate.signals import Signals, try_merge

__all__ = [
    "Decision",
    "Example",
    "Gated",
    "Outcome",
    "Policy",
    "RiskModel",
    "Signals",
    "accuracy_cost_curve",
    "calibration_error",
    "collect",
    "reliability",
    "try_merge",
]
