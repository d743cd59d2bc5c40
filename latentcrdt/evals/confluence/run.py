"""Run the battery: every pair behind every length of prefix, one stored record at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from latentcrdt.evals.append_file import AppendFile
from latentcrdt.evals.confluence.battery import Pair, battery
from latentcrdt.evals.confluence.fork import UnequalBranchesError, fork
from latentcrdt.evals.confluence.merges import Merges
from latentcrdt.evals.confluence.record import Record, read_records, record_line
from latentcrdt.evals.manifest import begin_run
from latentcrdt.evals.models import LoadedModel
from latentcrdt.evals.provenance import package_versions, session_facts
from latentcrdt.hf.model_id import model_id
from latentcrdt.merging.gate.metrics import late_value_cosine
from latentcrdt.merging.gate.probes import PROBES, probe_ids
from latentcrdt.store.lock import hold_lock

RECORDS = "records.jsonl"

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the number of records stored and that of all."""


@dataclass(frozen=True, slots=True)
class Confluence:
    """What is to be run."""

    model: LoadedModel
    paddings: tuple[int, ...]
    """Tokens of neutral text in front of each prefix."""
    searches: tuple[str, ...]
    pairs_per_category: int | None = None
    """The first so many; None: all."""

    def pairs(self) -> list[Pair]:
        """Return the pairs, categories taking turns: a run that was stopped has seen all."""
        lists = [category.pairs[: self.pairs_per_category] for category in battery()]
        longest = max(map(len, lists))
        return [pairs[i] for i in range(longest) for pairs in lists if i < len(pairs)]

    def run(self, directory: Path, *, on_progress: OnProgress | None = None) -> None:
        """Measure what the directory does not hold yet.

        Raises InvalidRequestError for a directory that holds another run, StoreFailedError where
        another process is at it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        config = self.model.model.config.get_text_config()
        settings = {
            "benchmark": "confluence",
            "model": self.model.name,
            # Not by a contract: nothing is moved here, so models that cannot move are welcome.
            "model_id": model_id(self.model.model, config.model_type),
            "layers": config.num_hidden_layers,
            "paddings": list(self.paddings),
            "probes": list(PROBES),
            "searches": list(self.searches),
            "pairs_per_category": self.pairs_per_category,
            "versions": package_versions(),
        }
        with hold_lock(directory / ".lock"):
            begin_run(directory, settings, session_facts())
            path = directory / RECORDS
            done = {record.key for record in read_records(path)}
            wanted = [(pair, padding) for pair in self.pairs() for padding in self.paddings]
            probes = probe_ids(self.model.tokenizer)
            with AppendFile(path) as file:
                for count, (pair, padding) in enumerate(wanted, start=1):
                    if (pair.pair_id, padding) not in done:
                        file.add(record_line(self._measure(pair, padding, probes)))
                    if on_progress is not None:
                        on_progress(count, len(wanted))

    def _measure(self, pair: Pair, padding: int, probes: Sequence[int]) -> Record:
        model, tokenizer = self.model.model, self.model.tokenizer
        try:
            forked = fork(model, tokenizer, pair, padding_tokens=padding)
        except UnequalBranchesError as error:
            return Record(pair.pair_id, pair.category, padding, refused=str(error))
        merges = Merges(model, forked, list(probes))
        return Record(
            pair.pair_id,
            pair.category,
            padding,
            trimmed=forked.trimmed,
            are_lexical=merges.tokens.are_lexical,
            late_cosine=late_value_cosine(*([v for _, v in rows] for rows in (forked.a, forked.b))),
            alone=merges.alone(),
            merges=tuple(merges.all(searches=self.searches)),
        )
