"""The ``bench`` group of subcommands."""

from __future__ import annotations

import typer

from latentcrdt.cli.bench.render import render
from latentcrdt.cli.bench.serve import serve

bench = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@bench.callback()
def about() -> None:
    """Measure speed as ratios to the limits of this machine, taken in the same run."""


bench.command()(render)
bench.command()(serve)
