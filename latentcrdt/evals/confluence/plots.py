"""The plots of a run, as SVG by file name."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl

from latentcrdt.evals.confluence.plots_of_merges import late_values, regime_map
from latentcrdt.evals.confluence.plots_of_shares import categories, gate, sensitivity, strategies
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.summary import Summary
from latentcrdt.evals.report.plots import STYLE, svg


def draw(summary: Summary, records: Sequence[Record]) -> dict[str, bytes]:
    """Return each plot; none of a run that measured nothing."""
    measured = [record for record in records if record.refused is None]
    if not measured:
        return {}
    with mpl.rc_context(STYLE):
        figures = {
            "strategies": strategies(summary),
            "regime-map": regime_map(measured),
            "categories": categories(summary),
            "sensitivity": sensitivity(measured),
            "late-values": late_values(measured),
            "gate": gate(summary),
        }
        return {f"{name}.svg": svg(figure) for name, figure in figures.items()}
