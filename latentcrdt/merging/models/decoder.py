"""Decoder: the part of a transformers model that runs its layers, one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from latentcrdt.errors import InvalidRequestError, ModelMismatchError, UnsupportedModelError


@dataclass(frozen=True, slots=True)
class Decoder:
    """A stack of layers, and the module whose forward pass goes through it."""

    module: nn.Module
    """Takes token ids, masks and a cache; what runs the model calls it, generation included."""
    layers: nn.ModuleList
    config: Any

    @classmethod
    def of(cls, model: PreTrainedModel) -> Decoder:
        """Return a model's decoder. Raises UnsupportedModelError where none can be told."""
        config = model.config.get_text_config(decoder=True)
        module: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]
        count = config.num_hidden_layers
        stacks = [
            child
            for child in module.children()
            if isinstance(child, nn.ModuleList) and len(child) == count
        ]
        if len(stacks) != 1:
            raise UnsupportedModelError(
                f"{type(model).__name__}: expected one list of {count} layers in its decoder, "
                f"found {len(stacks)}"
            )
        return cls(module, stacks[0], config)

    def layer(self, index: int) -> nn.Module:
        """Return a layer. Raises InvalidRequestError for one that does not exist."""
        if not 0 <= index < len(self.layers):
            raise InvalidRequestError(
                f"layer: expected 0 to {len(self.layers) - 1}, got {index}", layer=index
            )
        return self.layers[index]


def check_same_architecture(base: Decoder, tuned: Decoder) -> None:
    """Raise ModelMismatchError, naming the first difference, unless layer fits layer."""
    first, second = _facts(base), _facts(tuned)
    for name in dict.fromkeys((*first, *second)):
        if first.get(name) != second.get(name):
            raise ModelMismatchError(
                f"two models: expected one architecture, got {name} {first.get(name)} in the "
                f"first and {second.get(name)} in the second",
                part=name,
            )


def hidden_of(output: Any) -> torch.Tensor:
    """Return the hidden states ``[B, T, D]`` among what a layer returned."""
    hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def with_hidden(output: Any, hidden: torch.Tensor) -> Any:
    """Return what a layer returned, with other hidden states."""
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


def _facts(decoder: Decoder) -> dict[str, str]:
    """Return what two decoders must have in common."""
    parameters = {
        name: f"{list(parameter.shape)} {parameter.dtype} on {parameter.device}"
        for name, parameter in decoder.module.named_parameters()
    }
    return {
        "class": type(decoder.module).__name__,
        "number of layers": str(len(decoder.layers)),
        "kinds of layers": str(getattr(decoder.config, "layer_types", None)),
        **parameters,
    }
