"""``latentcrdt bench render`` and ``latentcrdt bench serve``.

What they measure with is imported when they run: other commands start without numpy and the server.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, print_json, short, size

if TYPE_CHECKING:
    from latentcrdt.cli.bench.render import Row

bench = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@bench.callback()
def about() -> None:
    """Measure speed as ratios to the limits of this machine, taken in the same run."""


@bench.command()
def render(
    megabytes: Annotated[
        int, typer.Option("--megabytes", min=1, help="Size of the render, about.")
    ] = 235,
    fragments: Annotated[
        int, typer.Option("--fragments", min=1, help="Number of fragments it is made of.")
    ] = 2,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs to take the median of.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Time every render engine that is installed against memcpy of the same bytes.

    `K` turns nearly every byte; `K+V` is a usual render, half of which is copied.
    """
    from latentcrdt.cli.bench.render import run  # noqa: PLC0415  # see above

    rows = run(megabytes * 10**6, fragments, runs=runs)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        _print(rows)


@bench.command()
def serve(
    megabytes: Annotated[int, typer.Option("--megabytes", min=1, help="Size of a fragment.")] = 200,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs to take the median of.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Time push, fetch and render through a real server, and show its memory.

    Both ends hash everything, and a push is fsynced. The limit of a push is hashing and durably
    writing the same bytes in this process, that of a fetch a bare loopback socket.
    """
    from latentcrdt.cli.bench.serve import measure  # noqa: PLC0415  # see above

    document = measure(megabytes * 10**6, runs)
    if as_json:
        print_json(document)
        return
    table = Table("what", box=None, pad_edge=False, title=f"{size(document['num_bytes'])}")
    table.add_column("GB/s", justify="right")
    table.add_column("of its limit", justify="right")
    for row in document["rows"]:
        part = row["part_of_limit"]
        share = "-" if part is None else f"{part:.2f}"
        table.add_row(row["what"], f"{row['bytes_per_second'] / 1e9:.2f}", share)
    console().print(table)
    idle, most = document["server_anonymous_bytes"]
    console().print(f"the server's anonymous memory: {size(idle)} idle, {size(most)} at most after")


def _print(rows: list[Row]) -> None:
    table = Table("what", "workload", box=None, pad_edge=False)
    for name in ("bytes", "ms", "x memcpy", "extra peak"):
        table.add_column(name, justify="right")
    table.add_column("digest")
    for row in rows:
        table.add_row(
            row.what,
            row.workload,
            size(row.num_bytes),
            f"{row.seconds * 1e3:.1f}",
            f"{row.times_memcpy:.2f}",
            "-" if row.extra_peak_bytes is None else size(row.extra_peak_bytes),
            "-" if row.digest is None else short(row.digest),
        )
    console().print(table)
