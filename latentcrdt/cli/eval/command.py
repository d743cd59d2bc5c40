"""The commands of ``latentcrdt eval``.

Models and plots are imported when a command runs: other commands start without torch.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from latentcrdt.cli.eval import confluence, two_models
from latentcrdt.cli.eval.diff import print_diff
from latentcrdt.cli.eval.options import (
    AgentsOption,
    BudgetsOption,
    MethodsOption,
    ModelOption,
    OutOption,
    RegimesOption,
    numbers,
    words,
)
from latentcrdt.cli.options import JsonOption
from latentcrdt.cli.output import console, print_json
from latentcrdt.cli.progress import counting

if TYPE_CHECKING:
    from latentcrdt.evals.evaluate import Evaluation
    from latentcrdt.evals.report.summary import Summary

BUDGETS = "0,5,10,20,40,80"
METHODS = "canonical,bag,single,text-merge,hand-off,no-cache,packllm-sim,packllm-opt"
OWN_REPORTS = {"confluence": confluence.print_report, "two-models": two_models.print_report}
"""By benchmark, as the settings of a run name it: those whose records are not answers."""

PLAIN_REGIME = "all-hidden-alone"

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", file_okay=False, help="Directory of a run.")
]

evals = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
evals.command()(confluence.confluence)
evals.command()(two_models.two_models)


@evals.callback()
def about() -> None:
    """Measure what a merge is worth to the agent that decodes from it, beside the alternatives."""


@evals.command()
def partitioned(
    *,
    out: OutOption,
    model: ModelOption = "reference",
    families: Annotated[
        str, typer.Option("--families", metavar="LIST", help="Families of questions; all of them.")
    ] = "",
    agents: AgentsOption = "2",
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="Questions, families taking turns.")
    ] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the questions.")] = 0,
    regimes: RegimesOption = "every",
    budgets: BudgetsOption = BUDGETS,
    methods: MethodsOption = METHODS,
    as_json: JsonOption = False,
) -> None:
    """Ask seeded questions whose facts are spread over several agents.

    Every method answers every question under every regime. Answers, receipts and the report go to
    the directory; a run that was stopped goes on where it was.
    """
    from latentcrdt.evals.evaluate import Evaluation  # noqa: PLC0415  # see above
    from latentcrdt.evals.matrix import regimes as regimes_of  # noqa: PLC0415
    from latentcrdt.evals.models import load_model  # noqa: PLC0415
    from latentcrdt.evals.partitioned import FAMILIES  # noqa: PLC0415
    from latentcrdt.evals.partitioned.benchmark import Partitioned, prompt_for  # noqa: PLC0415

    loaded = load_model(model)
    evaluation = Evaluation(
        Partitioned(words(families) or list(FAMILIES), questions, prompt_for(loaded), seed=seed),
        loaded,
        tuple(numbers(agents)),
        regimes_of(words(regimes), numbers(budgets)),
        tuple(words(methods)),
    )
    _run(evaluation, out, as_json=as_json)


@evals.command()
def hotpotqa(
    *,
    data: Annotated[
        Path,
        typer.Option(
            "--data", exists=True, dir_okay=False, help="A file in HotpotQA's own format."
        ),
    ],
    out: OutOption,
    model: ModelOption = "smollm2",
    agents: AgentsOption = "2",
    questions: Annotated[
        int | None, typer.Option("--questions", min=1, help="The first so many; all of them.")
    ] = None,
    distractors: Annotated[
        int, typer.Option("--distractors", min=0, help="Paragraphs beside the supporting ones.")
    ] = 0,
    regimes: RegimesOption = PLAIN_REGIME,
    budgets: BudgetsOption = "0",
    methods: MethodsOption = METHODS,
    as_json: JsonOption = False,
) -> None:
    """Ask HotpotQA's bridge questions, the paragraphs spread over several agents.

    Scored by the official metric: exact match, and F1 of words.
    """
    from latentcrdt.evals.evaluate import Evaluation  # noqa: PLC0415  # see above
    from latentcrdt.evals.hotpotqa import HotpotQA  # noqa: PLC0415
    from latentcrdt.evals.hotpotqa.prompt import prompt_for  # noqa: PLC0415
    from latentcrdt.evals.matrix import regimes as regimes_of  # noqa: PLC0415
    from latentcrdt.evals.models import load_model  # noqa: PLC0415

    loaded = load_model(model)
    evaluation = Evaluation(
        HotpotQA(
            data, prompt_for(loaded.tokenizer), max_questions=questions, distractors=distractors
        ),
        loaded,
        tuple(numbers(agents)),
        regimes_of(words(regimes), numbers(budgets)),
        tuple(words(methods)),
    )
    _run(evaluation, out, as_json=as_json)


@evals.command()
def gate(
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", file_okay=False, help="For the report.")
    ],
    model: ModelOption = "reference",
    agents: Annotated[int, typer.Option("--k", min=2, help="Number of agents.")] = 2,
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="To calibrate on, and as many to judge by.")
    ] = 200,
    regime: Annotated[
        str, typer.Option("--regime", metavar="NAME", help="All three words of it.")
    ] = "all-hidden-prefix",
    steps: Annotated[int, typer.Option("--budget", min=0, help="Latent steps.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Calibrate the gate on some questions of `partitioned`, and judge it on others.

    The gate tries a merge and answers from something else where it is likely to hurt.
    """
    from latentcrdt.evals.gate import measure_on_partitioned  # noqa: PLC0415  # see above
    from latentcrdt.evals.matrix import regimes as regimes_of  # noqa: PLC0415
    from latentcrdt.evals.models import load_model  # noqa: PLC0415
    from latentcrdt.evals.report.gate import gate_markdown, write_gate_report  # noqa: PLC0415

    (chosen, *others) = regimes_of([regime], [steps])
    if others:
        raise typer.BadParameter(f"expected the name of one regime, got {regime!r}")
    with counting("questions") as on_progress:
        found = measure_on_partitioned(
            load_model(model), chosen, agents, questions, on_progress=on_progress
        )
    write_gate_report(found, out)
    if as_json:
        print_json(asdict(found))
    else:
        console().print("\n".join(gate_markdown(found)), markup=False, soft_wrap=True)


@evals.command()
def report(
    run: RunArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", file_okay=False, help="Where; by default RUN."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a run of any benchmark, finished or not."""
    from latentcrdt.evals.manifest import read_manifest  # noqa: PLC0415  # see above

    own = OWN_REPORTS.get(read_manifest(run)["settings"].get("benchmark"))
    if own is not None:
        own(run, out or run, as_json=as_json)
        return
    from latentcrdt.evals.report.files import write_report  # noqa: PLC0415
    from latentcrdt.evals.report.summarise import summarise  # noqa: PLC0415

    summary = summarise(run)
    write_report(summary, out or run)
    _print(summary, out or run, as_json=as_json)


@evals.command()
def diff(first: RunArgument, second: RunArgument, as_json: JsonOption = False) -> None:
    """Compare two runs: which answers differ, which receipts, and where first.

    Ends with status 1 when they differ.
    """
    from latentcrdt.evals.diff import diff_runs  # noqa: PLC0415  # see above

    found = diff_runs(first, second)
    if as_json:
        print_json(asdict(found))
    else:
        print_diff(found)
    if not found.is_empty:
        raise typer.Exit(1)


def _run(evaluation: Evaluation, out: Path, *, as_json: bool) -> None:
    with counting("answers") as on_progress:
        summary = evaluation.run(out, on_progress=on_progress)
    _print(summary, out, as_json=as_json)


def _print(summary: Summary, out: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    table = Table("k", "regime", "n", "method", box=None, pad_edge=False)
    for name in (summary.metric, "95 %", "bytes", "first token, ms"):
        table.add_column(name, justify="right")
    for cell in summary.cells:
        for m in cell.methods:
            table.add_row(
                str(cell.num_agents),
                cell.regime,
                str(cell.num_questions),
                m.method,
                f"{m.accuracy:.3f}",
                f"{m.interval.low:.3f} to {m.interval.high:.3f}",
                f"{m.bytes_moved:.0f}",
                f"{1e3 * m.first_token_s:.1f}",
            )
    console().print(table)
    console().print(f"report: {out / 'report.md'}", markup=False, soft_wrap=True)
