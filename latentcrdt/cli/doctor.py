"""``latentcrdt doctor``: does the ground under a store promise what the store needs?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, print_json, printable
from latentcrdt.store.promises import Promise

StoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="A bucket, as serve --store takes it; tried below its prefix."
    ),
]

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", exists=True, file_okay=False, help="A data directory."),
]


def doctor(store: StoreOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Try what a store needs of a bucket or of a directory; leave nothing behind.

    Ends with status 1 when something needed is not promised. What outlasts a power cut cannot be
    tried: that the service or the disk must answer for.
    """
    if (store is None) == (data is None):
        raise typer.BadParameter("expected either --store URL or --data DIR")
    promises = list(_tried(store, data))
    broken = [p.what for p in promises if p.is_needed and p.broken is not None]
    print_json(_document(promises)) if as_json else _print(promises, broken)
    if broken:
        raise typer.Exit(1)


def _tried(store: str | None, data: Path | None) -> Iterator[Promise]:
    if data is not None:
        from latentcrdt.store.directory_probe import probe_directory  # noqa: PLC0415

        yield from probe_directory(data)
    else:
        assert store is not None
        # An extra: whoever asks about a directory needs no client of object services.
        try:
            from latentcrdt.store.object_store.obstore_bucket import (  # noqa: PLC0415
                ObstoreBucket,
            )
            from latentcrdt.store.object_store.probe import probe  # noqa: PLC0415
        except ModuleNotFoundError as error:
            typer.echo(
                f"buckets need {error.name}, which is not installed: "
                "pip install 'latentcrdt[server]'",
                err=True,
            )
            raise typer.Exit(1) from error
        yield from probe(ObstoreBucket.open(store))


def _print(promises: list[Promise], broken: list[str]) -> None:
    table = Table("promise", "", "needed", "how it was broken", box=None, pad_edge=False)
    for promise in promises:
        table.add_row(
            promise.what,
            "holds" if promise.broken is None else "broken",
            "yes" if promise.is_needed else "no",
            printable(promise.broken or ""),
        )
    out = console()
    out.print(table)
    verdict = "A store is not safe here." if broken else "A store is correct here."
    out.print(f"\n{verdict}")


def _document(promises: list[Promise]) -> list[dict[str, object]]:
    return [
        {"promise": p.what, "holds": p.broken is None, "needed": p.is_needed, "broken": p.broken}
        for p in promises
    ]
