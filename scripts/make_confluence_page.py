"""Write the tables of docs/confluence.md: `python -m scripts.make_confluence_page`.

They come from the reports under docs/evals, which `latentcrdt eval report` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentcrdt.evals.report.table import table
from scripts.marked_section import replace_section

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "confluence.md"

RUNS = {
    "SmolLM2-135M": "confluence-smollm2",
    "Gemma-3-270M": "confluence-gemma3",
}
"""Heading of each model that could be asked, and the folder of its report."""

LAYERS_RUN = "confluence-smollm2-layers"
"""The one run with the search for a weight of each layer."""


SHOWN = (
    "branch A alone",
    "branch B alone",
    "uniform-average (a)",
    "norm-weighted-slerp (a)",
    "v-only (a)",
    "v-only (b)",
    "late-v-slerp (a)",
    "cross-wired (a)",
    "weight-search (a)",
    "late-v-slerp-search (a)",
)
"""Rows of a report that the page repeats."""


def document(folder: str) -> dict[str, Any]:
    """Return the figures of a report."""
    text = (DOCS / "evals" / folder / "report.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def findings() -> str:
    """Return each finding with the verdicts of all models, and of how many borders say the same."""
    by_model = {model: document(folder)["findings"] for model, folder in RUNS.items()}
    layers = {h["finding"]["claim"]: h for h in document(LAYERS_RUN)["findings"]}
    rows = []
    for i, first in enumerate(next(iter(by_model.values()))):
        claim = first["finding"]["claim"]
        cells = [_verdict(held[i]) for held in by_model.values()]
        if claim.startswith("layer-weight-search"):
            cells[0] = _verdict(layers[claim])
        rows.append([claim, *cells])
    return "\n".join(table(["finding", *by_model], rows))


def shares() -> str:
    """Return what became of the merges of each model under some strategies."""
    rows = []
    for model, folder in RUNS.items():
        by_name = {row["name"]: row for row in document(folder)["strategies"]}
        for name in SHOWN:
            row = by_name[name]
            rows.append(
                [
                    model,
                    name.removesuffix(" (a)"),
                    str(row["num_pairs"]),
                    *(f"{share:.1%}" for share in row["outcomes"].values()),
                    f"{row['lean']:+.2f}",
                    f"{row['midway']:.1%}",
                ]
            )
    head = ["model", "strategy", "merges", "confluence", "collapse", "washout", "lean", "midway"]
    return "\n".join(table(head, rows))


def gates() -> str:
    """Return the calibrated gate of each model, and its figures on pairs that it has not seen."""
    head = ["model", "gate", "confluent, without it", "with it", "good ones lost", "others stopped"]
    return "\n".join(table(head, _gates()))


def _gates() -> Iterator[list[str]]:
    for model, folder in RUNS.items():
        found = document(folder)["calibration"]
        limits = ", ".join(
            f"{name}={limit:.3f}" for name, limit in found["gate"].items() if limit is not None
        )
        kept, stopped = found["kept"], found["stopped"]
        yield [
            model,
            f"`Gate({limits})`",
            _share(found["confluent"]),
            _share(found["confluent_passed"]),
            _share({"count": kept["of"] - kept["count"], "of": kept["of"]}),
            _share(stopped),
        ]


def _share(found: dict[str, int]) -> str:
    return f"{found['count']} of {found['of']} ({found['count'] / found['of']:.0%})"


def _verdict(held: dict[str, Any]) -> str:
    finding = held["finding"]
    return f"**{finding['verdict']}** ({held['num_same']}): {finding['evidence']}"


def main() -> None:
    """Write the tables."""
    for name, made in (("findings", findings), ("shares", shares), ("gates", gates)):
        replace_section(PAGE, name, made())


if __name__ == "__main__":
    main()
