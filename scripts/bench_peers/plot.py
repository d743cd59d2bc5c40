"""The figure of docs/benchmarks.md: bars of every operation at the largest size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

from scripts.bench_peers.limits import LIMITS
from scripts.bench_peers.measure import Cell, Row
from scripts.bench_peers.page import Report

mpl.use("svg")
from matplotlib import pyplot as plt  # after the backend is chosen

OURS, LIMIT, PEER = "#1f77b4", "#bbbbbb", "#ff9f40"


def plot(report: Report, target: Path) -> None:
    """Write an SVG file: puts on the left, gets on the right, a row for each number of clients."""
    largest = max(cell.megabytes for cell in report.cells)
    cells = [cell for cell in report.cells if cell.megabytes == largest]
    figure, panels = plt.subplots(
        len(cells), 2, figsize=(10, 0.6 + 2.9 * len(cells)), squeeze=False, layout="constrained"
    )
    for cell, (left, right) in zip(cells, panels, strict=True):
        for panel, is_put, what in ((left, True, "put"), (right, False, "get")):
            rows = [r for r in report.rows if r.cell == cell and r.is_put == is_put]
            _bars(panel, rows)
            panel.set_title(f"{what}, {_title(cell)}", fontsize=9)
    for panel in panels[-1]:
        panel.set_xlabel("GB/s; a thin line spans the rounds")
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def _bars(panel: Any, rows: list[Row]) -> None:
    # A copy in one process is ten times faster than anything that crosses a socket.
    shown = sorted((r for r in rows if r.operation != "memcpy"), key=lambda r: r.bytes_per_second)
    names = [row.operation for row in shown]
    rates = [row.bytes_per_second / 1e9 for row in shown]
    spans = [
        [rate - row.slowest / 1e9 for row, rate in zip(shown, rates, strict=True)],
        [row.fastest / 1e9 - rate for row, rate in zip(shown, rates, strict=True)],
    ]
    panel.barh(names, rates, xerr=spans, color=[_color(n) for n in names], ecolor="#333333")
    panel.tick_params(labelsize=8)
    panel.grid(visible=True, axis="x", alpha=0.3)


def _color(operation: str) -> str:
    if operation.startswith("latentcrdt"):
        return OURS
    limits = {name for contender in LIMITS for name in (*contender.puts, *contender.gets)}
    return LIMIT if operation in limits else PEER


def _title(cell: Cell) -> str:
    clients = "1 client" if cell.num_clients == 1 else f"{cell.num_clients} clients"
    return f"{cell.megabytes} MB, {clients}"
