"""Run every way to have one model out of two, one stored record at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.append_file import AppendFile
from latentcrdt.evals.manifest import begin_run
from latentcrdt.evals.provenance import package_versions, session_facts
from latentcrdt.evals.two_models.cases import Case, Count
from latentcrdt.evals.two_models.judge import Judge, contest, known_points
from latentcrdt.evals.two_models.lab import Lab
from latentcrdt.evals.two_models.observe import MAX_NEW_TOKENS
from latentcrdt.evals.two_models.record import (
    BASE,
    KNOWN,
    TUNED,
    Judgement,
    Record,
    Setting,
    line_of,
    read_judgements,
    read_records,
)
from latentcrdt.hf.model_id import model_id
from latentcrdt.merging.models.blend import RIDGE, operator_named
from latentcrdt.store.lock import hold_lock

RECORDS, JUDGEMENTS = "records.jsonl", "judgements.jsonl"

EVERY = 5
"""Layers of the source's sweep: every fifth, and the last."""

FEW_LAYERS = 8
"""A model of no more layers is swept in all of them."""

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the number of records and judgements stored and that of all."""


def swept_layers(num_layers: int) -> list[int]:
    """Return the layers of a sweep, counted from 0."""
    if num_layers <= FEW_LAYERS:
        return list(range(num_layers))
    return list(range(EVERY - 1, num_layers, EVERY)) + (
        [] if num_layers % EVERY == 0 else [num_layers - 1]
    )


@dataclass(frozen=True)
class TwoModels:
    """What is to be run."""

    base: str
    """A name or folder, as `load_model` takes it."""
    tuned: str
    tasks: tuple[str, ...]
    count: Count = None
    num_shards: int = 2
    """Texts over which the facts of a partitioned question are spread; one reader has them all."""
    layers: tuple[int, ...] | None = None
    """None: those of `swept_layers`."""
    operators: tuple[str, ...] = ("lerp", "slerp", "regmean")
    alphas: tuple[float, ...] = (0.25, 0.5, 0.75)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    """By name. Any callable will do."""

    def run(self, directory: Path, *, on_progress: OnProgress | None = None) -> None:
        """Measure and judge what the directory does not hold yet.

        Raises InvalidRequestError for a directory that holds another run, StoreFailedError where
        another process is at it, and as `latent_merge` and `merge_weights` do.
        """
        lab = Lab((self.base, self.tuned), self.tasks, self.count, num_shards=self.num_shards)
        self._check(lab)
        settings = list(self._settings(lab))
        judged = [KNOWN, *(setting for setting in settings if setting.where == "latent")]
        pairs = [(name, setting) for name in self.judges for setting in judged]
        directory.mkdir(parents=True, exist_ok=True)
        with hold_lock(directory / ".lock"):
            begin_run(directory, self._manifest(lab), session_facts())
            path, verdicts = directory / RECORDS, directory / JUDGEMENTS
            known = {record.setting: record for record in read_records(path)}
            total = len(settings) + len(pairs)
            with AppendFile(path) as file:
                for count, setting in enumerate(settings, start=1):
                    if setting not in known:
                        known[setting] = lab.measure(setting)
                        file.add(line_of(known[setting]))
                    if on_progress is not None:
                        on_progress(count, total)
            done = {(entry.judge, entry.setting) for entry in read_judgements(verdicts)}
            with AppendFile(verdicts) as file:
                for count, (name, setting) in enumerate(pairs, start=len(settings) + 1):
                    if (name, setting) not in done:
                        points = self._points(self.judges[name], setting, lab.cases, known)
                        file.add(line_of(Judgement(name, setting, points)))
                    if on_progress is not None:
                        on_progress(count, total)

    def _check(self, lab: Lab) -> None:
        for operator in self.operators:
            operator_named(operator)
        for name, wrong in (
            ("layers", [n for n in self._layers(lab) if not 0 <= n < lab.num_layers]),
            ("alphas", [alpha for alpha in self.alphas if not 0 < alpha < 1]),
        ):
            if wrong:
                raise InvalidRequestError(
                    f"{name}: expected layers 0 to {lab.num_layers - 1} and alphas between 0 and "
                    f"1, got {wrong}"
                )

    def _settings(self, lab: Lab) -> Iterator[Setting]:
        """Yield the settings, a layer's beside each other: they share observations."""
        yield from (BASE, TUNED)
        for operator in self.operators:
            yield from (Setting("weights", -1, operator, alpha) for alpha in self.alphas)
        for layer in self._layers(lab):
            for alpha in self.alphas:
                yield from (Setting("latent", layer, name, alpha) for name in self.operators)

    def _layers(self, lab: Lab) -> Sequence[int]:
        return swept_layers(lab.num_layers) if self.layers is None else self.layers

    def _points(
        self,
        judge: Judge,
        setting: Setting,
        asked: Sequence[Case],
        records: Mapping[Setting, Record],
    ) -> dict[str, float]:
        if setting == KNOWN:
            return known_points(judge, asked)
        latent, weights = (records[s].texts for s in (setting, setting.beside))
        return {c.case_id: contest(judge, c, latent[c.case_id], weights[c.case_id]) for c in asked}

    def _manifest(self, lab: Lab) -> dict[str, object]:
        return {
            "benchmark": "two-models",
            "base": lab.base.name,
            "tuned": lab.tuned.name,
            "base_id": model_id(lab.base.model, "base"),
            "tuned_id": model_id(lab.tuned.model, "tuned"),
            "num_layers": lab.num_layers,
            "layers": list(self._layers(lab)),
            "operators": list(self.operators),
            "alphas": list(self.alphas),
            "ridge": RIDGE,
            "tasks": list(self.tasks),
            "cases": {case.case_id: case.category for case in lab.cases},
            "max_new_tokens": MAX_NEW_TOKENS,
            "judges": list(self.judges),
            "versions": package_versions(),
        }
