"""The run: what is trained on when, one optimizer step, and putting a stopped run back.

Everything a step needs follows from the settings and the step's number: a resumed run goes on
exactly as if it had never stopped.
"""

from __future__ import annotations

import math
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import Qwen3ForCausalLM

from latentcrdt.evals.partitioned import FAMILIES, NUM_SHARDS, questions
from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.reference.accuracy import num_right
from latentcrdt.evals.reference.architecture import reference_config
from latentcrdt.evals.reference.tokenizer import PADDING_ID, make_tokenizer
from scripts.reference_training import checkpoint
from scripts.reference_training.batch import Batch, guidance_loss, make_batch

OTHER_WEIGHT = 0.02
"""Weight in the loss of words that the text before them does not tell."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run depends on."""

    steps: int = 1600
    batch_rows: int = 30
    seed: int = 0
    matrix_learning_rate: float = 0.02
    other_learning_rate: float = 0.003
    weight_decay: float = 0.01
    warmup_steps: int = 50
    guided_part: float = 0.5
    """The part of the run over which guidance fades out."""
    wide_from: float = 0.3
    """The part of the run after which a third of the batches has 3 to 5 shards."""
    threads: int = 1
    """The matrices are small: a second thread gains little."""


class Run:
    """A model in training, its optimizers and its log."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.step = 0
        self.seconds = 0.0
        self.log: list[dict[str, Any]] = []
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self.tokenizer = make_tokenizer()
        self._ids = self.tokenizer.get_vocab()
        self.model = Qwen3ForCausalLM(reference_config(len(self.tokenizer)))
        with torch.no_grad():  # a word that is found can be said before the two have grown alike
            self.model.lm_head.weight.copy_(self.model.model.embed_tokens.weight)
        self.optimizers = _optimizers(self.model, settings)
        self._rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]

    def advance(self) -> dict[str, float]:
        """Do one step and return its losses."""
        began = time.monotonic()
        self._set_rates()
        batch = self._batch()
        guidance = max(0.0, 1 - self.step / (self.settings.guided_part * self.settings.steps))
        # Only eager attention can tell where it looked; the other is faster.
        self.model.set_attn_implementation("eager" if guidance else "sdpa")
        output = self.model(
            input_ids=batch.token_ids, use_cache=False, output_attentions=guidance > 0
        )
        told_loss, other_loss = _losses(output.logits, batch)
        loss = told_loss + OTHER_WEIGHT * other_loss
        if guidance:
            loss = loss + guidance * guidance_loss(output.attentions, batch.steps)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.seconds += time.monotonic() - began
        return {"told_loss": told_loss.item(), "other_loss": other_loss.item()}

    def measure(self, num_shards: int, count: int) -> dict[str, float]:
        """Return the accuracy on held-out questions, read as plain text, by family."""
        return {
            family: num_right(
                self.model,
                self.tokenizer,
                questions(family, num_shards=num_shards, count=count, split="held-out"),
            )
            / count
            for family in FAMILIES
        }

    def save(self, path: Path) -> None:
        """Write everything that `resume` needs."""
        facts = {
            "settings": asdict(self.settings),
            "step": self.step,
            "seconds": self.seconds,
            "log": self.log,
        }
        checkpoint.save(path, self.model, self.optimizers, facts)

    @classmethod
    def resume(cls, path: Path) -> Run:
        """Return the run that was saved."""
        facts = checkpoint.facts_of(path)
        run = cls(Settings(**facts["settings"]))
        checkpoint.load(path, run.model, run.optimizers)
        run.step, run.seconds, run.log = facts["step"], facts["seconds"], facts["log"]
        return run

    def export(self, path: Path) -> None:
        """Write the model and its tokenizer as transformers reads them."""
        self.model.save_pretrained(path)
        self.tokenizer.save_pretrained(path)

    def facts(self) -> dict[str, Any]:
        """Return the training log, ready for JSON."""
        return {
            "settings": asdict(self.settings),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "seconds": round(self.seconds),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "log": self.log,
        }

    def _batch(self) -> Batch:
        settings = self.settings
        draws = Draws.named("batch", settings.seed, self.step)
        wide = self.step >= settings.wide_from * settings.steps and draws.below(3) == 0
        num_shards = draws.one_of(NUM_SHARDS[1:]) if wide else NUM_SHARDS[0]
        return make_batch(settings.batch_rows, num_shards, draws.bits(), self._ids)

    def _set_rates(self) -> None:
        settings = self.settings
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / settings.steps))
        factor = min(1.0, (self.step + 1) / settings.warmup_steps) * cosine
        for optimizer, rates in zip(self.optimizers, self._rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor


def _losses(logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss of told words, and of all others."""
    next_ids, told = batch.token_ids[:, 1:], batch.told[:, 1:]
    loss = nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), next_ids.flatten(), reduction="none"
    ).view_as(next_ids)
    return loss[told].mean(), loss[(next_ids != PADDING_ID) & ~told].mean()


def _optimizers(
    model: Qwen3ForCausalLM, settings: Settings
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Return Muon for the matrices within layers, and AdamW for embeddings, head and norms."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        within = name.startswith("model.layers.") and parameter.ndim == 2
        (matrices if within else others).append(parameter)
    return (
        torch.optim.Muon(
            matrices, lr=settings.matrix_learning_rate, weight_decay=settings.weight_decay
        ),
        torch.optim.AdamW(
            others, lr=settings.other_learning_rate, betas=(0.9, 0.98), weight_decay=0.0
        ),
    )
