"""The plot of a gate: what its risk was worth, and what each threshold would have cost."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from latentcrdt.evals.gate import GateReport
from latentcrdt.evals.report.plots import STYLE, svg


def draw_gate(report: GateReport) -> bytes:
    """Return reliability, and accuracy against cost, side by side."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 3.0))
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        left.scatter(
            [b.predicted for b in report.bins],
            [b.observed for b in report.bins],
            s=[4 + b.count for b in report.bins],
        )
        left.set(xlabel="predicted risk", ylabel="share that was hurt", title="reliability")
        costs = [point.mean_cost for point in report.curve]
        right.plot(costs, [point.accuracy for point in report.curve], "o-", markersize=2)
        for way in report.ways:
            right.plot(way.mean_cost, way.accuracy, "s", markersize=5, label=way.name)
        right.set(xlabel="tokens computed", ylabel="accuracy", title="every threshold")
        right.legend()
        for axes in (left, right):
            axes.grid(visible=True, alpha=0.3)
        figure.tight_layout()
        return svg(figure)
