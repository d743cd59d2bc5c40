"""``latentcrdt eval confluence``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentcrdt.cli.eval.findings import show_findings
from latentcrdt.cli.eval.options import ModelOption, OutOption, numbers, words
from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.progress import counting

SEARCHES = "weight-search,late-v-slerp-search,head-gated-v-search"


def confluence(
    *,
    out: OutOption,
    model: ModelOption = "smollm2",
    prefixes: Annotated[
        str,
        typer.Option("--prefixes", metavar="LIST", help="Tokens of neutral text in front."),
    ] = "0,64",
    searches: Annotated[
        str,
        typer.Option(
            "--searches",
            metavar="LIST",
            help="Searches for weights; `layer-weight-search` takes as long as all else together.",
        ),
    ] = SEARCHES,
    pairs: Annotated[
        int | None, typer.Option("--pairs", min=1, help="Pairs of each category; all of them.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Blend the branches of 267 pairs by 23 strategies, and see what the model makes of it.

    Records and the report, with plots, go to the directory; a run that was stopped goes on.
    """
    from latentcrdt.errors import InvalidRequestError  # noqa: PLC0415  # see command.py
    from latentcrdt.evals.confluence.run import Confluence  # noqa: PLC0415
    from latentcrdt.evals.models import load_model  # noqa: PLC0415
    from latentcrdt.merging.search import SEARCHES as KNOWN  # noqa: PLC0415

    wanted = words(searches)
    if unknown := sorted(set(wanted) - KNOWN.keys()):
        raise InvalidRequestError(f"searches: expected some of {sorted(KNOWN)}, got {unknown}")
    run = Confluence(load_model(model), tuple(numbers(prefixes)), tuple(wanted), pairs)
    with counting("pairs") as on_progress:
        run.run(out, on_progress=on_progress)
    print_report(out, out, as_json=as_json)


def print_report(run: Path, out: Path, *, as_json: bool) -> None:
    """Write the report of a run, finished or not, and show its findings."""
    from latentcrdt.evals.confluence.report import write_report  # noqa: PLC0415  # see command.py

    summary = write_report(run, out)
    show_findings(summary, (held.finding for held in summary.findings), out, as_json=as_json)
