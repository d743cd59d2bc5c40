"""Plots of shares of merges: by strategy, by category, by border, and the gate's curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latentcrdt.evals.confluence.plots_of_merges import SAID
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds, outcome_of
from latentcrdt.evals.confluence.signals import SHOWN
from latentcrdt.evals.confluence.summary import ALONE, Row, Summary

COLOURS = {
    Outcome.CONFLUENCE: "tab:green",
    Outcome.COLLAPSE: "tab:orange",
    Outcome.WASHOUT: "0.7",
}

ROW_INCHES = 0.19

BORDERED = (SHOWN, "uniform-average", "weight-search")
"""The strategies whose confluence is drawn against the border, beside a branch alone."""


def strategies(summary: Summary) -> Figure:
    """Draw the regimes under each strategy, anchored at A, beside those of a branch alone."""
    rows = [row for row in summary.strategies if not row.name.endswith(" (b)")]
    figure = Figure(figsize=(7, 1 + ROW_INCHES * len(rows)), layout="constrained")
    axes = figure.subplots()
    labels = [f"{row.name.removesuffix(' (a)')}  {row.lean:+.2f}" for row in rows]
    _bars(axes, labels, rows)
    alone = rows[0].outcomes[str(Outcome.CONFLUENCE)]
    axes.axvline(alone, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel(
        f"share of merges; dashed: confluence of {ALONE[0]}; beside the names: median lean"
    )
    figure.legend(loc="outside upper center", ncols=len(COLOURS))
    return figure


def categories(summary: Summary) -> Figure:
    """Draw the regimes of each category, those of one expectation side by side."""
    order = list(SAID)
    entries = sorted(
        (entry for entry in summary.categories if entry.row.num_pairs),
        key=lambda entry: order.index(entry.expected),
    )
    figure = Figure(figsize=(7, 1 + 1.2 * ROW_INCHES * len(entries)), layout="constrained")
    axes = figure.subplots()
    labels = [
        f"{entry.row.name}, {SAID[entry.expected]} (n = {entry.row.num_pairs})" for entry in entries
    ]
    _bars(axes, labels, [entry.row for entry in entries])
    axes.set_xlabel(f"share of merges, {SHOWN}")
    figure.legend(loc="outside upper center", ncols=len(COLOURS))
    return figure


def sensitivity(records: Sequence[Record]) -> Figure:
    """Draw what would be called confluence under other borders."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    borders = np.linspace(0.05, 2.5, 50)
    kinds = {
        **{
            name: [m.metrics for r in records if (m := r.merge(name)) is not None]
            for name in BORDERED
        },
        ALONE[0]: [record.alone[0] for record in records],
    }
    for name, metrics in kinds.items():
        if not metrics:
            continue
        low, middle, high = (
            [
                np.mean(
                    [outcome_of(m, Thresholds(b, share)) is Outcome.CONFLUENCE for m in metrics]
                )
                for b in borders
            ]
            for share in (0.75, 0.5, 0.25)
        )
        (line,) = axes.plot(borders, middle, label=name)
        axes.fill_between(borders, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axvline(Thresholds().balance, color="0.5", linewidth=0.8, linestyle="--")
    axes.set(
        xlabel="|balance| up to which a merge is confluent (dashed: the one chosen)",
        ylabel="share of merges",
        title="Confluence with a mass share over 0.5 (bands: over 0.25 to over 0.75)",
        ylim=(0, 1),
    )
    axes.legend(loc="upper left")
    return figure


def gate(summary: Summary) -> Figure:
    """Draw how well each signal tells its regime."""
    figure = Figure(figsize=(4.6, 5), layout="constrained")
    axes = figure.subplots()
    for name, curve in summary.calibration.curves.items():
        if curve is not None:
            low, high = curve.interval
            label = f"{name}: {curve.area:.2f} [{low:.2f}, {high:.2f}]"
            axes.plot(curve.false_positive, curve.true_positive, label=label)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, label="a coin: 0.50")
    axes.set(xlabel="share of the others stopped", ylabel="share of the cases stopped")
    axes.set_aspect("equal")
    figure.legend(loc="outside upper left", title="signal, regime: area under the curve")
    return figure


def _bars(axes: Axes, labels: Sequence[str], rows: Sequence[Row]) -> None:
    """Draw a stacked bar for each row, the first on top."""
    left = np.zeros(len(rows))
    for outcome, colour in COLOURS.items():
        shares = np.array([row.outcomes[str(outcome)] for row in rows])
        axes.barh(labels, shares, left=left, color=colour, label=str(outcome))
        left += shares
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
