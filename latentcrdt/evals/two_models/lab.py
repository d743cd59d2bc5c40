"""Lab: two models, and what is observed of them and of their merges."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from transformers import PreTrainedModel

from latentcrdt.evals.models import load_model, model_folder
from latentcrdt.evals.two_models.cases import Count, cases
from latentcrdt.evals.two_models.figures import BoundCheck, geometry
from latentcrdt.evals.two_models.observe import Observation, answers, encode, observe
from latentcrdt.evals.two_models.record import BASE, LayerGeometry, Record, Setting
from latentcrdt.merging.models import latent_merge, merge_weights
from latentcrdt.merging.models.blend import operator_named
from latentcrdt.merging.models.decoder import Decoder, check_same_architecture


class Lab:
    """Two models, and what is observed of them and of their merges."""

    def __init__(
        self, names: tuple[str, str], tasks: Sequence[str], count: Count, *, num_shards: int
    ) -> None:
        """Load two models by name or folder; raises as `load_model` does, and as `cases` does.

        Raises ModelMismatchError for models of two architectures.
        """
        self.base, self.tuned = (load_model(name) for name in names)
        self._folders = model_folder(names[0]), model_folder(names[1])
        decoder = Decoder.of(self.base.model)
        check_same_architecture(decoder, Decoder.of(self.tuned.model))
        self.num_layers = len(decoder.layers)
        self.cases = cases(tasks, self.base, count, num_shards=num_shards)
        self._texts = [encode(case, self.base.tokenizer) for case in self.cases]
        # A layer's sweep comes back to three of these; each holds all logits that are kept.
        self._latent = lru_cache(maxsize=3)(self._observe_latent)
        self._alone = lru_cache(maxsize=2)(self._observe_alone)

    def measure(self, setting: Setting) -> Record:
        """Return the record of a setting."""
        if setting.where == "weights":
            return self._measure_weights(setting)
        if setting.where == "latent":
            return self._measure_latent(setting)
        loaded = self.base if setting == BASE else self.tuned
        return self._record(setting, loaded.model, self._alone(setting.where))

    def _measure_weights(self, setting: Setting) -> Record:
        with tempfile.TemporaryDirectory(prefix="latentcrdt-") as scratch:
            merged = Path(scratch) / "merged"
            merge_weights(
                *self._folders,
                merged,
                operator=operator_named(setting.operator),
                alpha=setting.alpha,
            )
            model = load_model(str(merged)).model
        seen = observe(model, self._texts)
        layers = geometry(self._alone("base"), self._alone("tuned"), seen, 0)
        return self._record(setting, model, seen, layers)

    def _measure_latent(self, setting: Setting) -> Record:
        layer, alpha = setting.layer, setting.alpha
        observed = {
            "base": self._alone("base"),
            "tuned": self._alone("tuned"),
            "foreign": self._latent(layer, "lerp", 1.0),
            "lerp": self._latent(layer, "lerp", alpha),
            "merged": self._latent(layer, setting.operator, alpha),
        }
        check = BoundCheck(layer, alpha, observed)
        seen = observed["merged"]
        record = self._record(
            setting,
            self.base.model,
            seen,
            geometry(observed["base"], observed["tuned"], seen, layer),
        )
        return replace(record, bound=check.run(self._texts))

    def _record(
        self,
        setting: Setting,
        model: PreTrainedModel,
        seen: Observation,
        layers: tuple[LayerGeometry, ...] = (),
    ) -> Record:
        within = self._merging(setting) if setting.where == "latent" else nullcontext()
        with within:
            texts = answers(model, self.base.tokenizer, self.cases)
        return Record(
            setting,
            texts,
            {case.case_id: case.is_right(texts[case.case_id]) for case in self.cases},
            {
                case.case_id: seen.answer_loss(i, text)
                for i, (case, text) in enumerate(zip(self.cases, self._texts, strict=True))
            },
            layers,
        )

    def _merging(self, setting: Setting) -> AbstractContextManager[None]:
        return latent_merge(
            self.base.model,
            self.tuned.model,
            layer=setting.layer,
            operator=operator_named(setting.operator),
            alpha=setting.alpha,
        )

    def _observe_latent(self, layer: int, operator: str, alpha: float) -> Observation:
        with self._merging(Setting("latent", layer, operator, alpha)):
            return observe(self.base.model, self._texts)

    def _observe_alone(self, which: str) -> Observation:
        loaded = self.base if which == "base" else self.tuned
        return observe(loaded.model, self._texts)
