"""The ``demo`` subcommand: what it prints and how it ends."""

from __future__ import annotations

import typer
from rich.console import Console

from latentcrdt.cli.demo.narrator import Narrator
from latentcrdt.cli.demo.report import Report
from latentcrdt.cli.demo.stopping import stoppable
from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, print_json


def demo(as_json: JsonOption = False) -> None:
    """Show the whole path on a real small model, SmolLM2-135M-Instruct.

    Two servers on free ports, two agents with different facts: pushed in opposite orders and three
    times each, the servers hold equal states, and equal renders, which a client makes again from
    the fragments. The last agent answers from the render. Ends with status 1 if any equality fails.
    """
    # torch and transformers are an extra, and loading them takes seconds: only when asked.
    try:
        from latentcrdt.cli.demo.run import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(
            f"the demo needs {error.name}, which is not installed: pip install 'latentcrdt[demo]'",
            err=True,
        )
        raise typer.Exit(1) from error
    screen = Console(quiet=True) if as_json else console()
    with stoppable() as stop:
        report = Report(Narrator(screen, on_step=stop.obey))
        run(report)
    if as_json:
        print_json(report.document())
    elif report.holds:
        screen.print(f"\n[bold green]All {len(report.claims)} claims hold.[/]")
    else:
        failed = ", ".join(name for name, holds in report.claims.items() if not holds)
        screen.print(f"\n[bold red]These claims failed: {failed}.[/]")
    if not report.holds:
        raise typer.Exit(1)
