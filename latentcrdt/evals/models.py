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
from latentcrdt.hf.gemma3 import GEMMA3
from latentcrdt.hf.gguf import PackagedModel
from latentcrdt.hf.smollm2 import SMOLLM2

REFERENCE = "reference"

EARLY_REFERENCE = "reference-early"
"""An unfinished state of the reference model's training: the other of two models."""

CARRIED = {REFERENCE: "final", EARLY_REFERENCE: "early"}
"""Models that the project carries: the checkpoint of each."""

PACKAGED: dict[str, PackagedModel] = {"smollm2": SMOLLM2, "gemma3": GEMMA3}
"""Models that packages of others carry."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, ready to run."""

    name: str
    """One of `CARRIED` or `PACKAGED`, or the name of the folder."""
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
    if name in CARRIED:
        return LoadedModel(name, *load_reference_model(CARRIED[name]))
    if name in PACKAGED:
        return LoadedModel(name, *PACKAGED[name].load())
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
    if name in CARRIED:
        return checkpoint_path(CARRIED[name])
    if name in PACKAGED:
        return PACKAGED[name].directory()
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise InvalidRequestError(
            f"model: expected one of {', '.join([*CARRIED, *PACKAGED])} or the folder of a "
            f"transformers model, got {name!r:.200}"
        )
    return folder
