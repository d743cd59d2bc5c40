"""The plots of a run: loss by layer, points by category, kinship with both models, the bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from latentcrdt.evals.report.plots import STYLE, svg
from latentcrdt.evals.two_models.record import Record, Setting
from latentcrdt.evals.two_models.summary import ALL, Summary

SHOWN_ALPHA = 0.5
"""Of the plot of CKA, which has a line for each merged layer."""

HALF = 0.5


def draw(summary: Summary, records: Sequence[Record]) -> dict[str, bytes]:
    """Return each plot that the run has figures for, as SVG by file name."""
    by_setting = {record.setting: record for record in records}
    latent = [record for record in records if record.setting.where == "latent"]
    with mpl.rc_context(STYLE):
        figures: dict[str, Figure] = {}
        if latent:
            figures["loss"] = _loss(summary)
            figures["geometry"] = _geometry(summary)
            figures["kinship"] = _kinship(by_setting)
            figures["bound"] = _bound(latent)
        if summary.wins:
            figures["wins"] = _wins(summary)
        return {f"{name}.svg": svg(figure) for name, figure in figures.items()}


def _panels(names: Sequence[str], **shared: Any) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(2.9 * len(names) + 0.6, 2.9), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False, **shared)[0]
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(name)
        axes.grid(visible=True, alpha=0.3)
    return figure, list(panels)


def _alphas(summary: Summary) -> dict[float, Any]:
    """Return a colour for each weight of the tuned model."""
    alphas = summary.settings["alphas"]
    return {a: mpl.colormaps["viridis"]((i + 0.5) / len(alphas)) for i, a in enumerate(alphas)}


def _by_layer(
    axes: Axes, summary: Summary, operator: str, figure_of: Callable[[Any], float]
) -> None:
    """Draw a figure of the latent merges against the layer, a line for each alpha."""
    for alpha, colour in _alphas(summary).items():
        rows = [
            row
            for row in summary.ways
            if row.setting.where == "latent"
            and (row.setting.operator, row.setting.alpha) == (operator, alpha)
        ]
        axes.plot(
            [row.setting.layer for row in rows],
            [figure_of(row) for row in rows],
            "o-",
            color=colour,
            markersize=3,
            label=f"latent, alpha {alpha:g}",
        )
    axes.set_xlabel("merged layer")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _loss(summary: Summary) -> Figure:
    """Draw the loss of the right answers against the layer, beside the weights and the models."""
    operators = summary.settings["operators"]
    figure, panels = _panels(operators, sharey=True)
    losses = {row.setting: row.loss for row in summary.ways}
    for axes, operator in zip(panels, operators, strict=True):
        _by_layer(axes, summary, operator, lambda row: row.loss)
        for alpha, colour in _alphas(summary).items():
            loss = losses.get(Setting("weights", -1, operator, alpha))
            if loss is not None:
                axes.axhline(loss, color=colour, linestyle="--", label=f"weights, alpha {alpha:g}")
        for name, style in (("base", ":"), ("tuned", "-.")):
            loss = losses.get(Setting(name))
            if loss is not None:
                axes.axhline(loss, color="0.4", linestyle=style, label=f"{name} alone")
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(FormatStrFormatter("%.2g"))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%.2g"))
    panels[0].set_ylabel("loss of the right answers (nats)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _geometry(summary: Summary) -> Figure:
    """Draw midness and the arc ratio's deviation at the merged layer."""
    operators = summary.settings["operators"]
    figure = Figure(figsize=(2.9 * len(operators) + 0.6, 4.6), layout="constrained")
    grid = figure.subplots(2, len(operators), squeeze=False, sharex=True, sharey="row")
    for column, operator in enumerate(operators):
        _by_layer(grid[0][column], summary, operator, lambda row: row.midness)
        _by_layer(grid[1][column], summary, operator, lambda row: row.arc_ratio)
        grid[0][column].set(title=operator, xlabel="")
        for axes in grid[:, column]:
            axes.grid(visible=True, alpha=0.3)
    grid[0][0].set_ylabel("midness")
    grid[1][0].set_ylabel("arc ratio")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _kinship(records: dict[Setting, Record]) -> Figure:
    """Draw CKA with both models against the layer, for lerp at one alpha."""
    shown = [
        record
        for setting, record in records.items()
        if (setting.operator, setting.alpha) == ("lerp", SHOWN_ALPHA) and record.layers
    ]
    figure, panels = _panels(["CKA with base", "CKA with tuned"], sharey=True)
    layers = [r.setting.layer for r in shown if r.setting.where == "latent"]
    for record in shown:
        setting = record.setting
        first = max(0, setting.layer)
        places = range(first, first + len(record.layers))
        if setting.where == "weights":
            style: dict[str, Any] = {"color": "black", "linestyle": "--", "label": "weights"}
        else:
            colour = mpl.colormaps["plasma"](0.9 * layers.index(setting.layer) / len(layers))
            style = {"color": colour, "marker": "o", "label": f"latent, layer {setting.layer}"}
        for axes, kinship in zip(
            panels,
            ([x.cka_base for x in record.layers], [x.cka_tuned for x in record.layers]),
            strict=True,
        ):
            axes.plot(places, kinship, markersize=2.5, linewidth=1, **style)
            axes.set_xlabel("layer")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(f"lerp, alpha {SHOWN_ALPHA:g}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _bound(latent: Sequence[Record]) -> Figure:
    """Draw the share of tokens above the bound, and its slack, against the layer."""
    figure, (left, right) = _panels(["tokens above the bound", "bound - loss, median"])
    colours = {
        quantile: mpl.colormaps["viridis"](0.8 * i / 2)
        for i, quantile in enumerate(dict.fromkeys(b.quantile for r in latent for b in r.bound))
    }
    markers = dict(
        zip(dict.fromkeys(r.setting.operator for r in latent), ("o", "s", "^", "v"), strict=False)
    )
    for operator, marker in markers.items():
        for quantile, colour in colours.items():
            points = [
                (r.setting.layer, entry)
                for r in latent
                if r.setting.operator == operator
                for entry in r.bound
                if entry.quantile == quantile
            ]
            style: dict[str, Any] = {"color": colour, "marker": marker, "s": 12, "alpha": 0.8}
            places = [place for place, _ in points]
            left.scatter(
                places,
                [100 * entry.violations for _, entry in points],
                label=f"{operator}, quantile {quantile:g}",
                **style,
            )
            right.scatter(places, [entry.slack for _, entry in points], **style)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(xlabel="merged layer", ylabel="percent")
    right.set(xlabel="merged layer", ylabel="nats", yscale="log")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper")
    return figure


def _wins(summary: Summary) -> Figure:
    """Draw the points of latent merges by category, a panel for each judge."""
    judges = list(dict.fromkeys(row.judge for row in summary.wins))
    operators = list(dict.fromkeys(row.operator for row in summary.wins))
    categories = list(dict.fromkeys(row.category for row in summary.wins))[::-1]
    figure, panels = _panels([f"judge: {judge}" for judge in judges], sharey=True)
    for axes, judge in zip(panels, judges, strict=True):
        for offset, operator in enumerate(operators):
            rows = {
                row.category: row
                for row in summary.wins
                if (row.judge, row.operator) == (judge, operator)
            }
            places = [i + 0.22 * (offset - (len(operators) - 1) / 2) for i in range(len(rows))]
            points = [rows[category].points for category in categories]
            # An interval of resampled means may miss the mean by a rounding.
            below = [max(0.0, rows[c].points - rows[c].interval.low) for c in categories]
            above = [max(0.0, rows[c].interval.high - rows[c].points) for c in categories]
            axes.errorbar(
                points, places, xerr=[below, above], fmt="o", markersize=3, label=operator
            )
        axes.axvline(HALF, color="0.5", linewidth=0.8)
        axes.set_yticks(
            range(len(categories)), ["all together" if c == ALL else c for c in categories]
        )
        axes.set_xlabel("points of latent against weights")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure
