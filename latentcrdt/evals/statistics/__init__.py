"""Intervals, tests and calibration for paired answers: every method answers the same questions."""

from latentcrdt.evals.statistics.bootstrap import Difference, group_difference, paired_difference
from latentcrdt.evals.statistics.interval import Interval
from latentcrdt.evals.statistics.mcnemar import Discordance, mcnemar
from latentcrdt.evals.statistics.proportion import wilson

__all__ = [
    "Difference",
    "Discordance",
    "Interval",
    "group_difference",
    "mcnemar",
    "paired_difference",
    "wilson",
]
