"""The plots of a summary, as SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from latentcrdt.evals.report.summarise import ANY_ORDER, CANONICAL
from latentcrdt.evals.report.summary import CellSummary, MethodSummary, Summary

STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "latentcrdt", "font.size": 8}
"""Text stays text, and the same figures give the same bytes."""

PANEL_INCHES = (3.0, 2.4)


def draw(summary: Summary) -> dict[str, bytes]:
    """Return each plot that the run has figures for, by file name."""
    figures: dict[str, Figure] = {}
    with mpl.rc_context(STYLE):
        for num_agents in sorted({cell.num_agents for cell in summary.cells}):
            cells = [cell for cell in summary.cells if cell.num_agents == num_agents]
            if len(cells) > len({_without_budget(cell) for cell in cells}):  # several budgets
                figures[f"matrix-{num_agents}"] = _matrix(cells)
        if len({cell.num_agents for cell in summary.cells}) > 1:
            figures["agents"] = _agents(summary)
        figures["cost"] = _cost(summary)
        return {f"{name}.svg": svg(figure) for name, figure in figures.items()}


def _matrix(cells: Sequence[CellSummary]) -> Figure:
    """Draw accuracy against latent steps, a panel for each regime."""
    regimes = list(dict.fromkeys(_without_budget(cell) for cell in cells))
    figure, panels = _panels(len(regimes))
    colours = _colours(cells)
    for axes, regime in zip(panels, regimes, strict=True):
        chosen = sorted(
            (c for c in cells if _without_budget(c) == regime), key=lambda cell: cell.num_steps
        )
        places = range(len(chosen))
        ordered = [cell.orders for cell in chosen]
        bounds = [
            (cell.method(orders.worst), cell.method(orders.best))
            for cell, orders in zip(chosen, ordered, strict=True)
            if orders is not None
        ]
        if len(bounds) == len(chosen):
            low, high = ([m.accuracy for m in side if m] for side in zip(*bounds, strict=True))
            axes.fill_between(places, low, high, color="0.8", label="worst to best order")
            axes.plot(places, high, color="0.6", linewidth=0.8)
        for name, colour in colours.items():
            found = [(x, m) for x, c in zip(places, chosen, strict=True) if (m := c.method(name))]
            _line(axes, found, name, colour)
        axes.set_title(f"{regime}, k = {chosen[0].num_agents}")
        axes.set_xticks(list(places), [str(cell.num_steps) for cell in chosen])
        axes.set_xlabel("latent steps of each agent")
    _finish(figure, panels)
    return figure


def _agents(summary: Summary) -> Figure:
    """Draw accuracy against the number of agents, a panel for each regime."""
    by_regime: dict[str, list[CellSummary]] = {}
    for cell in summary.cells:
        by_regime.setdefault(cell.regime, []).append(cell)
    regimes = {r: c for r, c in by_regime.items() if len(c) > 1}
    figure, panels = _panels(len(regimes))
    colours = _colours(summary.cells)
    for axes, (regime, cells) in zip(panels, regimes.items(), strict=True):
        for name, colour in colours.items():
            found = [(c.num_agents, m) for c in cells if (m := c.method(name))]
            _line(axes, found, name, colour)
        axes.set_title(regime)
        axes.set_xticks(sorted(cell.num_agents for cell in cells))
        axes.set_xlabel("agents")
    _finish(figure, panels)
    return figure


def _cost(summary: Summary) -> Figure:
    """Draw accuracy against bytes and time to the first token, in the first regime of each k."""
    first: dict[int, CellSummary] = {}
    for cell in summary.cells:
        first.setdefault(cell.num_agents, cell)
    figure, panels = _panels(2 * len(first), columns=2)
    colours = _colours(summary.cells)
    for index, cell in enumerate(first.values()):
        for name, colour in colours.items():
            method = cell.method(name)
            if method is None:
                continue
            for axes, cost in (
                (panels[2 * index], method.bytes_moved + 1),
                (panels[2 * index + 1], 1e3 * method.first_token_s),
            ):
                low, high = method.interval
                error = [[method.accuracy - low], [high - method.accuracy]]
                axes.errorbar(cost, method.accuracy, error, fmt="o", color=colour, label=name)
        title = f"k = {cell.num_agents}, {cell.regime}"
        for axes, label in (
            (panels[2 * index], "bytes handed over, and 1"),
            (panels[2 * index + 1], "ms to the first token"),
        ):
            axes.set(xscale="log", xlabel=label, title=title)
            axes.xaxis.set_minor_formatter(NullFormatter())
    _finish(figure, panels)
    return figure


def _line(axes: Any, found: Sequence[tuple[int, MethodSummary]], name: str, colour: Any) -> None:
    """Draw one method with its intervals."""
    if not found:
        return
    x = [place for place, _ in found]
    y = [method.accuracy for _, method in found]
    strong = name == CANONICAL
    axes.plot(x, y, "o-", color=colour, label=name, linewidth=2 if strong else 1, markersize=3)
    lows, highs = zip(*(method.interval for _, method in found), strict=True)
    axes.vlines(x, lows, highs, color=colour, linewidth=0.6, alpha=0.7)


def _colours(cells: Sequence[CellSummary]) -> dict[str, Any]:
    """Return a colour for each method but the orders: the same in every panel."""
    names = dict.fromkeys(m.method for cell in cells for m in cell.methods)
    shown = [name for name in names if not name.startswith(ANY_ORDER)]
    palette = mpl.colormaps["tab20"]
    return {name: palette(i % 20) for i, name in enumerate(shown)}


def _panels(count: int, *, columns: int = 3) -> tuple[Figure, list[Any]]:
    """Return a figure of so many panels with one scale of accuracy."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(PANEL_INCHES[0] * columns + 1.3, PANEL_INCHES[1] * rows))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for spare in grid[count:]:
        spare.remove()
    return figure, list(grid[:count])


def _finish(figure: Figure, panels: Sequence[Any]) -> None:
    for axes in panels:
        axes.set_ylim(-0.02, 1.02)
        axes.grid(visible=True, alpha=0.3)
        axes.set_ylabel("accuracy")
    shown: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    figure.legend(shown.values(), shown.keys(), loc="center right", fontsize=7)
    figure.tight_layout(rect=(0, 0, 1 - 1.25 / figure.get_figwidth(), 1))


def _without_budget(cell: CellSummary) -> str:
    return cell.regime.rpartition("-")[0]


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, without the time at which it was made."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
