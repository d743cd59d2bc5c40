"""The command line put together: its subcommands, and what becomes of an error."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import stamina.instrumentation
import typer

from latentcrdt.cli.bench import bench
from latentcrdt.cli.conformance import conformance
from latentcrdt.cli.demo import demo
from latentcrdt.cli.doctor import doctor
from latentcrdt.cli.eval import evals
from latentcrdt.cli.export import export
from latentcrdt.cli.fetch import fetch
from latentcrdt.cli.ls import ls
from latentcrdt.cli.output import print_error
from latentcrdt.cli.push import push
from latentcrdt.cli.render import render
from latentcrdt.cli.retract import retract
from latentcrdt.cli.serve import serve
from latentcrdt.cli.status import status
from latentcrdt.cli.strategies import strategies
from latentcrdt.cli.sync import sync
from latentcrdt.cli.token import token
from latentcrdt.cli.verify import verify
from latentcrdt.errors import LatentCRDTError


class ReportingGroup(typer.core.TyperGroup):
    """Ends with one line on stderr and status 1 where something expected went wrong."""

    def invoke(self, ctx: Any) -> Any:  # typer's Context has two names, by release
        """Run the subcommand; a traceback is left to bugs."""
        try:
            return super().invoke(ctx)
        except LatentCRDTError as error:
            print_error(error.code, error.message)
            raise typer.Exit(1) from error
        except BrokenPipeError:
            raise  # whoever read our stdout has gone: typer ends quietly
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            print_error("file", f"{where}{error.strerror or error}")
            raise typer.Exit(1) from error


app = typer.Typer(
    name="latentcrdt",
    cls=ReportingGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"latentcrdt {version('latentcrdt')}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """A replicated store of transformer latent state.

    Agents push KV-cache fragments, any order, any number of times; every replica holds the same
    set; the set renders to the same bytes anywhere.
    """
    # By default stamina logs retries through structlog, if installed: to stdout, amid our answers.
    stamina.instrumentation.set_on_retry_hooks([])


app.command(rich_help_panel="Run")(serve)
app.command(rich_help_panel="Run")(demo)
app.add_typer(bench, name="bench", rich_help_panel="Run")
app.add_typer(evals, name="eval", rich_help_panel="Run")
app.command(rich_help_panel="Run")(conformance)
app.command(rich_help_panel="Run")(doctor)
app.add_typer(token, name="token", rich_help_panel="Run")
app.command(rich_help_panel="States on a server")(push)
app.command(rich_help_panel="States on a server")(ls)
app.command(rich_help_panel="States on a server")(render)
app.command(rich_help_panel="States on a server")(fetch)
app.command(rich_help_panel="States on a server")(retract)
app.command(rich_help_panel="States on a server")(status)
app.command(rich_help_panel="Replicas")(sync)
app.command(rich_help_panel="Files")(verify)
app.command(rich_help_panel="Files")(export)
app.command(rich_help_panel="Merging")(strategies)


def main() -> None:
    """Run the command line."""
    app()
