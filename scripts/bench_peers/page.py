"""The figures as tables: on a terminal and in docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.bench_peers.contender import Contender
from scripts.bench_peers.measure import Cell, Health, Row
from scripts.marked_section import markdown

SECTION = "peers"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of strings."""

    title: str
    headers: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run has found out."""

    facts: dict[str, str]
    runs: int
    rows: list[Row]
    healths: list[Health]
    promises: dict[str, str]
    """What is hashed and what an acknowledgement means, by contender."""
    missing: dict[str, str]
    """Why a contender did not run."""

    @property
    def cells(self) -> list[Cell]:
        """Every cell that was measured."""
        return list(dict.fromkeys(row.cell for row in self.rows))


def promises(contenders: Sequence[Contender]) -> dict[str, str]:
    """Return what each contender promises."""
    return {contender.name: contender.promise for contender in contenders}


def grids(report: Report) -> list[Grid]:
    """Return the tables: one of speed for each number of clients, first layers, health."""
    counts = sorted({cell.num_clients for cell in report.cells})
    return [
        *(_speeds(report, count) for count in counts),
        _first_layers(report),
        _healths(report.healths),
    ]


def section(report: Report) -> str:
    """Return the part of the page that a run renews."""
    facts = ", ".join(f"{name} {value}" for name, value in report.facts.items())
    parts = [f"Measured: {facts}; medians of {report.runs} rounds.\n"]
    for grid in grids(report):
        parts += [f"**{grid.title}**\n", markdown(grid.headers, grid.rows)]
    kept = [[name, text] for name, text in report.promises.items()]
    parts += ["**Who hashes, and what an acknowledgement means**\n", markdown(["", ""], kept)]
    if report.missing:
        parts.append("**Not run**\n")
        parts += [f"- {name}: {reason}" for name, reason in report.missing.items()]
    return "\n".join(parts)


def _speeds(report: Report, num_clients: int) -> Grid:
    cells = [cell for cell in report.cells if cell.num_clients == num_clients]
    found = {(row.operation, row.cell): row for row in report.rows}
    operations = dict.fromkeys(row.operation for row in report.rows)
    return Grid(
        f"{_clients(num_clients)}: GB/s of all together (in brackets, the server's anonymous "
        "memory at most, MB)",
        ["", *(f"{cell.megabytes} MB" for cell in cells)],
        [[name, *(_speed(found[name, cell]) for cell in cells)] for name in operations],
    )


def _speed(row: Row) -> str:
    peak = row.peak_anonymous_bytes
    memory = "" if peak is None else f" ({peak / 1e6:.0f})"
    return f"{row.bytes_per_second / 1e9:.2f}{memory}"


def _first_layers(report: Report) -> Grid:
    """Return the table of renders whose layers come one after another."""
    return Grid(
        "From the start of a render to its first layer, and to its last",
        ["", "clients", "MB", "first, ms", "last, ms"],
        [
            [
                row.operation,
                str(row.cell.num_clients),
                str(row.cell.megabytes),
                f"{row.first_layer_seconds * 1e3:.1f}",
                f"{row.num_bytes * row.cell.num_clients * 1e3 / row.bytes_per_second:.1f}",
            ]
            for row in report.rows
            if row.first_layer_seconds is not None
        ],
    )


def _healths(healths: list[Health]) -> Grid:
    return Grid(
        "/healthz while pushes are taken",
        ["clients", "MB", "answers", "p99, ms", "worst, ms"],
        [
            [
                str(health.cell.num_clients),
                str(health.cell.megabytes),
                str(health.num_answers),
                f"{health.p99_seconds * 1e3:.1f}",
                f"{health.worst_seconds * 1e3:.1f}",
            ]
            for health in healths
        ],
    )


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"
