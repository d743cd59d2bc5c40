"""Plots with a point for each merge: the regime map, and late values against mass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from latentcrdt.evals.confluence.battery import battery
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds
from latentcrdt.evals.confluence.signals import SHOWN

MAPPED = (SHOWN, "uniform-average", "late-v-slerp", "cross-wired")
"""The strategies of the regime map."""

ENTROPY = Normalize(-1, 1)
"""The span of the colours of an entropy change, in nats."""

SAID = {
    "merge": "said to merge",
    "collapse": "said to collapse",
    "variable": "said to vary",
    "washout": "said to wash out",
}

POINTS: dict[str, Any] = {"s": 12, "edgecolors": "0.45", "linewidths": 0.3}


def regime_map(records: Sequence[Record]) -> Figure:
    """Draw |balance| against mass, coloured by the entropy change."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    for axes, strategy in zip(panels, MAPPED, strict=True):
        metrics = [m.metrics for r in records if (m := r.merge(strategy)) is not None]
        axes.scatter(
            [abs(m.balance) for m in metrics],
            [m.mass_share for m in metrics],
            c=[m.entropy_change for m in metrics],
            cmap="coolwarm",
            norm=ENTROPY,
            **POINTS,
        )
        # A root spreads what is near 0, where the border lies, and shows 0 itself.
        axes.set_xscale("function", functions=(np.sqrt, np.square))
        axes.set(title=strategy, yscale="log", xlim=(0, None))
        axes.xaxis.set_ticks([0, 0.1, 0.5, 1, 2, 4, 8])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FormatStrFormatter("%g"))
        _regimes(axes)
    for axes in panels[2:]:
        axes.set_xlabel("|balance|")
    for axes in panels[::2]:
        axes.set_ylabel("share of the branches' own mass")
    figure.colorbar(
        ScalarMappable(ENTROPY, "coolwarm"),
        ax=panels.tolist(),
        label="entropy change (nats)",
        extend="both",
    )
    return figure


def late_values(records: Sequence[Record]) -> Figure:
    """Draw the branches' late cosine against the mass of their merge."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    said = {category.name: category.expected for category in battery()}
    for group, label in SAID.items():
        points = [
            (r.late_cosine, m.metrics.mass_share)
            for r in records
            if said[r.category] == group and (m := r.merge(SHOWN)) is not None
        ]
        axes.scatter([x for x, _ in points], [y for _, y in points], label=label, **POINTS)
    border = Thresholds().mass_share
    axes.axhline(border, color="0.5", linewidth=0.8)
    axes.annotate(
        Outcome.WASHOUT,
        (1, border),
        xycoords=("axes fraction", "data"),
        xytext=(-3, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        color="0.4",
    )
    axes.set(
        xlabel="late-layer cosine of the branches' values",
        ylabel=f"share of the branches' own mass, {SHOWN}",
        yscale="log",
    )
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    figure.legend(loc="outside upper center", ncols=len(SAID))
    return figure


def _regimes(axes: Axes) -> None:
    """Draw the borders between the regimes, and name what lies between them."""
    borders = Thresholds()
    axes.axhline(borders.mass_share, color="0.5", linewidth=0.8)
    axes.axvline(borders.balance, color="0.5", linewidth=0.8, linestyle="--")
    places = {
        Outcome.CONFLUENCE: (0.01, 0.98, "left", "top"),
        Outcome.COLLAPSE: (0.99, 0.98, "right", "top"),
        Outcome.WASHOUT: (0.99, 0.02, "right", "bottom"),
    }
    for name, (x, y, across, up) in places.items():
        axes.text(x, y, name, transform=axes.transAxes, ha=across, va=up, color="0.4")
