"""``latentcrdt bench render``, ``serve``, ``sync`` and ``scale``.

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

DIFFERING = (1, 10, 100, 1000)
"""Numbers of differing ids that are tried."""

COMMON_FRAGMENTS = 200
"""Fragments that server and directory share, beside those that differ."""

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

    Both ends hash everything, and a push is fsynced. Fetch and render are held against the wire
    alone (sendfile, or send from memory, into memory that is used again and not looked at), and
    each against a socket around which the same is done to the bytes: hashing, a durable write,
    memory to keep what came. `/healthz` is asked in rounds of its own.
    """
    from latentcrdt.cli.bench.serve import measure  # noqa: PLC0415  # see above

    served = measure(megabytes * 10**6, runs)
    if as_json:
        print_json(asdict(served))
        return
    table = Table("what", box=None, pad_edge=False, title=size(served.num_bytes))
    for name in ("GB/s", "of the bare wire", "of the same work", "server's memory"):
        table.add_column(name, justify="right")
    for row in served.rows:
        table.add_row(
            row.what,
            f"{row.bytes_per_second / 1e9:.2f}",
            _part(row.part_of_bare),
            _part(row.part_of_same_work),
            "-" if row.server_peak_bytes is None else size(row.server_peak_bytes),
        )
    console().print(table)
    console().print(
        f"the server's anonymous memory when idle: {size(served.server_idle_bytes)}; "
        f"p99 of /healthz meanwhile: {served.health_p99_seconds * 1e3:.1f} ms"
    )


@bench.command()
def sync(
    ids: Annotated[
        int, typer.Option("--ids", min=1, help="Members that two replicas have in common.")
    ] = 100_000,
    as_json: JsonOption = False,
) -> None:
    """Show what it costs two replicas to find out how they differ, and to become equal.

    The least that telling one differing id can cost is 32 bytes.
    """
    from latentcrdt.cli.bench.sync import converge, wire  # noqa: PLC0415  # see above

    rows = wire(ids, DIFFERING)
    times = converge(COMMON_FRAGMENTS, DIFFERING)
    if as_json:
        print_json({"wire": [asdict(r) for r in rows], "converge": [asdict(t) for t in times]})
        return
    table = Table("found out by", box=None, pad_edge=False, title=f"{ids} ids in common")
    for name in ("differ", "bytes", "x minimum", "round trips", "ms"):
        table.add_column(name, justify="right")
    for row in rows:
        ratio = row.times_minimum
        table.add_row(
            row.how,
            str(row.num_differing),
            size(row.num_bytes),
            "-" if ratio is None else f"{ratio:.1f}",
            str(row.round_trips),
            f"{row.seconds * 1e3:.0f}",
        )
    console().print(table)
    table = Table("fragments", box=None, pad_edge=False, title="\na server and a directory")
    for name in ("bytes each", "s until equal", "a second"):
        table.add_column(name, justify="right")
    for time in times:
        table.add_row(
            str(time.num_differing),
            size(time.fragment_bytes),
            f"{time.seconds:.2f}",
            f"{time.num_differing / time.seconds:.0f}",
        )
    console().print(table)


@bench.command()
def scale(
    fragments: Annotated[
        int, typer.Option("--fragments", min=10, help="Members of the largest state.")
    ] = 100_000,
    states: Annotated[
        int, typer.Option("--states", min=1, help="Number of small states.")
    ] = 10_000,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Times that the slow ones run.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Show what listing, planning, pushing and starting cost with many fragments and states.

    The fragments are real and small; pushes are fsynced, in turns into states of three sizes.
    """
    from latentcrdt.cli.bench.scale import measure  # noqa: PLC0415  # see above

    document = measure(fragments, states, runs)
    if as_json:
        print_json(asdict(document))
        return
    title = f"{fragments} fragments, {states + 3} states"
    table = Table("what", box=None, pad_edge=False, title=title)
    for name in ("times", "p50 ms", "p99 ms", "answer"):
        table.add_column(name, justify="right")
    for row in document.rows:
        table.add_row(
            row.what,
            str(row.times),
            f"{row.p50 * 1e3:.1f}",
            f"{row.p99 * 1e3:.1f}",
            "-" if row.num_bytes is None else size(row.num_bytes),
        )
    console().print(table)
    started, after = document.server_bytes
    console().print(f"the server's anonymous memory: {size(started)} started, {size(after)} after")


def _part(part: float | None) -> str:
    return "-" if part is None else f"{part:.2f}"


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
