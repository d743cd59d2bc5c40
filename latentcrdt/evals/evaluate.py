"""One evaluation from its parts: the run's directory, its answers, its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentcrdt.agents.regime import Regime
from latentcrdt.evals.item import Benchmark
from latentcrdt.evals.methods import MethodTable
from latentcrdt.evals.models import LoadedModel
from latentcrdt.evals.provenance import package_versions, session_facts
from latentcrdt.evals.report.files import write_report
from latentcrdt.evals.report.summarise import summarise
from latentcrdt.evals.report.summary import Summary
from latentcrdt.evals.run_directory import RunDirectory
from latentcrdt.evals.runner import Cell, OnProgress, run


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is to be run."""

    benchmark: Benchmark
    model: LoadedModel
    num_agents: tuple[int, ...]
    regimes: tuple[Regime, ...]
    methods: tuple[str, ...]
    """Names and groups, as `MethodTable.names` takes them."""

    def run(self, directory: Path, *, on_progress: OnProgress | None = None) -> Summary:
        """Answer everything, or what is left of it, and write the report beside the answers.

        Raises InvalidRequestError for methods or a directory that do not fit, and whatever the
        methods raise.
        """
        table = MethodTable(self.model.model, self.model.tokenizer)
        cells = [
            Cell(k, regime, table.names(self.methods, k))
            for k in self.num_agents
            for regime in self.regimes
        ]
        settings = {
            **self.benchmark.settings(),
            "metrics": list(self.benchmark.metrics),
            "model": self.model.name,
            "model_id": self.model.model_id,
            "k": list(self.num_agents),
            "regimes": [regime.name for regime in self.regimes],
            "methods": list(self.methods),
            "versions": package_versions(),
        }
        with RunDirectory(directory, settings, session_facts()) as opened:
            run(cells, self.benchmark, table.of_cell, opened, on_progress=on_progress)
        summary = summarise(directory)
        write_report(summary, directory)
        return summary
