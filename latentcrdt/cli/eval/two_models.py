"""``latentcrdt eval two-models``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentcrdt.cli.eval.findings import show_findings
from latentcrdt.cli.eval.options import OutOption, decimals, numbers, words
from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.progress import counting

if TYPE_CHECKING:
    from latentcrdt.evals.two_models.judge import Judge

ANSWERS = "answers"


def two_models(
    *,
    base: Annotated[
        str,
        typer.Option(
            "--base",
            metavar="NAME|FOLDER",
            help="`reference-early`, `reference`, `smollm2`, or the folder of a model.",
        ),
    ],
    tuned: Annotated[
        str,
        typer.Option("--tuned", metavar="NAME|FOLDER", help="Another of the same architecture."),
    ],
    out: OutOption,
    tasks: Annotated[
        str, typer.Option("--tasks", metavar="LIST", help="`partitioned`, `general`.")
    ] = "partitioned",
    questions: Annotated[
        int | None, typer.Option("--questions", min=1, help="Of each category.")
    ] = None,
    agents: Annotated[
        int, typer.Option("--k", min=2, help="Texts of a partitioned question; one reads all.")
    ] = 2,
    layers: Annotated[
        str,
        typer.Option(
            "--layers",
            metavar="LIST",
            help="Counted from 0; by default all of a small model, every fifth of others.",
        ),
    ] = "",
    operators: Annotated[
        str,
        typer.Option("--operators", metavar="LIST", help="`lerp`, `slerp`, `slerp-rms`, `regmean`"),
    ] = "lerp,slerp,regmean",
    alphas: Annotated[
        str, typer.Option("--alphas", metavar="LIST", help="Weights of the tuned model.")
    ] = "0.25,0.5,0.75",
    judges: Annotated[
        str,
        typer.Option(
            "--judges",
            metavar="LIST",
            help="`answers` (the right one wins), or models by name or folder.",
        ),
    ] = ANSWERS,
    as_json: JsonOption = False,
) -> None:
    """Merge two models' hidden states at every swept layer, and their weights, and compare.

    Records and the report, with plots, go to the directory; a run that was stopped goes on.
    """
    from latentcrdt.evals.two_models.run import TwoModels  # noqa: PLC0415  # see command.py

    run = TwoModels(
        base,
        tuned,
        tuple(words(tasks)),
        questions,
        agents,
        tuple(numbers(layers)) or None,
        tuple(words(operators)),
        tuple(decimals(alphas)),
        {name: _judge(name) for name in words(judges)},
    )
    with counting("settings") as on_progress:
        run.run(out, on_progress=on_progress)
    print_report(out, out, as_json=as_json)


def print_report(run: Path, out: Path, *, as_json: bool) -> None:
    """Write the report of a run, finished or not, and show its findings."""
    from latentcrdt.evals.two_models.report import write_report  # noqa: PLC0415  # see command.py

    summary = write_report(run, out)
    show_findings(summary, summary.findings, out, as_json=as_json)


def _judge(name: str) -> Judge:
    from latentcrdt.evals.models import load_model  # noqa: PLC0415  # see command.py
    from latentcrdt.evals.two_models.judge import ModelJudge, by_answer  # noqa: PLC0415

    return by_answer if name == ANSWERS else ModelJudge(load_model(name))
