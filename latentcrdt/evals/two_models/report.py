"""The files of a two-model report: report.json, report.md and the plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from latentcrdt.evals.report.table import accuracy, percent, plain, table
from latentcrdt.evals.report.write_files import write_summary
from latentcrdt.evals.two_models.plots import draw
from latentcrdt.evals.two_models.record import read_records
from latentcrdt.evals.two_models.run import RECORDS
from latentcrdt.evals.two_models.summary import ALL, Summary, WayRow, WinRow, summarise

NONE = "-"


def write_report(run: Path, out: Path) -> Summary:
    """Write the report of a run, finished or not, and return its summary."""
    summary = summarise(run)
    plots = draw(summary, list(read_records(run / RECORDS)))
    write_summary(out, summary, page(summary, list(plots)), plots)
    return summary


def page(summary: Summary, plots: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the page."""
    settings = summary.settings
    yield f"# Two models: {settings['base']} and {settings['tuned']}\n"
    yield (
        "`latent`: the hidden states of both become one behind a layer (counted from 0) while they "
        "run, and the base model goes on. `weights`: one model of the blended weights. alpha is "
        "the weight of the tuned model. Intervals are of 95 %: Wilson's for accuracies, the "
        "bootstrap over cases for all else.\n"
    )
    for name, value in sorted(settings.items()):
        yield f"- {name}: {len(value) if name == 'cases' else plain(value)}"
    for session in summary.sessions:
        yield f"- run: {plain(session)}"
    yield "\n## Findings of the source\n"
    yield from table(
        ("finding", "verdict", "evidence"),
        ([f.claim, str(f.verdict), f.evidence] for f in summary.findings),
    )
    yield "\n## Latent beside weights\n"
    yield (
        "Over all layers and alphas, each beside the weights merged by the same operator and "
        "alpha; every pair is judged in both orders, equal texts are ties.\n"
    )
    yield from table(
        ("judge", "operator", "category", "won", "ties", "lost", "won of decided", "points"),
        (_win(row) for row in summary.wins),
    )
    yield "\nWhat a judge makes of right answers beside wrong ones:\n"
    yield from table(
        ("judge", "cases", "prefers the right one", "ties"),
        ([row.judge, str(row.num_cases), str(row.right), str(row.ties)] for row in summary.judges),
    )
    yield "\n## Every way\n"
    yield (
        "Loss: of the right answers' tokens, in nats. Midness, arc ratio (0 at the base, 1 at the "
        "tuned model) and its deviation from 0.5 are those of the merged layer, medians over "
        "tokens; CKA is averaged over the layers from there on. For weights all are averaged over "
        "all layers.\n"
    )
    yield from table(
        (
            "way",
            "accuracy",
            "loss",
            "loss - that of weights",
            "midness",
            "arc ratio",
            "deviation",
            "CKA to base",
            "CKA to tuned",
        ),
        (_way(row) for row in summary.ways),
    )
    yield "\n## The second-order bound\n"
    yield (
        "G = sqrt 2 and beta = 1/2 are those of cross-entropy. Curvature K and slope L are "
        "estimated for each layer and alpha on every other text, as the given quantile of what its "
        "tokens ask for; violations and slack (bound - loss, in nats) are of the other texts. "
        "Foreign: l_B is that of the tuned model under its own upper layers, with the terms in D "
        "that this adds.\n"
    )
    yield from table(
        (
            "operator",
            "quantile",
            "violations",
            "worst setting",
            "slack",
            "violations, foreign",
            "slack, foreign",
        ),
        (
            [
                row.operator,
                f"{row.quantile:g}",
                f"{percent(row.violations)} %",
                f"{percent(row.worst)} %",
                f"{row.slack:.3g}",
                f"{percent(row.foreign_violations)} %",
                f"{row.foreign_slack:.3g}",
            ]
            for row in summary.bounds
        ),
    )
    for name in plots:
        yield f"\n![{name}]({name})"


def _win(row: WinRow) -> list[str]:
    return [
        row.judge,
        row.operator,
        f"**{ALL}**" if row.category == ALL else row.category,
        *map(str, (row.wins, row.ties, row.losses)),
        NONE if row.decided is None else f"{percent(row.decided)} %",
        accuracy(row.points, row.interval),
    ]


def _way(row: WayRow) -> list[str]:
    beside = NONE
    if row.beside is not None:
        mean, (low, high) = row.beside
        beside = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
    figures = (row.midness, row.arc_ratio, row.deviation, row.cka_base, row.cka_tuned)
    return [
        str(row.setting),
        accuracy(row.accuracy, row.interval),
        f"{row.loss:.4f}",
        beside,
        *(NONE if figure is None else f"{figure:.3f}" for figure in figures),
    ]
