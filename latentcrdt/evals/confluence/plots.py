"""The plots of a run: regime map, categories, late values against mass, the gate's curves."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from latentcrdt.evals.confluence.battery import battery
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds
from latentcrdt.evals.confluence.signals import SHOWN
from latentcrdt.evals.confluence.summary import Summary
from latentcrdt.evals.report.plots import STYLE, svg

MAPPED = (SHOWN, "uniform-average", "late-v-slerp", "cross-wired")
"""The strategies of the regime map."""

ENTROPY = Normalize(-1, 1)
"""The span of the colours of an entropy change, in nats."""

COLOURS = {Outcome.CONFLUENCE: "tab:green", Outcome.COLLAPSE: "tab:orange", Outcome.WASHOUT: "0.7"}


def draw(summary: Summary, records: Sequence[Record]) -> dict[str, bytes]:
    """Return each plot as SVG, by file name."""
    measured = [record for record in records if record.refused is None]
    with mpl.rc_context(STYLE):
        figures = {
            "regime-map": _regime_map(measured),
            "categories": _categories(summary),
            "late-values": _late_values(measured),
            "gate": _gate(summary),
        }
        return {f"{name}.svg": svg(figure) for name, figure in figures.items()}


def _regime_map(records: Sequence[Record]) -> Figure:
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
            s=9,
        )
        _borders(axes)
        axes.set(title=strategy, yscale="log")
    for axes in panels[2:]:
        axes.set_xlabel("|balance|")
    for axes in panels[::2]:
        axes.set_ylabel("share of the branches' own mass")
    figure.colorbar(
        ScalarMappable(ENTROPY, "coolwarm"), ax=panels.tolist(), label="entropy change (nats)"
    )
    return figure


def _borders(axes: Axes) -> None:
    borders = Thresholds()
    axes.axhline(borders.mass_share, color="0.5", linewidth=0.8)
    axes.axvline(borders.balance, color="0.5", linewidth=0.8, linestyle="--")
    places = {
        "confluence": (0.01, 0.97, "left", "top"),
        "collapse": (0.99, 0.97, "right", "top"),
        "washout": (0.99, 0.03, "right", "bottom"),
    }
    for name, (x, y, across, up) in places.items():
        axes.text(x, y, name, transform=axes.transAxes, ha=across, va=up, color="0.4")


def _categories(summary: Summary) -> Figure:
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    rows = [entry for entry in summary.categories if entry.row.num_pairs][::-1]
    names = [f"{entry.row.name} ({entry.expected})" for entry in rows]
    left = [0.0] * len(rows)
    for outcome, colour in COLOURS.items():
        shares = [entry.row.outcomes[str(outcome)] for entry in rows]
        axes.barh(names, shares, left=left, color=colour, label=str(outcome))
        left = [a + b for a, b in zip(left, shares, strict=True)]
    axes.set(xlabel=f"share of pairs, {SHOWN}", xlim=(0, 1))
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _late_values(records: Sequence[Record]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    groups = list(dict.fromkeys(category.expected for category in battery()))
    said = {category.name: category.expected for category in battery()}
    for group in groups:
        points = [
            (r.late_cosine, m.metrics.mass_share)
            for r in records
            if said[r.category] == group and (m := r.merge(SHOWN)) is not None
        ]
        axes.scatter([x for x, _ in points], [y for _, y in points], s=10, label=f"said to {group}")
    axes.axhline(Thresholds().mass_share, color="0.5", linewidth=0.8)
    axes.set(
        xlabel="late-layer cosine of the branches' values",
        ylabel=f"share of the branches' own mass, {SHOWN}",
        yscale="log",
    )
    axes.legend()
    return figure


def _gate(summary: Summary) -> Figure:
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    for name, curve in summary.calibration.curves.items():
        if curve is not None:
            label = f"{name}: area {curve.area:.2f}"
            axes.plot(curve.false_positive, curve.true_positive, label=label)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    axes.set(xlabel="others refused", ylabel="cases refused")
    axes.legend(loc="lower right")
    return figure
