"""Models to run a benchmark on: one that the project carries, a packaged one, or a local folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.reference import checkpoint_path, load_reference_model
from latentcrdt.hf.contract import ModelContract
from latentcrdt.hf.smollm2 import SMOLLM2 as PACKAGED_SMOLLM2
from latentcrdt.hf.smollm2 import load_smollm2

REFERENCE, SMOLLM2 = "reference", "smollm2"

EARLY_REFERENCE = "reference-early"
"""An unfinished state of the reference model's training: the other of two models."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, ready to run."""

    name: str
    """``reference``, ``reference-early``, ``smollm2``, or the name of the folder."""
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def model_id(self) -> str:
        """Names the weights, wherever they were loaded from."""
        return ModelContract.of(self.model).geometry.model_id


def load_model(name: str) -> LoadedModel:
    """Load a model by name or path; never touches the network.

    A folder's model runs in the dtype in which it was saved, on the first CUDA device where there
    is one. Raises InvalidRequestError for a path that is no folder, ModelNotInstalledError,
    UnsupportedModelError for a model whose cache cannot be moved.
    """
    if name == REFERENCE:
        return LoadedModel(name, *load_reference_model())
    if name == EARLY_REFERENCE:
        return LoadedModel(name, *load_reference_model("early"))
    if name == SMOLLM2:
        return LoadedModel(name, *load_smollm2())
    folder = model_folder(name)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if torch.cuda.is_available():
        nn.Module.cuda(model)
    return LoadedModel(folder.resolve().name, model, tokenizer)


def model_folder(name: str) -> Path:
    """Return the folder in which a model's files lie, converting a packaged one if need be.

    Raises as `load_model` does, and loads nothing.
    """
    if name == REFERENCE:
        return checkpoint_path("final")
    if name == EARLY_REFERENCE:
        return checkpoint_path("early")
    if name == SMOLLM2:
        return PACKAGED_SMOLLM2.directory()
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise InvalidRequestError(
            f"model: expected {REFERENCE!r}, {EARLY_REFERENCE!r}, {SMOLLM2!r} or the folder of a "
            f"transformers model, got {name!r:.200}"
        )
    return folder
