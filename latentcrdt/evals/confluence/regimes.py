"""Regimes: confluence, washout, collapse; and how much their borders matter.

The source gives no thresholds. These were chosen before any run, and `sensitivity` shows what other
ones would have said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from latentcrdt.merging.gate.metrics import Metrics


class Outcome(StrEnum):
    """What became of two branches."""

    CONFLUENCE = "confluence"
    """Both are carried, alike."""
    COLLAPSE = "collapse"
    """One is carried, the other is lost."""
    WASHOUT = "washout"
    """Neither is."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The borders between the regimes."""

    balance: float = math.log(2)
    """|balance| up to which both branches count as carried alike: twice the other's mass."""
    mass_share: float = 0.5
    """Share of the branches' own mass below which neither is carried."""


def outcome_of(metrics: Metrics, thresholds: Thresholds) -> Outcome:
    """Return the regime of one merge. The entropy change is shown beside it and decides nothing."""
    if metrics.mass_share < thresholds.mass_share:
        return Outcome.WASHOUT
    if abs(metrics.balance) > thresholds.balance:
        return Outcome.COLLAPSE
    return Outcome.CONFLUENCE


GRID = tuple(
    Thresholds(math.log(2) * factor, share)
    for factor in (0.5, 0.75, 1.0, 1.5, 2.0)
    for share in (0.25, 0.5, 0.75)
)
"""Borders from half to double the chosen ones."""


def sensitivity(merges: Iterable[Metrics]) -> list[dict[str, float]]:
    """Return the share of each regime under each borders of `GRID`."""
    known = list(merges)
    rows = []
    for thresholds in GRID:
        counts = Counter(outcome_of(m, thresholds) for m in known)
        shares = {str(o): counts[o] / len(known) for o in Outcome}
        rows.append({**asdict(thresholds), **shares})
    return rows
