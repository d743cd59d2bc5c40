"""What the paper claims of orders, counted over the cells of a run (arXiv 2607.01308)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from latentcrdt.evals.report.summarise import CANONICAL
from latentcrdt.evals.report.summary import CellSummary

NEAR_POINTS = 4
"""The paper: canonical is within 4 points of the best order in every cell."""

ROUNDING = 1e-9

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class OrderClaim:
    """How near to the best order canonical came."""

    num_cells: int
    num_near: int
    num_not_below_worst: int
    num_significant: int
    """Cells in which canonical and the best order differ, by McNemar with Holm's correction."""
    largest_gap: float
    """Accuracy of the best order minus canonical's; below 0 where canonical beats every order."""
    mean_gap: float


def order_claim(cells: Sequence[CellSummary]) -> OrderClaim:
    """Return the counts over cells that have canonical and at least one order."""
    gaps, above_worst, significant = [], 0, 0
    for cell in cells:
        assert cell.orders is not None
        canonical, best, worst = (
            cell.method(name) for name in (CANONICAL, cell.orders.best, cell.orders.worst)
        )
        assert canonical is not None
        assert best is not None
        assert worst is not None
        gaps.append(best.accuracy - canonical.accuracy)
        above_worst += canonical.accuracy >= worst.accuracy
        test = cell.comparison(CANONICAL, cell.orders.best)
        significant += test is not None and test.adjusted_p_value < SIGNIFICANT
    return OrderClaim(
        num_cells=len(cells),
        num_near=sum(100 * gap <= NEAR_POINTS + ROUNDING for gap in gaps),
        num_not_below_worst=above_worst,
        num_significant=significant,
        largest_gap=max(gaps),
        mean_gap=fmean(gaps),
    )
